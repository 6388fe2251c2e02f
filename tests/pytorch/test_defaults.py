"""Inputs that are left out on PyTorch: as NumPy has it, readable, in one graph, and alone in a file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.graph import Graph
from attndsl.passes import optimize
from attndsl.running.inputs import example_inputs
from tests.elaborate.test_defaults import TAGGED
from tests.samples.graphs import GRAPHS
from tests.std.meaning import written

pytestmark = pytest.mark.torch

Array = np.ndarray[Any, Any]

TRANSLATE = """
model M(vocab=10, width=8, heads=2) {
  input source: int[B, S] where source < vocab
  input source_valid: bool[B, S] optional = true
  input target: int[B, T] optional where target < vocab
  input target_valid: bool[B, T] optional = target > 0
  input temperature: [B] optional = 1.0
  layer wte = embedding(vocab, width)
  output memory = wte(source) |> attention(heads, mask=keys(source_valid)) as encode
  y = wte(target) |> attention(heads, mask=causal & keys(target_valid)) as decode
  y = y |> attention(memory, heads, mask=keys(source_valid)) as cross
  output logits = dot(y, wte.table, over=width) / temperature
  output count = sum(target_valid, over=[B, T])
}
"""


def _inputs(graph: Graph, **sizes: int) -> dict[str, Array]:
    found = example_inputs(graph, sizes or None, seed=1)
    return {name: a.astype("float64") if a.dtype == "float32" else a for name, a in found.items()}


def _subsets(graph: Graph, inputs: dict[str, Array]) -> list[dict[str, Array]]:
    optional = [info.name for info in graph.inputs if info.optional]
    left = [names for count in range(len(optional) + 1) for names in combinations(optional, count)]
    return [{name: array for name, array in inputs.items() if name not in names} for names in left]


GRAPH: dict[str, Callable[[], Graph]] = {
    "tagged": lambda: written(TAGGED),
    "translate": lambda: written(TRANSLATE),
    "sample": GRAPHS["defaults"],
}


@pytest.mark.parametrize("name", GRAPH)
def test_values_and_gradients_are_numpys(name: str) -> None:
    """For every choice of what is left out, with a row that attends to nothing where the mask is given."""
    from attndsl.backends.pytorch import TorchProgram

    graph = GRAPH[name]()
    mine = NumpyProgram(graph, dtype="float64", seed=4)
    theirs = TorchProgram(graph, dtype="float64", parameters=mine.parameters())
    inputs = _inputs(graph)
    for mask in ("valid", "source_valid"):
        if mask in inputs:
            inputs[mask][0] = False
    draw = np.random.default_rng(5)
    for given in _subsets(graph, inputs):
        outputs = mine.run(given)
        found = theirs.run(given)
        assert found.keys() == outputs.keys()
        for output, array in outputs.items():
            assert found[output].dtype == array.dtype
            np.testing.assert_allclose(found[output], array, rtol=1e-12, atol=1e-12)
        cotangents = {n: draw.standard_normal(a.shape) for n, a in outputs.items() if a.dtype == np.float64}
        _, by_parameter, by_input = mine.gradients(given, cotangents)
        _, parameters, floats = theirs.gradients(given, cotangents)
        assert floats.keys() == by_input.keys()
        for address, gradient in (by_parameter | by_input).items():
            np.testing.assert_allclose((parameters | floats)[address], gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("text", [TAGGED, TRANSLATE], ids=["tagged", "translate"])
def test_leaving_out_is_giving_the_default(text: str) -> None:
    from attndsl.backends.pytorch import TorchProgram

    graph = written(text)
    program = TorchProgram(graph, dtype="float64", seed=3)
    given = {name: a for name, a in _inputs(graph).items() if name in ("tokens", "source", "target")}
    names = [info.name for info in graph.inputs if info.default is not None]
    found = program.run(given, dump=names)
    both = {**given, **{name: found[name] for name in names}}
    cotangents = {name: np.cos(a) for name, a in program.run(given).items() if a.dtype == np.float64}
    outputs, gradients, _ = program.gradients(both, cotangents)
    _, parameters, _ = program.gradients(given, cotangents)
    for name, array in outputs.items():
        np.testing.assert_allclose(array, found[name], rtol=1e-13, atol=1e-13)
    for address, gradient in parameters.items():
        np.testing.assert_allclose(gradients[address], gradient, rtol=1e-12, atol=1e-13)


def test_it_reads_as_one_would_write_it() -> None:
    from attndsl.backends.pytorch import generate_source

    source = generate_source(optimize(written(TAGGED))[0])
    head = """\
        B, T = tokens.shape
        if T > CONTEXT:
            raise ValueError(f"`T` is {T}, and may be at most {CONTEXT} (`context`)")

        # model.attn:3  input valid: bool[B, T] optional = true
        if valid is None:
            valid = torch.full((B, T), True, device=tokens.device)

        # model.attn:5  input place: int[B, T] optional = range(T) where place < context
        if place is None:
            place = torch.arange(T, device=tokens.device).expand(B, T)

        # model.attn:6  input segment: int[B, T] optional = 0 where segment < segments
        if segment is None:
            segment = torch.zeros((B, T), dtype=torch.int64, device=tokens.device)
"""
    assert head in source
    assert "valid: Tensor | None = None" in source
    assert source.count("attend(") >= 2  # the operator, fused, with the mask


def test_what_only_a_default_needs_stands_inside() -> None:
    from attndsl.backends.pytorch import generate_source

    source = generate_source(GRAPHS["defaults"]())
    lines = [line.strip() for line in source.splitlines()]
    at = lines.index("if state is None:")
    assert lines[at + 1].startswith("state = ")
    assert "tanh" in lines[at + 1]
    assert "if again is None:" in lines
    assert "again = valid" in lines

    shared = "model M { input x: [B]\n c = tanh(x)\n input w: [B] optional = exp(c)\n output y = c * w }"
    lines = [line.strip() for line in generate_source(written(shared)).splitlines()]
    assert lines.index("c = x.tanh()") < lines.index("if w is None:")  # it is needed in any case


def test_a_default_of_several_statements() -> None:
    from attndsl.backends.pytorch import TorchProgram

    graph = written("""
model M(width=4, depth=3) {
  input x: [B, T, width]
  start = mean(x, over=T) |> linear(width) as first
  repeat h in depth { start += tanh(linear(start, width) as step) }
  input state: [B, width] optional = start / (1 + start ^ 2)
  x += state
  input scale: [T] optional = cumsum(float(range(T)), over=T) + 1.0
  output y = x * scale
}
""")
    mine = NumpyProgram(graph, dtype="float64", seed=1)
    theirs = TorchProgram(graph, dtype="float64", parameters=mine.parameters())
    source = theirs.source
    loop = source.index("for block in self.h:")
    assert source.index("if state is None:") < loop < source.index("if scale is None:")
    for given in _subsets(graph, _inputs(graph)):
        np.testing.assert_allclose(theirs.run(given)["y"], mine.run(given)["y"], rtol=1e-12)


@pytest.mark.parametrize("name", ["tagged", "sample"])
def test_each_way_is_one_graph(name: str) -> None:
    import torch
    from torch._dynamo.testing import CompileCounter

    from attndsl.backends.pytorch import TorchProgram

    graph = GRAPH[name]()
    program, inputs = TorchProgram(graph), example_inputs(graph)
    for given in _subsets(graph, inputs)[:: 7 if name == "tagged" else 15]:
        torch._dynamo.reset()
        counter = CompileCounter()
        tensors = program.tensors(given)
        found = torch.compile(program.module, fullgraph=True, backend=counter)(**tensors)
        assert counter.frame_count == 1
        torch.testing.assert_close(found["y"], program.module(**tensors)["y"])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_defaults_have_the_models_dtype(dtype: str) -> None:
    from attndsl.backends.pytorch import TorchProgram

    graph = written("""
model M(width=4) {
  input tokens: int[B, T] where tokens < 8
  input weight: [B, T] optional = 0.5
  input place: [T] optional = float(range(T)) / T
  output y = embedding(tokens, 8, width) * weight * place
}
""")
    program = TorchProgram(graph, dtype=dtype)
    inputs = {"tokens": np.ones((2, 300), int)}
    assert program.module(**program.tensors(inputs))["y"].dtype == program.torch_dtype
    given = {"weight": np.full((2, 300), 0.5), "place": np.arange(300) / 300}
    np.testing.assert_array_equal(program.run(inputs)["y"], program.run({**inputs, **given})["y"])


def test_positions_that_may_be_given_are_told_apart_in_bfloat16() -> None:
    from attndsl.backends.pytorch import TorchProgram

    graph = written("""
model M {
  input x: [T]
  input place: int[T] optional = range(T)
  output y = x * sin(float(place) / 10)
}
""")
    program = TorchProgram(graph, dtype="bfloat16")
    x, place = np.ones(300), np.arange(300) + 1000
    for given, at in (({"x": x}, np.arange(300)), ({"x": x, "place": place}, place)):
        np.testing.assert_allclose(program.run(given)["y"], np.sin(at / 10), atol=0.01)


def test_where_every_input_may_be_left_out() -> None:
    from attndsl.backends.pytorch import TorchProgram

    graph = written("""
model M(width=4) {
  input a: [width] optional = 1.5
  input b: int[width] optional = range(width)
  output y = a * b
}
""")
    for program in (NumpyProgram(graph), TorchProgram(graph)):
        assert program.run({})["y"].tolist() == [0, 1.5, 3, 4.5]
        assert program.run({"b": np.ones(4, int)})["y"].tolist() == [1.5] * 4
        assert program.run({"a": np.zeros(4)}, dump=["b"])["b"].tolist() == [0, 1, 2, 3]


def test_dump_by_the_inputs_name() -> None:
    from attndsl.backends.pytorch import TorchProgram

    graph = written(TAGGED)
    program, inputs = TorchProgram(graph), example_inputs(graph, {"B": 1, "T": 3})
    names = ["valid", "place", "segment", "h.1.attn"]
    mine = NumpyProgram(graph, parameters=program.parameters())
    for given in (inputs, {"tokens": inputs["tokens"]}):
        found, expected = program.run(given, (), dump=names), mine.run(given, (), dump=names)
        for name in names:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-6)


def test_comparing_with_the_input_and_without() -> None:
    from attndsl.comparison import compare

    for text in (TAGGED, TRANSLATE):
        graph = written(text)
        inputs = example_inputs(graph)
        for given in _subsets(graph, inputs):
            for candidate in ("torch", "passes"):
                assert compare(graph, candidate=candidate, inputs=given, gradients=True, dtype="float64").ok


@pytest.mark.parametrize("in_gradient", [False, True])
def test_a_difference_is_found_where_a_default_stands_in(monkeypatch: pytest.MonkeyPatch, in_gradient: bool) -> None:
    from attndsl.backends.pytorch import lowerings
    from attndsl.backends.pytorch.expressions import SUM, Expr
    from attndsl.comparison import compare
    from attndsl.ops import Exp

    def wrong(site: Any) -> Expr:
        (x,) = site.arguments
        return Expr(f"{x.call('exp')} + ({x} - {x}.detach())", SUM) if in_gradient else x.call("expm1")

    graph = written("model M { input x: [B]\n input w: [B] optional = exp(x)\n output y = tanh(x) * w }")
    inputs = example_inputs(graph)
    monkeypatch.setitem(lowerings.LOWERINGS, Exp, wrong)
    assert compare(graph, inputs=inputs, gradients=True).ok
    result = compare(graph, inputs={"x": inputs["x"]}, gradients=True)
    assert not result.ok
    assert result.divergence is not None
    assert result.divergence.operation == "exp"
    assert result.divergence.in_gradient is in_gradient
    assert result.divergence.differs_by_itself


def test_a_difference_is_found_behind_a_default(monkeypatch: pytest.MonkeyPatch) -> None:
    from attndsl.backends.pytorch import lowerings
    from attndsl.comparison import compare
    from attndsl.ops import Exp

    graph = written("model M { input x: [B]\n input w: [B] optional = tanh(x)\n output y = cos(exp(w)) }")
    monkeypatch.setitem(lowerings.LOWERINGS, Exp, lambda site: site.arguments[0].call("expm1"))
    result = compare(graph, inputs={"x": np.ones(3, np.float32)})
    assert result.divergence is not None
    assert result.divergence.operation == "exp"


def test_the_name_is_taken_again_only_when_it_is_free() -> None:
    from attndsl.backends.pytorch import TorchProgram

    graph = written("""
model M {
  input x: [B]
  input w: [B] optional = 3.0
  old = w
  w = tanh(x) * 2
  output y = old + w * w
}
""")
    for given in _subsets(graph, {"x": np.arange(3.0), "w": np.arange(3.0)}):
        found = TorchProgram(graph, dtype="float64").run(given)["y"]
        np.testing.assert_allclose(found, given.get("w", np.full(3, 3.0)) + (np.tanh(given["x"]) * 2) ** 2)


def test_sizes_that_only_optional_inputs_show() -> None:
    from attndsl.backends.pytorch import TorchProgram

    graph = written("""
model M {
  input x: [B]
  input a: [N, 2 * L] optional
  input b: [N] optional
  output y = x * 2
  output m = sum(a, over=N) / N + L
  output n = b * N
}
""")
    mine, theirs = NumpyProgram(graph, dtype="float64"), TorchProgram(graph, dtype="float64")
    for given in _subsets(graph, _inputs(graph)):
        expected, found = mine.run(given), theirs.run(given)
        assert found.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array)


def test_the_file_runs_alone(tmp_path: Path) -> None:
    from attndsl.backends.pytorch import TorchProgram

    graph = written(TAGGED)
    program, inputs = TorchProgram(graph), example_inputs(graph)
    (tmp_path / "model.py").write_text(program.source, encoding="utf-8")
    script = f"""
import sys
sys.path += {[path for path in sys.path if path.endswith("site-packages")] + [str(tmp_path)]!r}
sys.modules["attndsl"] = None
import torch
from model import M
model = M().eval()
tokens = torch.tensor({inputs["tokens"].tolist()})
left_out = model(tokens)["y"]
given = model(tokens, valid=torch.ones_like(tokens, dtype=torch.bool), segment=torch.zeros_like(tokens))["y"]
masked = model(tokens, valid=tokens < 0)["y"]
assert torch.equal(left_out, given) and not torch.equal(left_out, masked) and masked.isfinite().all()
print("right")
"""
    (tmp_path / "script.py").write_text(script, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-I", "-S", "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout == "right\n", done.stderr
