"""`training`: what is computed in training alone and in use alone, on every path."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.diagnostics import AttnError
from attndsl.graph import Graph, Node
from attndsl.graph.reader import parse_text
from attndsl.graph.text import to_text
from attndsl.graph.verify import verify
from attndsl.ops import Add, Call, InTraining
from attndsl.passes import optimize
from tests.std.meaning import written

Array = np.ndarray[Any, Any]

NORM = """
model M(width=4, depth=2, gated=true) {
  input x: [B, T, width]
  input noise: [B, T, width] optional = (2 * x if training else tanh(x) + 1)
  repeat h in depth {
    if training {
      m = mean(x, over=[B, T])
      v = mean((x - m) ^ 2, over=[B, T])
      x = linear(x, width) as first
      w = exp(m)
    } else {
      param mean_: [width] = zeros
      param var_: [width] = 1 + uniform(0, 1)
      m = mean_
      v = var_
      x = linear(x, width) as second |> first
      w = m + h
    }
    x = (x - m) * rsqrt(v + 1) + 0.1 * w
    x += (mlp(x, 8) as mlp if not training and h == 0 else 0.5 * x)
  }
  s = scan t in T with c: [B, width] = 0.0 {
    z = tanh(x[T=t] + (linear(c, width) as rec))
    c = z * 0.5 if training and gated else z
    emit c
  }
  output y = s + noise
  output share = 1 if training else 0.5
}
"""


def inputs(**more: Array) -> dict[str, Array]:
    return {"x": np.random.default_rng(3).normal(size=(2, 3, 4)), **more}


def chosen(graph: Graph) -> list[Node]:
    return [node for node in graph.body.walk() if isinstance(node.op, InTraining)]


def both(text: str) -> tuple[Array, Array]:
    """The output `y` in training and in use."""
    program = NumpyProgram(written(text), dtype="float64", seed=2)
    return tuple(program.run(inputs(), ["y"], training=training)["y"] for training in (True, False))  # type: ignore


def model(body: str) -> str:
    return f"model M(width=4, on=true) {{\n  input x: [B, T, width]\n  {body}\n  output y = x\n}}\n"


@pytest.mark.parametrize(
    ("body", "trained", "used"),
    [
        ("x = 2 * x if training else x", 2, 1),
        ("x = 2 * x if not training else x", 1, 2),
        ("if training { x *= 2 }", 2, 1),
        ("if not training { x *= 2 } else { x *= 3 }", 3, 2),
        ("if training and on { x *= 2 } else { x *= 5 }", 2, 5),
        ("if training and not on { x *= 2 } else { x *= 5 }", 5, 5),
        ("if training or on { x *= 2 } else { x *= 5 }", 2, 2),
        ("if on and (training or not on) { x *= 2 }", 2, 1),
        ("if training and not training { x *= 2 }", 1, 1),
        ("if training or not training { x *= 2 }", 2, 2),
        ("x *= 2 if training else 0.5", 2, 0.5),
        ("a: [B, T, width] = x if training else mean(x, over=T) + 0 * x\n  x = a if training else x", 1, 1),
        ("if training { a = 2.0 * x } else if on { a = 3.0 * x } else { a = x }\n  x = a", 2, 3),
        ("a, b = split(x, over=width -> [a=2, b=2]) if training else split(2 * x, over=width -> [a=2, b=2])"
         "\n  x = concat(a, b, over=[a, b] -> width)", 1, 2),
        ("x = repeat i in 2 with s: [B, T, width] = 0.0 { s += (x if training else 2 * x) }", 2, 4),
        ("if training { repeat i in 2 { x *= 2 } }", 4, 1),
        ("x = scan t in T { if training { emit x[T=t] } else { emit 3 * x[T=t] } }", 1, 3),
        ("x = scope s { if training { return 2 * x } else { return x } }", 2, 1),
        ("layer f = mlp(4, act=relu if on else tanh)\n  y_ = f(x) * 0 if training else f(x) * 0\n  x += y_", 1, 1),
    ],
)  # fmt: skip
def test_what_is_computed_is_the_branch_of_the_moment(body: str, trained: float, used: float) -> None:
    found = both(model(body))
    for array, factor in zip(found, (trained, used), strict=True):
        np.testing.assert_allclose(array, factor * inputs()["x"])


def test_a_block_and_a_mask_may_ask_too() -> None:
    text = """
mask near(q, k) { return q >= k if training else q == k }
block noisy(on=true)(x: [*]) -> [*] {
  if on { return 3 * x } else { return x }
}
model M(width=4) {
  input x: [B, T, width]
  output y = noisy(x, on=training)
  output seen = attention(x, 1, mask=near)
}
"""
    trained, used = both(text)
    np.testing.assert_allclose(trained, 3 * used)
    program = NumpyProgram(written(text), dtype="float64", seed=2)
    same = [program.run(inputs(), ["seen"], training=training)["seen"] for training in (True, False)]
    np.testing.assert_allclose(same[0][:, 0], same[1][:, 0])
    assert abs(same[0][:, 1:] - same[1][:, 1:]).min() > 0


def test_parameters_of_both_branches_exist_and_get_their_gradients() -> None:
    graph = written(NORM)
    verify(graph)
    addresses = {info.address for info in graph.parameters}
    assert {"h.*.first.weight", "h.*.second.weight", "h.*.mean_", "h.*.mlp.up.weight"} <= addresses
    program = NumpyProgram(graph, dtype="float64", seed=1)
    for training in (True, False):
        _, gradients, _ = program.gradients(inputs(), {"y": np.ones((2, 3, 4))}, training=training)
        moved = {address for address, gradient in gradients.items() if abs(gradient).max() > 0}
        in_use = {"h.0.second.weight", "h.1.mean_", "h.0.var_", "h.0.mlp.up.weight"}
        assert in_use & moved == (set() if training else in_use)
        assert {"h.0.first.weight", "h.1.first.bias", "t.rec.weight"} <= moved


def test_only_the_branch_of_the_moment_is_computed() -> None:
    class Watching(NumpyProgram):
        def evaluate(self, node: Node, call: Call, arrays: Any) -> Array:
            seen.append(node)
            return super().evaluate(node, call, arrays)

    text = model("x = exp(x) if training else tanh(x)")
    for training, name in ((True, "exp"), (False, "tanh")):
        seen: list[Node] = []
        Watching(written(text)).run(inputs(), training=training)
        assert [node.op.name for node in seen] == [name]


def test_an_index_out_of_range_in_the_other_branch_is_no_error() -> None:
    text = """
model M(vocab=3) {
  input n: int[B]
  param table: [vocab]
  output y = take(table, n, over=vocab) if training else float(n)
}
"""
    program = NumpyProgram(written(text))
    assert program.run({"n": np.array([5])})["y"].shape == (1,)
    with pytest.raises(AttnError, match="E0801"):
        program.run({"n": np.array([5])}, training=True)


def test_the_text_form_comes_back() -> None:
    graph = written(NORM)
    text = to_text(graph)
    assert to_text(parse_text(text)) == text
    assert len(chosen(graph)) > 5
    assert any(isinstance(node.op, Add) for node in optimize(graph)[0].body.walk())


def test_what_both_branches_leave_alone_is_not_chosen_between() -> None:
    graph = written(model("a = 1.0 * x\n  if training { b = 2 * x }\n  x = a"))
    assert not chosen(graph)


@pytest.mark.torch
@pytest.mark.parametrize("passes", [True, False])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("noise", [True, False])
def test_pytorch_agrees(passes: bool, training: bool, noise: bool) -> None:
    from attndsl.backends.pytorch import TorchProgram

    graph = written(NORM)
    reference = NumpyProgram(graph, dtype="float64", seed=1)
    program = TorchProgram(graph, dtype="float64", parameters=reference.parameters(), passes=passes)
    given = inputs(noise=np.random.default_rng(1).normal(size=(2, 3, 4))) if noise else inputs()
    cotangents = {"y": np.random.default_rng(2).normal(size=(2, 3, 4)), "share": np.ones(())}
    right = reference.gradients(given, cotangents, training=training)
    for wanted, found in zip(right, program.gradients(given, cotangents, training=training), strict=True):
        for name, array in wanted.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-9, atol=1e-11, err_msg=name)


@pytest.mark.torch
def test_pytorch_reads_as_a_person_would_write_it() -> None:
    from attndsl.backends.pytorch.source import generate_source

    source = generate_source(
        written("""
model M(width=4, depth=2) {
  input x: [B, T, width]
  if training {
    m = mean(x, over=[B, T])
    v = mean((x - m) ^ 2, over=[B, T])
  } else {
    param usual: [width] = zeros
    param spread: [width] = ones
    m = usual
    v = spread
  }
  output y = (x - m) * rsqrt(v) * (2 if training else 1)
  output z = tanh(x) if training else x
}
""")
    )
    assert (
        """
            if self.training:
                # <text>:5  m = mean(x, over=[B, T])
                m = x.mean((0, 1))  # [width]
                v = ((x - m) ** 2).mean((0, 1))
            else:
                m = self.usual
                v = self.spread
""".replace("<text>", "model.attn")
        in source
    )
    assert "* (2 if self.training else 1)" in source
    assert "z = x.tanh() if self.training else x" in source


BATCH_NORM = """
block norm_by_branch(share=0.25)(x: [B, T, D]) -> [B, T, D] {
  state running: [D] = zeros
  if training {
    m = mean(x, over=[B, T])
    running <- (1 - share) * running + share * m
  } else {
    m = running
  }
  return x - m
}
block norm_by_value(share=0.25)(x: [B, T, D]) -> [B, T, D] {
  state running: [D] = zeros
  m = mean(x, over=[B, T])
  running <- (1 - share) * running + share * m if training else running
  return x - m if training else x - running
}
model M(width=4, depth=2, norm=norm_by_branch) {
  input x: [B, T, width]
  layer first = norm()
  y = first(x) if training else first(2 * x)
  repeat h in depth {
    y = tanh(y |> norm as norm)
  }
  if not training {
    repeat k in depth {
      state seen: [width] = zeros
      seen <- seen + k + 1
      y += seen
    }
  }
  output y = y
}
"""


def _steps(program: Any, states: dict[str, Array] | None = None) -> list[dict[str, Array]]:
    """What four calls give, outputs and states, the third and fourth in use."""
    found = []
    for training in (True, True, False, False):
        x = np.random.default_rng(len(found)).normal(size=(2, 3, 4))
        results = program.run({"x": x}, states=states, training=training)
        states = results.states
        found.append({**results, **states})
    return found


@pytest.mark.parametrize("way", ["plain", "optimised", pytest.param("torch", marks=pytest.mark.torch)])
def test_a_state_is_written_by_the_branch_of_the_moment(way: str) -> None:
    one, other = written(BATCH_NORM), written(BATCH_NORM.replace("norm=norm_by_branch", "norm=norm_by_value"))
    verify(one)
    expected = _steps(NumpyProgram(other, dtype="float64"))
    if way == "torch":
        from attndsl.backends.pytorch import TorchProgram

        program: Any = TorchProgram(one, dtype="float64")
    else:
        program = NumpyProgram(optimize(one)[0] if way == "optimised" else one, dtype="float64")
    for wanted, found in zip(expected, _steps(program), strict=True):
        assert wanted.keys() == found.keys()
        for name, array in wanted.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-12, atol=1e-12, err_msg=name)
    first, second, third, last = expected
    means = [np.random.default_rng(i).normal(size=(2, 3, 4)).mean((0, 1)) for i in range(2)]
    np.testing.assert_allclose(first["first.running"], 0.25 * means[0])
    np.testing.assert_allclose(second["first.running"], 0.75 * first["first.running"] + 0.25 * means[1])
    np.testing.assert_array_equal(third["first.running"], last["first.running"])
    assert [float(each["k.1.seen"][0]) for each in expected] == [0, 0, 2, 4]


def test_a_state_is_written_once_in_a_branch() -> None:
    with pytest.raises(AttnError, match="E0115"):
        written(model("state s: [width] = zeros\n  if training { s <- s + 1 }\n  s <- s + 2"))
    with pytest.raises(AttnError, match="E0115"):
        written(model("state s: [width] = zeros\n  s <- s + 2\n  if training { s <- s + 1 }"))
    written(model("state s: [width] = zeros\n  if training { s <- s + 1 } else { s <- s - 1 }"))
