"""What steps have in common but for the place that they read is computed before a scan, and gives the same."""

from __future__ import annotations

import numpy as np
import pytest

from attndsl.backends.numpy_reference.evaluator import NumpyProgram
from attndsl.elaborate import elaborate, open_text
from attndsl.graph import Graph, Node
from attndsl.ops import Dot, Scan
from attndsl.passes import TRAINED, optimize
from attndsl.passes.linear import moving
from tests.passes.test_chunk_scans import off

HEAD = """model M(width=4, hidden=3) {
  input x: [B, T, width]
  input valid: bool[B, T] optional = true
"""
CELLS = {
    "lstm": "lstm_cell(hidden)",
    "lstm, normalised, with peepholes": "lstm_cell(hidden, norm=layer_norm, peephole=true, projection=width)",
    "gru": "gru_cell(hidden)",
    "gru, another reset": 'gru_cell(hidden, reset="before")',
    "elman": "elman_cell(hidden)",
}
SCANS = {name: f"  output y = recurrent({cell})(x, valid=valid) as r\n}}" for name, cell in CELLS.items()} | {
    "backwards, and the states": """  y, last = recurrent(lstm_cell(hidden), reverse=true, final=true)(x) as r
  output y_ = y
  output c = last[1]
}""",
    "layers of one repeat": """  repeat i in 2 {
    x = recurrent(gru_cell(width, reset="before"))(x) as r
  }
  output y = x
}""",
    "a product of two inputs": """  output y = scan t in T with h: [B, S] = 0.0 {
    scores = dot(memory, tanh(x[T=t]), over=width)
    h = tanh(h + softmax(scores, over=S) * (t + 1))
    emit h
  }
}""",
}


def spec(body: str) -> Graph:
    return elaborate(open_text(HEAD + ("  input memory: [B, S, width]\n" if "memory" in body else "") + body), {})


def scans(graph: Graph) -> list[Node]:
    return [node for node in graph.body.walk() if isinstance(node.op, Scan)]


def left(graph: Graph) -> list[str]:
    """The products in steps that what is carried takes no part in."""
    nodes = [(node, moving(scan)) for scan in scans(graph) for node in scan.regions[0].walk()]
    return [node.scope for node, moves in nodes if node.op.contracts and moves.isdisjoint(node.outputs)]


def inputs(graph: Graph) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    given = {"x": rng.standard_normal((2, 5, 4)), "valid": rng.random((2, 5)) < 0.7}
    return given | {"memory": rng.standard_normal((2, 3, 4))}


@pytest.mark.parametrize("name", SCANS)
def test_it_gives_what_steps_give(name: str) -> None:
    graph = spec(SCANS[name])
    ahead, _ = optimize(graph, passes=TRAINED)
    assert left(graph)
    assert not left(ahead)
    given = {info.name: inputs(graph)[info.name] for info in graph.inputs}
    compare(graph, NumpyProgram(ahead, dtype="float64", seed=1), given)


@pytest.mark.parametrize("name", SCANS)
def test_on_pytorch(name: str) -> None:
    pytest.importorskip("torch")
    from attndsl.backends.pytorch import TorchProgram

    graph = spec(SCANS[name])
    given = {info.name: inputs(graph)[info.name] for info in graph.inputs}
    compare(graph, TorchProgram(graph, dtype="float64", seed=1), given)


def compare(graph: Graph, program: object, given: dict[str, np.ndarray]) -> None:
    plain = NumpyProgram(graph, dtype="float64", seed=1)
    rng = np.random.default_rng(1)
    upstream = {name: rng.standard_normal(array.shape) for name, array in plain.run(given).items()}
    found, wanted = program.gradients(given, upstream), plain.gradients(given, upstream)  # type: ignore[attr-defined]
    for one, other in zip(found, wanted, strict=True):
        for name, array in other.items():
            assert off(one[name], array) < 1e-12, name


STAY = {
    "of what is carried": "h = tanh(linear(h + x[T=t], hidden))",
    "of what is drawn in the step": "h = tanh(h + linear(dropout(x[T=t], 0.5), hidden))",
    "none": "h = tanh(h + sum(x[T=t], over=width))",
}


@pytest.mark.parametrize("name", STAY)
def test_what_stays(name: str) -> None:
    body = f"  output y = scan t in T with h: [B, hidden] = 0.0 {{\n    h: [B, hidden] = {STAY[name].split(' = ')[1]}\n"
    body = body.replace("h + x[T=t]", "concat(h, x[T=t], over=[hidden, width] -> both)")
    graph = spec(body + "    emit h\n  }\n}")
    _, reports = optimize(graph, passes=TRAINED)
    assert [report.count for report in reports if report.name == "compute-ahead"] == [0]


def test_what_is_larger_than_what_it_is_made_of_stays() -> None:
    """The product leaves the loop, and what it is spread to is made there."""
    graph = spec("""  param w: [width, hidden] = normal(1)
  param u: [hidden] = normal(1)
  output y = scan t in T with h: [B, hidden, width] = 0.0 {
    part = dot(x[T=t], w, over=width)
    wide: [B, hidden, width] = part * x[T=t]
    h = tanh(h + wide)
    emit sum(h * u, over=hidden)
  }
}""")
    ahead, _ = optimize(graph, passes=TRAINED)
    assert not left(ahead)
    outside = [node for node in ahead.body.nodes if not isinstance(node.op, Scan)]
    assert any(isinstance(node.op, Dot) for node in outside)
    assert all(value.type.rank < 4 for node in outside for value in node.outputs)
    compare(graph, NumpyProgram(ahead, dtype="float64", seed=1), {"x": inputs(graph)["x"]})


def test_the_written_module_says_it_before_the_loop() -> None:
    pytest.importorskip("torch")
    from attndsl.backends.pytorch import TorchProgram

    source = TorchProgram(spec(SCANS["gru, another reset"].replace(", valid=valid", ""))).source
    before, loop = source.split("for t in range(T):")
    assert "self.r.cell.from_x(" in before
    assert "from_x(" not in loop


def test_values_in_steps_can_be_watched() -> None:
    pytest.importorskip("torch")
    from attndsl.backends.pytorch import TorchProgram

    graph = spec(SCANS["gru, another reset"])
    given = {info.name: inputs(graph)[info.name] for info in graph.inputs}
    address = next(name for scan in scans(graph) for n in scan.regions[0].walk() for v in n.outputs for name in v.names)
    found, wanted = (
        kind(graph, dtype="float64", seed=1).run(given, dump=(address,))[address]
        for kind in (TorchProgram, NumpyProgram)
    )
    np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_many_steps_on_the_way_to_a_value_are_gone_through_once() -> None:
    """Each line reads the one before twice; were it looked at as often, thirty of them would take minutes."""
    lines = "".join("    y = tanh(y) * y\n" for _ in range(40))
    body = "  output out = scan t in T with h: [B, width] = 0.0 {\n    y = x[T=t]\n"
    body += f"{lines}    h = tanh(h + y)\n    emit h\n  }}\n}}"
    optimized, _ = optimize(spec(body), passes=TRAINED)
    assert scans(optimized)
