"""Repeats and scans in every form in which they are written."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from attndsl import ops
from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.backends.numpy_reference.plan import values as every_value
from attndsl.diagnostics import AttnError
from attndsl.graph import Graph, Value
from attndsl.running.inputs import example_inputs
from tests.samples.graphs import GraphBuilder, repeat
from tests.samples.ops import axes, axis, size
from tests.std.meaning import written

pytestmark = pytest.mark.torch


def _step(b: GraphBuilder, x: Value, weight: str) -> Value:
    return b.emit(ops.Tanh(), b.emit(ops.Mul(), x, b.parameter(weight, "D")))


def called_twice() -> Graph:
    """The same layers gone through twice: a class for the first time, the modules' parameters in place the second."""
    b = GraphBuilder("Twice", D=3, depth=2)
    x = b.input("x", "float B D")
    for _ in range(2):
        (x,) = b.loop(ops.Repeat("h", size("depth"), None, 1), (x,), lambda i, _, x: (_step(i, x, "h.*.w"),))
    b.output("y", x)
    return b.graph()


def cases_in_place() -> Graph:
    """A repeat without parameters whose body differs from round to round."""
    b = GraphBuilder("Cases", D=3, depth=4)
    x = b.input("x", "float B D")

    def even(i: GraphBuilder, index: Value, x: Value, y: Value) -> tuple[Value, ...]:
        return y, i.emit(ops.Sin(), i.emit(ops.Add(), x, index)), i.emit(ops.Mul(), x, i.constant(2.0))

    def odd(i: GraphBuilder, index: Value, x: Value, y: Value) -> tuple[Value, ...]:
        return i.emit(ops.Sub(), x, y), x, y

    op = ops.Repeat("h", size("depth"), (0, 1, 1, 0), 2, (axis("depth"),))
    for name, value in zip(("x_", "y", "all"), b.loop(op, (x, b.emit(ops.Neg(), x)), even, odd), strict=True):
        b.output(name, value)
    return b.graph()


def shared_with_outside() -> Graph:
    """A body that reads a parameter of the model, a value of the function around it, a size and its index."""
    b = GraphBuilder("Shared", D=3, depth=3)
    x = b.input("x", "float T D")
    table = b.parameter("a.table", "D")
    places = b.emit(ops.Cast("float"), b.emit(ops.Range(axis("T"))))

    def body(i: GraphBuilder, index: Value, x: Value) -> tuple[Value, ...]:
        y = i.emit(ops.Mul(), _step(i, x, "h.*.w"), i.parameter("b.other.scale", "D"))
        y = i.emit(ops.Add(), y, i.emit(ops.Mul(), places, index))
        y = i.emit(ops.Div(), y, i.emit(ops.SizeOf(size("T"))))
        return (i.emit(ops.Add(), y, table),)

    b.output("y", b.loop(ops.Repeat("h", size("depth"), None, 1), (x,), body)[0])
    b.output("table", table)
    return b.graph()


def swapped() -> Graph:
    """Carried values that change places, by a scan of numbers that its place decides."""
    b = GraphBuilder("Swapped", D=3)
    x, y = b.input("x", "float T D"), b.input("y", "float D")

    def body(i: GraphBuilder, at: Value, a: Value, c: Value) -> tuple[Value, ...]:
        now = i.emit(ops.Take(axis("T")), x, at)
        return c, i.emit(ops.Add(), a, now), i.emit(ops.Mul(), now, at), i.emit(ops.Sum(axes("D")), c)

    op = ops.Scan("t", axis("T"), 2, False, (axis("T"), axis("T")))
    for name, value in zip("abcd", b.loop(op, (y, b.emit(ops.Exp(), y)), body), strict=True):
        b.output(name, value)
    return b.graph()


def sizes_by_formula() -> Graph:
    """Free sizes that no axis shows by itself: they are solved for."""
    b = GraphBuilder("Formula", D=3)
    x = b.input("x", "float 2*T D")
    length = b.emit(ops.Range(axis("T")))
    b.output("y", b.emit(ops.Mul(), b.emit(ops.Sum(axes("2*T")), x), b.emit(ops.Sum(axes("T")), length)))
    return b.graph()


def sizes_that_no_axis_gives() -> Graph:
    """A body's only axis is a product of two free sizes, and it computes with one of them: that is handed over."""
    return written("""
model M(depth=2, D=3) {
  input x: [B, T, D]
  y: [B*T, D] = rearrange(x, [B, T] -> [B * T])
  repeat h in depth {
    y += (y |> linear(D)) / (T + 1)
  }
  output y = y
}
""")


GRAPHS: dict[str, tuple[Callable[[], Graph], tuple[str, ...]]] = {
    "called twice": (called_twice, ("class Block(", "x = block(x)", "for h in self.h:", "h.w")),
    "cases in place": (cases_in_place, ("H_CASES = (0, 1, 1, 0)", "if H_CASES[i] == 0:", "elif H_CASES[i] == 1:")),
    "shared with outside": (
        shared_with_outside,
        ("(self, i: Tensor, x: Tensor", "b_other_scale: Tensor", ".unbind(), self.h)"),
    ),
    "swapped": (swapped, ("for i in range(T):", "torch.stack(")),
    "sizes that no axis gives": (sizes_that_no_axis_gives, ("(self, y: Tensor, T: int)", "y = block(y, T)")),
    "sizes by formula": (sizes_by_formula, ("T = x.shape[0] // 2",)),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_loop(name: str) -> None:
    from attndsl.backends.pytorch import TorchProgram

    build, said = GRAPHS[name]
    graph = build()
    program = TorchProgram(graph, dtype="float64")
    for text in said:
        assert text in program.source, program.source
    inputs = example_inputs(graph)
    meant = NumpyProgram(graph, dtype="float64")
    results = meant.run(inputs)
    for output, array in program.run(inputs).items():
        np.testing.assert_allclose(array, results[output], rtol=1e-12, atol=1e-12, err_msg=program.source)
    upstream = {name: np.ones_like(array) for name, array in results.items()}
    for found, wanted in zip(program.gradients(inputs, upstream), meant.gradients(inputs, upstream), strict=True):
        for address, array in wanted.items():
            np.testing.assert_allclose(found[address], array, rtol=1e-10, atol=1e-10, err_msg=address)


def test_a_stack_is_made_only_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from attndsl.backends.pytorch import TorchProgram

    program = TorchProgram(repeat(2), dtype="float64")
    inputs = {"x": np.ones((2, 3))}
    made: list[str] = []
    stack = torch.stack
    monkeypatch.setattr(torch, "stack", lambda parts, dim=0: made.append(f"{len(parts)}") or stack(parts, dim=dim))
    assert program.run(inputs, ["final"]).keys() == {"final"}
    assert made == []
    states = program.run(inputs, ["states"])["states"]
    assert made == ["2"]
    every = program.run(inputs)
    np.testing.assert_array_equal(every["states"], states)
    np.testing.assert_array_equal(every["states"][:, -1], every["final"])


def test_a_stack_that_is_not_asked_for_keeps_no_layer_alive() -> None:
    """Not even the list that it would be made of is filled."""
    from attndsl.backends.pytorch import TorchProgram

    lines = [line.strip() for line in TorchProgram(repeat(2), dtype="float64").source.splitlines()]
    append = next(i for i, line in enumerate(lines) if ".append(" in line)
    assert lines[append - 1] == 'if "states" in outputs:'


RECURRENT = """
model M(width=4, depth=2) {
  input x: [B, T, width]
  input more: [B, width] optional
  output y = walk(x) as w
  repeat l in depth {
    z = scan t in T with h: [B, width] = 0.0 {
      h = tanh(linear(x[T=t], width) as a + h)
      repeat m in 2 { h = h * linear(h, width) as q }
      k = scan u in T with g: [B, width] = h {
        g = tanh(g * x[T=u] + x[T=t])
        emit g
      }
      emit sum(k, over=T)
    }
    x += z
  }
  output z = x
  output last = x + more
}

block walk(x: [*, T, D]) -> [*, T, D] {
  return scan t in T with h: [*, D] = 0.0 {
    h = tanh(linear(x[T=t], D) as a + h)
    emit h
  }
}
"""


@pytest.mark.parametrize("length", [0, 1, 3])
def test_scans_of_every_length_in_every_place(length: int) -> None:
    """Scans in a block, in a repeat and in each other: values, gradients, and every address in them."""
    from attndsl.backends.pytorch import TorchProgram

    graph = written(RECURRENT)
    inputs = example_inputs(graph, {"T": length})
    meant = NumpyProgram(graph, dtype="float64")
    program = TorchProgram(graph, dtype="float64", parameters=meant.parameters())
    upstream = {name: np.ones_like(array) for name, array in meant.run(inputs).items()}
    for found, wanted in zip(program.gradients(inputs, upstream), meant.gradients(inputs, upstream), strict=True):
        for name, array in wanted.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-10, atol=1e-10, err_msg=name)

    names = {name for value in every_value(graph.body) for name in value.names}
    for address in sorted({name.replace("*", str(i)) for name in names for i in range(3)}):
        try:
            wanted = meant.run(inputs, (), dump=(address,))
        except AttnError:
            with pytest.raises(AttnError, match="E0808"):
                program.run(inputs, (), dump=(address,))
        else:
            found = program.run(inputs, (), dump=(address,))
            np.testing.assert_allclose(found[address], wanted[address], rtol=1e-10, atol=1e-10, err_msg=address)


def test_a_scan_takes_its_sequence_apart_once() -> None:
    """A place by itself has a gradient as long as the sequence, so that as many of them take quadratic time."""
    import torch

    from attndsl.backends.pytorch import TorchProgram

    program = TorchProgram(written(RECURRENT))
    module = program.module
    x = torch.ones(2, 5, 4, requires_grad=True)
    seen, ahead, kinds = set(), [module(x, torch.ones(2, 4))[name].grad_fn for name in ("y", "z")], []
    while ahead:
        at = ahead.pop()
        if at is not None and at not in seen:
            seen.add(at)
            kinds.append(at.name())
            ahead += [before for before, _ in at.next_functions]
    assert kinds.count("UnbindBackward0") == 5  # of the walk, and in each layer of what x gives each of its two scans
    assert not [kind for kind in kinds if kind.startswith(("Select", "Slice", "Index"))]


BEFORE = """
model M(width=4) {
  input x: [B, T, width]
  output y = scan t in T with s: [B, width] = 0.0 {
    s = s + take(x, t AWAY, over=T)
    emit s
  }
}
"""


@pytest.mark.parametrize("away", ["- 1", "+ 1"])
@pytest.mark.parametrize("dtype", ["int", "float"])
def test_a_place_beside_the_sequence_is_no_place(away: str, dtype: str) -> None:
    from attndsl.backends.pytorch import TorchProgram

    text = BEFORE.replace("AWAY", away)
    if dtype == "int":
        text = text.replace("x: [B", "x: int[B").replace("take", "float(take").replace("=T)\n", "=T))\n")
    graph = written(text)
    inputs = example_inputs(graph)
    for program in (NumpyProgram(graph), TorchProgram(graph)):
        with pytest.raises(AttnError, match="E0801"):
            program.run(inputs)


def nested(kind: str, depth: int) -> str:
    """Loops inside one another."""
    head = {
        "repeats": "repeat r{i} in {n} {{",
        "repeats that read their indices": "repeat r{i} in {n} {{",
        "repeats with parameters": "repeat r{i} in {n} {{",
        "repeats of two kinds of rounds": "repeat r{i} in 2 {{\nif r{i} == 0 {{",
        "scans": "s{before} = scan t{i} in T with s{i}: [B, width] = {start} {{",
    }[kind]
    body = {
        "repeats": "x = tanh(x)",
        "repeats that read their indices": "x = tanh(x + r0 + r3)",
        "repeats with parameters": "x = tanh(linear(x, width))",
        "repeats of two kinds of rounds": "x = tanh(x)",
        "scans": f"s{depth - 1} = tanh(s{depth - 1} + x[T=t0])",
    }[kind]
    heads = [
        head.format(i=i, n=2 if i in (0, depth - 1) else 1, before=i - 1, start=f"s{i - 1}" if i else "0.0")
        for i in range(depth)
    ]
    end = "} else { x = x * 0.5 }\n}" if kind == "repeats of two kinds of rounds" else "}"
    lines = ["model M(width=2) {", "input x: [B, T, width]", *heads, body, *[end] * depth, "output y = x + 0", "}"]
    text = "\n".join(lines)
    return text.replace("s-1 = scan", "x: [B, T, width] = scan") if kind == "scans" else text


@pytest.mark.parametrize(
    "kind",
    [
        "repeats",
        "repeats that read their indices",
        "repeats with parameters",
        "repeats of two kinds of rounds",
        "scans",
    ],
)
def test_forty_loops_inside_one_another(kind: str) -> None:
    """Python allows 20 in one function."""
    from attndsl.backends.pytorch import TorchProgram

    graph = written(nested(kind, 40))
    inputs = example_inputs(graph, {"B": 2, "T": 1})
    meant = NumpyProgram(graph, dtype="float64")
    program = TorchProgram(graph, dtype="float64", parameters=meant.parameters(), passes=False)
    results = meant.run(inputs)
    upstream = {name: np.ones_like(array) for name, array in results.items()}
    for found, wanted in zip(program.gradients(inputs, upstream), meant.gradients(inputs, upstream), strict=True):
        for name, array in wanted.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-10, atol=1e-12, err_msg=name)


def test_a_repeat_of_no_rounds_that_some_outputs_need() -> None:
    """Nothing is written for it, not even an `if`."""
    from attndsl.backends.pytorch import TorchProgram

    graph = written(
        "model M(depth=0) {\n input x: [B]\n input w: [B]\n repeat i in depth { x = tanh(x) }\n"
        " output a = x + 1\n output b = x * 2\n output c = w * 3\n}"
    )
    program = TorchProgram(graph, dtype="float64", passes=False)
    inputs = {"x": np.array([1.0, 2.0]), "w": np.array([1.0, 2.0])}
    assert program.run(inputs, ["c"])["c"].tolist() == [3, 6]
    assert program.run(inputs)["b"].tolist() == [2, 4]
