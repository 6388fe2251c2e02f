"""`attend` and `attention` against softmax(q k) v written out with NumPy, and what addresses and axes they make."""

from __future__ import annotations

import numpy as np
import pytest

import attndsl
from attndsl import AttnError
from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.ops import Attention
from attndsl.passes import optimize
from tests.std.meaning import written

HEADS, KV, KEY, VALUE, B, T, S = 4, 2, 3, 5, 2, 6, 7
ON_TENSORS = """
mask odd_heads(n)(h in n, q, k) = h % 2 == 1 or k <= q
model M(heads=4, kv=2, key=3, value=5) {
  input q: [B, heads, T, key]
  input k: [B, SHARED, S, key]
  input v: [B, SHARED, S, value]
  input sink: [heads]
  input valid: bool[B, S]
  output y = CALL
}
"""


def given(shared: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    return {
        "q": draw.standard_normal((B, HEADS, T, KEY)),
        "k": draw.standard_normal((B, shared, S, KEY)),
        "v": draw.standard_normal((B, shared, S, VALUE)),
        "sink": draw.standard_normal(HEADS),
        "valid": draw.random((B, S)) < 0.7,
    }


def attended(
    arrays: dict[str, np.ndarray], *, scale: float = KEY**-0.5, cap: float = 0, bias: object = 0.0, mask: object = True,
    sink: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    q, k, v = arrays["q"], *(np.repeat(arrays[name], HEADS // arrays[name].shape[1], 1) for name in "kv")
    score = np.einsum("bhtd,bhsd->bhts", q, k) * scale
    score = cap * np.tanh(score / cap) if cap else score
    weight = np.exp(score + bias) * np.broadcast_to(mask, score.shape)
    total = weight.sum(-1, keepdims=True) + (0 if sink is None else np.exp(sink)[:, None, None])
    return np.einsum("bhts,bhsd->bhtd", weight / total, v)


CAUSAL = np.arange(S) <= np.arange(T)[:, None]
SLOPES = -(2.0 ** (-8 * (np.arange(HEADS) + 1) / HEADS))[:, None, None] * abs(np.arange(T)[:, None] - np.arange(S))
ODD = (np.arange(HEADS) % 2 == 1)[:, None, None] | CAUSAL
CALLS = {
    "attend(q, k, v)": (HEADS, {}),
    "attend(q, k, v, scale=2, cap=1.5)": (HEADS, {"scale": 2, "cap": 1.5}),
    "attend(q, k, v, sink=sink)": (HEADS, {"sink": True}),
    "attend(q, k, v, mask=causal, position=alibi(heads), cap=2)": (HEADS, {"mask": CAUSAL, "bias": SLOPES, "cap": 2}),
    "attend(q, k, v, mask=odd_heads(heads), sink=sink, cap=2)": (HEADS, {"mask": ODD, "sink": True, "cap": 2}),
    "attend(rearrange(q, [heads] -> [kv, g=heads / kv]), k, v, cap=3) |> rearrange([kv, g=heads / kv] -> [heads])":
        (KV, {"cap": 3}),
}  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("backend", ["numpy", pytest.param("torch", marks=pytest.mark.torch)])
def test_attend_is_what_the_formula_says(call: str, backend: str) -> None:
    shared, options = CALLS[call]
    arrays = given(shared)
    model = attndsl.parse(ON_TENSORS.replace("CALL", call).replace("SHARED", {HEADS: "heads", KV: "kv"}[shared]))
    found = model.run(arrays, backend=backend, dtype="float64")["y"]
    options = {**options, "sink": arrays["sink"] if options.get("sink") else None}
    np.testing.assert_allclose(found, attended(arrays, **options), atol=1e-12)
    (op,) = [node.op for node in optimize(model.graph)[0].body.walk() if isinstance(node.op, Attention)]
    assert (op.cap, op.sunk) == (options.get("cap", 0), options["sink"] is not None)


def test_attention_hands_its_heads_to_attend() -> None:
    """Per-head masks and biases with grouped queries, and what each head learns, at addresses of the layer's own."""
    model = attndsl.parse("""
mask odd_heads(n)(h in n, q, k) = h % 2 == 1 or k <= q
model M(width=16, heads=4, kv=2) {
  input x: [B, T, width]
  layer a = attention(heads, kv_heads=kv, mask=odd_heads(heads), position=alibi(heads), q_norm=rms_norm,
                      k_norm=rms_norm, sink=true, k_bias=false)
  output y = a(x)
}
""")
    assert [info.address for info in model.graph.parameters] == [
        "a.q.weight", "a.q.bias", "a.k.weight", "a.v.weight", "a.v.bias", "a.q_norm.scale", "a.k_norm.scale", "a.sink",
        "a.out.weight", "a.out.bias",
    ]  # fmt: skip
    draw = np.random.default_rng(1)
    w = {info.address[2:]: draw.standard_normal([a.size.value(model.graph.sizes) for a in info.type.axes])
         for info in model.graph.parameters}  # fmt: skip
    x = draw.standard_normal((2, 5, 16))
    program = NumpyProgram(model.graph, dtype="float64", parameters={f"a.{name}": array for name, array in w.items()})
    found = program.run({"x": x})["y"]

    def heads(name: str, n: int, bias: object) -> np.ndarray:
        y = (x @ w[f"{name}.weight"] + bias).reshape(2, 5, n, 4).transpose(0, 2, 1, 3)
        if f"{name}_norm.scale" in w:
            y = y / np.sqrt((y**2).mean(-1, keepdims=True) + 1e-6) * w[f"{name}_norm.scale"]
        return y

    arrays = {"q": heads("q", 4, w["q.bias"]), "k": heads("k", 2, 0), "v": heads("v", 2, w["v.bias"])}
    distance = abs(np.arange(5)[:, None] - np.arange(5))
    slopes = -(2.0 ** (-8 * (np.arange(4) + 1) / 4))[:, None, None] * distance
    mask = (np.arange(4) % 2 == 1)[:, None, None] | np.tri(5, dtype=bool)
    mixed = attended(arrays, scale=0.5, bias=slopes, mask=mask, sink=w["sink"])
    wanted = mixed.transpose(0, 2, 1, 3).reshape(2, 5, 16) @ w["out.weight"] + w["out.bias"]
    np.testing.assert_allclose(found, wanted, atol=1e-10)


@pytest.mark.parametrize(
    "given",
    [
        "input x: [B, heads, T, width]\n  output y = attention(x, heads, position=alibi(heads), mask=causal)",
        "input x: [B, heads, width]\n  output y = attention(x, heads, mask=causal)",
        "input x: [B, T, heads]\n  output y = attention(x, heads, head=2, position=alibi(heads))",
        "input x: [B, head, T, group, width]\n  output y = attention(x, heads, kv_heads=2, position=alibi(heads))",
    ],
)
def test_an_axis_of_the_callers_may_be_called_as_the_heads_are(given: str) -> None:
    model = attndsl.parse(f"model M(width=8, heads=4, head=3, group=2) {{\n  {given}\n}}")
    sizes = {"B": 2, **({"T": 3} if "T" in model.graph.free_sizes else {})}
    x = np.random.default_rng(0).standard_normal([a.size.value({**model.graph.sizes, **sizes})
                                                  for a in model.graph.inputs[0].value.type.axes])  # fmt: skip
    assert model.run({"x": x}, backend="numpy")["y"].shape == x.shape


def test_a_block_may_have_no_part_in_the_address() -> None:
    text = """
block inner(n)(x: [*, D]) -> [*, D] {
  param gain: [D] = ones
  return linear(x, n) * gain + linear(x, n) as last
}
block outer(x: [*, D]) -> [*, D] {
  y = linear(x, D)
  return inner(D)(y) as _
}
model M(width=4) {
  input x: [B, width]
  output y = outer(x) as o
}
"""
    addresses = [info.address for info in attndsl.parse(text).graph.parameters if not info.address.endswith("bias")]
    assert addresses == ["o.linear.weight", "o.gain", "o.linear_2.weight", "o.last.weight"]
    with pytest.raises(AttnError, match="adds no part to the addresses"):
        attndsl.parse(text.replace("y = linear(x, D)", "param _: [D]\n  y = x"))


def test_an_axis_may_be_called_as_another_one_inside_attend() -> None:
    """The values' axis is `S`, which is what `attend` calls its keys."""
    graph = written(
        "model M(width=4) {\n  input x: [B, T, width]\n  input v: [B, T, S]\n  output y: [B, T, S] = attend(x, x, v)\n}"
    )
    draw = np.random.default_rng(0)
    x, v = draw.standard_normal((2, 3, 4)), draw.standard_normal((2, 3, 5))
    weights = np.exp(np.einsum("btd,bsd->bts", x, x) / 2)
    weights /= weights.sum(-1, keepdims=True)
    found = NumpyProgram(graph, dtype="float64").run({"x": x, "v": v})["y"]
    np.testing.assert_allclose(found, weights @ v, rtol=1e-12)


SCORES = {
    "dot_score": lambda q, k, p: np.einsum("bth,bsh->bts", q, k),
    "bilinear_score": lambda q, k, p: np.einsum("bth,he,bse->bts", q, p["query.weight"], k),
    "additive_score(7)": lambda q, k, p: np.einsum(
        "btsn,n->bts", np.tanh((q @ p["query.weight"])[:, :, None] + (k @ p["key.weight"])[:, None]), p["v"]
    ),
}
ONE_BY_ONE = """
model M(width=3, wide=4, value=5) {
  input q: [B, T, width]
  input k: [B, S, WIDE]
  input v: [B, S, value]
  input valid: bool[B, S] optional = true
  layer score = SCORE
  output scores = score(q, k)
  output many = attend_once(q, k, v, score, valid=valid) as _
  output one = scan t in T {
    emit attend_once(q[T=t], k, v, score, valid=valid) as _
  }
  output first = attend_once(q[T=0], k, v, score, valid=valid) as _
  output all = attend(linear(q, 4) as a, linear(k, 4) as b, v, position=SCORE, scale=1, mask=keys(valid)) as all
}
"""


@pytest.mark.parametrize("passes", [True, False])
@pytest.mark.parametrize("valid", [True, False])
@pytest.mark.parametrize("call", SCORES)
def test_scores_for_one_query_and_for_many(call: str, valid: bool, passes: bool) -> None:
    wide = 3 if call == "dot_score" else 4
    graph = written(ONE_BY_ONE.replace("SCORE", call).replace("WIDE", "width" if wide == 3 else "wide"))
    program = NumpyProgram(optimize(graph)[0] if passes else graph, dtype="float64", seed=1)
    draw = np.random.default_rng(0)
    inputs = {
        name: draw.standard_normal(shape) for name, shape in (("q", (B, T, 3)), ("k", (B, S, wide)), ("v", (B, S, 5)))
    }
    seen = draw.random((B, S)) < 0.6 if valid else np.ones((B, S), bool)
    found = program.run(inputs | ({"valid": seen} if valid else {}))
    parameters = {address.removeprefix("score."): array for address, array in program.arrays.items()}

    def context(score: np.ndarray) -> np.ndarray:
        weight = np.exp(score) * seen[:, None]
        return np.einsum("bts,bsv->btv", weight / weight.sum(-1, keepdims=True), inputs["v"])

    score = SCORES[call](inputs["q"], inputs["k"], parameters)
    np.testing.assert_allclose(found["scores"], score, rtol=1e-12, atol=1e-13)
    for name in ("many", "one"):
        np.testing.assert_allclose(found[name], context(score), rtol=1e-12, atol=1e-13, err_msg=name)
    np.testing.assert_allclose(found["first"], context(score)[:, 0], rtol=1e-12, atol=1e-13)
    inside = {a.split(".", 2)[2]: array for a, array in program.arrays.items() if a.startswith("all.")}
    q, k = (
        inputs[i] @ program.arrays[f"{a}.weight"] + program.arrays[f"{a}.bias"] for i, a in (("q", "a"), ("k", "b"))
    )
    np.testing.assert_allclose(found["all"], context(SCORES[call](q, k, inside)), rtol=1e-12, atol=1e-13)


def test_a_product_needs_one_size() -> None:
    with pytest.raises(AttnError, match="`bilinear_score` and `additive_score` take any"):
        written(ONE_BY_ONE.replace("SCORE", "dot_score").replace("WIDE", "wide"))
