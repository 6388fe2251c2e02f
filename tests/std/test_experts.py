"""Mixtures of experts: what is routed is what all experts, computed and weighed, give, and only that is computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import attndsl
from attndsl import AttnError
from attndsl.graph.reader import parse_text
from attndsl.graph.text import to_text
from attndsl.inspection import inspect
from attndsl.passes import optimize
from attndsl.running import backends
from attndsl.running.decay import decaying

Array = np.ndarray[Any, Any]
N, WIDTH, HIDDEN = 5, 6, 7


def model(call: str, declarations: str = "") -> attndsl.Model:
    return attndsl.parse(f"""{declarations}
model M(width={WIDTH}, hidden={HIDDEN}, n={N}) {{
  input x: [B, T, width]
  output y = x |> {call} as moe
}}""")


def parameters(program: Any) -> dict[str, Array]:
    rng = np.random.default_rng(3)
    return {name: rng.standard_normal(array.shape) for name, array in sorted(program.parameters().items())}


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def chosen(merit: Array, top: int) -> Array:
    return np.argsort(-merit, -1, kind="stable")[..., :top]


def spread(score: Array, which: Array, *, normalised: bool = True) -> Array:
    """The weight of every expert, 0 for those that are not chosen."""
    weight = np.take_along_axis(score, which, -1)
    full = np.zeros_like(score)
    np.put_along_axis(full, which, weight / weight.sum(-1, keepdims=True) if normalised else weight, -1)
    return full


def every_expert(x: Array, p: Mapping[str, Array], at: str = "moe.experts.") -> Array:
    """What each expert makes of each element: [B, T, N, width]."""
    up = np.einsum("btd,edh->bteh", x, p[at + "up.weight"])
    if at + "gate.weight" in p:
        gate = np.einsum("btd,edh->bteh", x, p[at + "gate.weight"])
        return np.einsum("bteh,ehd->bted", gate / (1 + np.exp(-gate)) * up, p[at + "down.weight"])
    up = np.maximum(up + p[at + "up.bias"], 0)
    return np.einsum("bteh,ehd->bted", up, p[at + "down.weight"]) + p[at + "down.bias"]


def dense(x: Array, p: Mapping[str, Array], weight: Array) -> Array:
    return np.einsum("bted,bte->btd", every_expert(x, p), weight)


SIDES = [("numpy", False), ("numpy", True), ("torch", False), ("torch", True)]


def program(checked: attndsl.Model, side: tuple[str, bool]) -> Any:
    name, optimised = side
    graph = optimize(checked.graph)[0] if optimised else checked.graph
    made = backends.find(name).program(graph, dtype="float64", seed=1)
    made.load(parameters(made))
    return made


@pytest.fixture(scope="module")
def x() -> Array:
    return np.random.default_rng(0).standard_normal((2, 7, WIDTH))


@pytest.mark.parametrize("side", SIDES, ids=str)
@pytest.mark.parametrize("block", ["gated_mlp(hidden)", "mlp(hidden)"])
@pytest.mark.parametrize("top", [1, 2, N])
def test_what_is_routed_is_what_all_experts_weighed_give(
    side: tuple[str, bool], block: str, top: int, x: Array
) -> None:
    made = program(model(f"experts(n, {top}, {block})"), side)
    p = made.parameters()
    score = softmax(x @ p["moe.router.weight"])
    expected = dense(x, p, spread(score, chosen(score, top)))
    np.testing.assert_allclose(made.run({"x": x})["y"], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("side", SIDES, ids=str)
def test_the_gradients_are_those_of_the_dense_computation(side: tuple[str, bool], x: Array) -> None:
    text = f"""
block dense(n, top, expert)(x: [*, D]) -> [*, D] {{
  weight, which, _ = router(n, top)(x) as router
  asked: bool[*, top, expert=n] = range(expert=n) == which
  weights = sum(asked * weight, over=top)
  copies: [*, expert=n, D] = x
  every = copies |> take(expert, range(expert=n), over=[expert=n]) as experts
  return dot(every, weights, over=expert)
}}
model M(width={WIDTH}, hidden={HIDDEN}, n={N}) {{
  input x: [B, T, width]
  output y = x |> dense(n, 2, mlp(hidden)) as moe
}}"""
    routed, every = program(model("experts(n, 2, mlp(hidden))"), side), program(attndsl.parse(text), side)
    upstream = {"y": np.random.default_rng(1).standard_normal(x.shape)}
    for one, other in zip(routed.gradients({"x": x}, upstream), every.gradients({"x": x}, upstream), strict=True):
        assert one.keys() == other.keys()
        for name, array in one.items():
            np.testing.assert_allclose(array, other[name], rtol=1e-11, atol=1e-12, err_msg=name)


def with_capacity(x: Array, p: Mapping[str, Array], top: int, slots: int) -> Array:
    """Element by element: first choices first, and what comes when an expert is full is left out."""
    score = softmax(x @ p["moe.router.weight"]).reshape(-1, N)
    which = chosen(score, top)
    weight, every = spread(score, which), every_expert(x, p).reshape(-1, N, WIDTH)
    result, load = np.zeros_like(every[:, 0]), np.zeros(N, int)
    for choice in range(top):
        for token, expert in enumerate(which[:, choice]):
            if load[expert] < slots:
                result[token] += weight[token, expert] * every[token, expert]
            load[expert] += 1
    return result.reshape(x.shape)


@pytest.mark.parametrize("side", SIDES, ids=str)
@pytest.mark.parametrize(("capacity", "slots"), [("1", 6), ("0.5", 3), ("1.25", 7), ("n", 28)])
def test_an_expert_takes_no_more_than_its_capacity(side: tuple[str, bool], capacity: str, slots: int, x: Array) -> None:
    made = program(model(f"experts(n, 2, mlp(hidden), capacity={capacity})"), side)
    expected = with_capacity(x, made.parameters(), 2, slots)  # of 2 * 14 choices for 5 experts
    np.testing.assert_allclose(made.run({"x": x})["y"], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("side", SIDES, ids=str)
def test_routing_of_deepseek(side: tuple[str, bool], x: Array) -> None:
    """Sigmoid scores, a correction where experts are chosen, groups, scaled weights, and a shared expert."""
    text = (
        "experts(6, 2, gated_mlp(hidden), shared=gated_mlp(hidden), gate=sigmoid, corrected=true, scale=2.5, groups=3, "
        "top_groups=2)"
    )
    made = program(model(text), side)
    p = made.parameters()
    score = 1 / (1 + np.exp(-(x @ p["moe.router.weight"])))
    merit = (score + p["moe.router.bias"]).reshape(*x.shape[:2], 3, 2)
    groups = chosen(merit.sum(-1), 2)
    kept = (np.arange(3)[:, None] == groups[..., None, :]).any(-1)
    merit = np.where(kept[..., None], merit, -np.inf).reshape(*x.shape[:2], 6)
    expected = 2.5 * dense(x, p, spread(score, chosen(merit, 2)))
    gate, up = x @ p["moe.shared.gate.weight"], x @ p["moe.shared.up.weight"]
    expected += gate / (1 + np.exp(-gate)) * up @ p["moe.shared.down.weight"]
    found = made.run({"x": x})["y"]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    assert not made.gradients({"x": x}, {"y": np.ones_like(found)})[1]["moe.router.bias"].any()


def test_any_block_may_be_an_expert() -> None:
    """One with a norm, a repeat, a dropout and a block of its own; and attention, where an example has one expert."""
    own = """
block inner(x: [*, D]) -> [*, D] {
  param gain: [D] = ones
  return x * gain
}
block mine(depth)(x: [*, D]) -> [*, D] {
  repeat i in depth {
    x += x |> layer_norm as norm |> linear(D) as map |> tanh |> inner as own
  }
  return dropout(x, 0.1)
}"""
    checked = model("experts(n, 2, mine(2))", own)
    assert {
        "moe.experts.i.*.norm.scale": (N, WIDTH),
        "moe.experts.i.*.map.weight": (N, WIDTH, WIDTH),
        "moe.experts.i.*.map.bias": (N, WIDTH),
        "moe.experts.i.*.own.gain": (N, WIDTH),
    }.items() <= {info.address: info.type.shape(checked.graph.sizes) for info in checked.graph.parameters}.items()
    assert checked.compare(gradients=True, sizes={"B": 2, "T": 3}).ok
    by_example = attndsl.parse("""model M(width=6, n=3) {
  input x: [B, T, width]
  input which: int[B] where which < n
  output y = x |> take(attention(2, mask=causal), which, over=[expert=n]) as attn
}""")
    assert by_example.compare(gradients=True, sizes={"B": 4, "T": 3}).ok
    assert explained(by_example).count("grouped-dot") == 4


def explained(checked: attndsl.Model) -> list[str]:
    return [rewrite.rule for report in optimize(checked.graph)[1] for rewrite in report.rewrites]


def test_no_matrix_is_copied_for_an_element() -> None:
    checked = model("experts(n, 2, gated_mlp(hidden))")
    optimised, _ = optimize(checked.graph)
    grouped = [node for node in optimised.body.walk() if node.op.name == "grouped_dot"]
    assert [node.op.ordered for node in grouped] == [True] * 3
    weights = {node.output for node in optimised.body.walk() if node.op.name == "parameter"}
    assert not any(node.op.name == "take" and node.inputs[0] in weights for node in optimised.body.walk())


SOME = """model M(width=6, hidden=4, n=3) {{
  input x: [B, in=width]
  input which: int[B]
  param table: [n, in=width, out=hidden] = normal(1)
  here = {here}
  entry = take(table, where({inside}, which, 0), over=n)
  output y = where(here, dot(x, entry, over=in), {otherwise})
}}"""


@pytest.mark.parametrize(
    ("here", "inside", "otherwise", "left_out"),
    [
        ("which >= 0 and which < n", "here", "0", True),
        ("n > which and 0 <= which", "here", "0", True),
        ("which >= 1 and which < n", "here", "0", False),
        ("which >= 0 and which < n - 1", "here", "0", False),
        ("which >= 0 or which < n", "which >= 0 and which < n", "0", False),
        ("which >= 0 and which < n", "which >= 1 and which < n", "0", False),
        ("which >= 0 and which < n", "here", "1", False),
    ],
)
def test_rows_without_an_entry_are_left_out(here: str, inside: str, otherwise: str, left_out: bool) -> None:
    rows_are_the_same(SOME.format(here=here, inside=inside, otherwise=otherwise), left_out)


@pytest.mark.parametrize(("end", "left_out"), [("n", True), ("m", False), ("B", False)])
def test_rows_of_a_table_that_is_given_are_left_out_at_its_end(end: str, left_out: bool) -> None:
    """Whose length nobody knows before."""
    text = SOME.format(here=f"which >= 0 and which < {end}", inside="here", otherwise="0")
    text = text.replace(", n=3", "").replace("param table", "input m: int[]\n  input table").replace(" = normal(1)", "")
    draw = np.random.default_rng(1)
    rows_are_the_same(text, left_out, m=np.array(2), table=draw.standard_normal((10, 6, 4)))


def rows_are_the_same(text: str, left_out: bool, **more: np.ndarray) -> None:
    checked = attndsl.parse(text)
    assert ("grouped-part" in explained(checked)) == left_out
    plain, optimised = (
        backends.find("numpy").program(graph, dtype="float64", seed=1)
        for graph in (checked.graph, optimize(checked.graph)[0])
    )
    torch = backends.find("torch").program(checked.graph, dtype="float64", seed=1)
    draw = np.random.default_rng(0)
    given = {"x": draw.standard_normal((7, 6)), "which": np.array([2, -1, 0, 3, 1, 2, 9]), **more}
    up = {"y": draw.standard_normal((7, 4))}
    wanted = plain.gradients(given, up)
    for found in (optimised.gradients(given, up), torch.gradients(given, up)):
        for arrays, right in zip(found, wanted, strict=True):
            for name, array in right.items():
                np.testing.assert_allclose(arrays[name], array, rtol=1e-12, atol=1e-12, err_msg=name)


def test_work_and_memory_are_those_of_the_chosen_experts() -> None:
    sizes = {"B": 4, "T": 64}
    routed = inspect(model(f"experts({N}, 2, gated_mlp(hidden))").graph, sizes).totals
    both = attndsl.parse(f"""model M(width={WIDTH}, hidden={HIDDEN}) {{
  input x: [B, T, width]
  output y = (x |> gated_mlp(hidden) as one) + (x |> gated_mlp(hidden) as two)
}}""")
    alone = inspect(both.graph, sizes).totals
    router = 2 * 256 * WIDTH * N
    assert routed.contraction_flops == alone.contraction_flops + router
    assert routed.activation_bytes < 2 * alone.activation_bytes


def test_each_expert_starts_as_if_it_were_alone_and_decays_as_a_layer_does() -> None:
    checked = model("experts(n, 2, mlp(hidden, init=xavier))")
    start = backends.find("numpy").program(checked.graph, seed=1).parameters()["moe.experts.up.weight"]
    limit = np.sqrt(6 / (WIDTH + HIDDEN))
    assert 0.9 * limit < np.abs(start).max() <= limit
    assert decaying(checked.graph) == {"moe.router.weight", "moe.experts.up.weight", "moe.experts.down.weight"}


LOSSES = """model M(n=3) {
  input logits: [B, T, n]
  input which: int[B, T, k=2]
  output load = expert_load(which, over=n)
  output balance = balance_loss(logits, which, over=n)
  output z = z_loss(logits, over=n)
}"""


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_losses_of_the_router(backend: str) -> None:
    logits = np.random.default_rng(0).standard_normal((2, 4, 3))
    which = chosen(logits, 2)
    found = attndsl.parse(LOSSES).run({"logits": logits, "which": which}, backend=backend)
    load = np.bincount(which.ravel(), minlength=3) / (which.size / 3)
    np.testing.assert_allclose(found["load"], load, rtol=1e-6)
    np.testing.assert_allclose(found["balance"], (load * softmax(logits).mean((0, 1))).sum(), rtol=1e-6)
    np.testing.assert_allclose(found["z"], (np.log(np.exp(logits).sum(-1)) ** 2).mean(), rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "code", "said"),
    [
        ("experts(n, 2, linear(hidden))", "E0208", "declares [*, D] but returns"),
        ("take(mlp(hidden), over=[expert=n])", "E0204", "an index must be an int"),
        ("take(mlp(hidden), int(x), over=[expert=n])", "E0201", "the index chooses along `width`"),
        ("take(layer_norm, 0 * range(T), over=[width=n])", "E0205", "one is chosen along `width`"),
        ("take(mlp(hidden))", "E0103", "needs an index"),
        ("take(other, 0 * range(T), over=[expert=n])", "E0105", "`other` is one layer"),
        ("take(keeping, 0 * range(T), over=[expert=n])", "E0115", "in a block that is chosen"),
        ("take(mlp(hidden), 2, 0 * range(T), over=n)", "E0104", "one too many"),
    ],
)
def test_what_cannot_be_chosen_is_told(call: str, code: str, said: str) -> None:
    with pytest.raises(AttnError) as caught:
        attndsl.parse(f"""
block keeping(x: [*, D]) -> [*, D] {{
  state last: [] = 0.0
  last <- sum(x, over=[*, D])
  return x + last
}}
model M(width=6, hidden=7, n=5) {{
  input x: [B, T, width]
  layer other = mlp(hidden)
  output y = {"" if call == "take(mlp(hidden))" else "x |> "}{call} as moe
  output z = other(x)
}}""")
    (told,) = caught.value.diagnostics
    assert told.code == code
    assert said in told.message or said in (told.primary.text if told.primary else "")


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_a_state_follows_the_load_in_training_alone(backend: str, x: Array) -> None:
    checked = model("experts(n, 2, mlp(4), rate=0.25)")
    made = backends.find(backend).program(checked.graph, dtype="float64", seed=1)
    made.load(parameters(made))
    score = softmax(x @ made.parameters()["moe.router.weight"])
    moved = made.run({"x": x}, training=True).states
    load = np.bincount(chosen(score, 2).ravel(), minlength=N)
    np.testing.assert_allclose(moved["moe.router.drift"], 0.25 * np.sign(load.mean() - load))
    used = made.run({"x": x}, states=moved).states
    np.testing.assert_array_equal(used["moe.router.drift"], moved["moe.router.drift"])
    again = made.run({"x": x}, states=moved, training=True).states
    load = np.bincount(chosen(score + moved["moe.router.drift"], 2).ravel(), minlength=N)
    further = 0.25 * np.sign(load.mean() - load)
    np.testing.assert_allclose(again["moe.router.drift"], moved["moe.router.drift"] + further)


def test_the_textual_graph_keeps_what_is_stacked() -> None:
    graph = model("experts(n, 2, mlp(4))").graph
    again = parse_text(to_text(graph))
    assert [info.stacks for info in again.parameters] == [info.stacks for info in graph.parameters]
    assert {info.stacks for info in again.parameters} == {(), (2,)}
