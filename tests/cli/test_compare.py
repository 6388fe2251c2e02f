"""`compare`: what it measures, what it allows, and that it finds a planted mistake where it was planted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.comparison import compare, table
from attndsl.comparison import tolerance as allowed
from attndsl.comparison.draws import draw, handed_in
from attndsl.comparison.expose import exposed, places
from attndsl.comparison.sides import Sides, distance, largest, rounded
from attndsl.comparison.work import work_of
from attndsl.elaborate import load
from attndsl.graph import Graph, Region
from attndsl.graph.verify import verify
from attndsl.ops import Sin, Tanh
from attndsl.running.inputs import check_inputs, example_inputs

SPEC = """
model M(width=6, depth=3) {
  input x: [B, width]
  repeat h in depth {
    x += tanh(linear(x, width) as up)
  }
  output y = sum(x ^ 2, over=width)
  output large = x > 0
}
"""
TANH_LINE = 5


class WrongValue(Tanh):
    """A tanh that is off by a thousandth."""

    def evaluate(self, call, *arrays):
        return (Tanh.evaluate(self, call, *arrays) * 1.001).astype(call.float_dtype)


class WrongGradient(Tanh):
    """A tanh whose value is right and whose gradient is off by a thousandth."""

    def gradient(self, call, upstream, output, *arrays):
        return tuple((g * 1.001).astype(call.float_dtype) for g in Tanh.gradient(self, call, upstream, output, *arrays))


def _with(region: Region, op: Tanh) -> Region:
    nodes = tuple(
        replace(n, op=op if isinstance(n.op, Tanh) else n.op, regions=tuple(_with(r, op) for r in n.regions))
        for n in region.nodes
    )
    return replace(region, nodes=nodes)


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    path = tmp_path / "m.attn"
    path.write_text(SPEC, encoding="utf-8")
    return load(str(path), {})


def _judge(monkeypatch: pytest.MonkeyPatch, op: Tanh | None = None, weights=lambda arrays: arrays) -> None:
    """Put a NumPy program with a mistake in the place of PyTorch."""

    def judged(self: Sides, graph: Graph, arrays):
        body = _with(graph.body, op) if op is not None else graph.body
        return NumpyProgram(replace(graph, body=body), dtype=self.dtype, parameters=weights(dict(arrays)))

    monkeypatch.setattr(Sides, "judged", judged)


@pytest.mark.torch
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_equal_sides_agree(monkeypatch, graph, dtype):
    _judge(monkeypatch)
    found = compare(graph, gradients=True, dtype=dtype)
    assert found.ok
    assert found.divergence is None
    kinds = [row.kind for row in found.rows]
    assert kinds.count("output") == 2
    assert kinds.count("gradient") == 6
    assert kinds.count("input gradient") == 1
    assert found.sizes == {"B": 2}
    if dtype == "float64":
        assert all(row.absolute == 0 for row in found.rows)


@pytest.mark.torch
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_wrong_operation_is_found_where_it_first_shows(monkeypatch, graph, dtype):
    _judge(monkeypatch, WrongValue())
    found = compare(graph, gradients=True, dtype=dtype)
    assert not found.ok
    assert found.divergence is not None
    assert found.divergence.operation == "tanh"
    assert found.divergence.differs_by_itself
    assert not found.divergence.in_gradient
    assert found.divergence.spans[0].line == TANH_LINE
    shown = table(found)
    assert "DIFFERS" in shown
    assert f"m.attn:{TANH_LINE}:" in shown
    assert "x += tanh(linear(x, width) as up)" in shown


@pytest.mark.torch
def test_a_wrong_gradient_is_found_where_the_values_agree(monkeypatch, graph):
    _judge(monkeypatch, WrongGradient())
    found = compare(graph, gradients=True, dtype="float64")
    assert all(row.ok for row in found.rows if row.kind == "output")
    assert not found.ok
    assert found.divergence is not None
    assert found.divergence.in_gradient
    assert found.divergence.operation == "tanh"
    assert found.divergence.spans[0].line == TANH_LINE
    assert compare(graph, gradients=False, dtype="float64").ok


@pytest.mark.torch
def test_a_wrong_layer_is_found_in_that_layer(monkeypatch, graph):
    """The weights of the last two layers swapped: no operation is wrong, and the first wrong value is in layer 1."""

    def swapped(arrays):
        names = {name: name.replace("h.1.", "h.9.").replace("h.2.", "h.1.").replace("h.9.", "h.2.") for name in arrays}
        return {name: arrays[other] for name, other in names.items()}

    _judge(monkeypatch, weights=swapped)
    found = compare(graph, dtype="float64")
    assert found.divergence is not None
    assert found.divergence.address.startswith("h.1.up")
    assert found.divergence.operation == "parameter"
    assert not found.divergence.differs_by_itself


@pytest.mark.torch
def test_a_nan_on_one_side_is_an_infinite_difference(monkeypatch, graph):
    _judge(monkeypatch, weights=lambda arrays: {name: array * np.nan for name, array in arrays.items()})
    found = compare(graph, dtype="float64")
    rows = {row.name: row for row in found.rows}
    assert rows["y"].absolute == float("inf")
    assert rows["large"].absolute == 1.0
    assert found.to_json()["rows"][0]["max_absolute"] is None


@pytest.mark.torch
def test_the_command_says_so_and_fails(monkeypatch, attndsl, tmp_path, graph):
    _judge(monkeypatch, WrongValue())
    done = attndsl("compare", tmp_path / "m.attn", "--dtype", "float64")
    assert done.code == 1
    assert "the first value that differs: h.0" in done.out
    plain = json.loads(attndsl("compare", tmp_path / "m.attn", "--dtype", "float64", "--json").out)
    assert plain["schema"] == "attndsl.compare/1"
    assert plain["ok"] is False
    assert plain["divergence"]["operation"] == "tanh"
    assert plain["divergence"]["operation_differs_alone"] is True


def test_the_passes_keep_every_value(attndsl):
    done = attndsl(
        "compare", "gpt_nano", "--gradients", "--against", "passes", "--set", "width=32", "--set", "depth=2", "--json"
    )
    assert done.code == 0, done.err
    plain = json.loads(done.out)
    assert plain["ok"] is True
    assert {row["name"] for row in plain["rows"]} >= {"logits", "loss", "h.1.attn.q.weight"}


@pytest.mark.torch
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_pytorch_agrees(attndsl, dtype):
    done = attndsl("compare", "gpt_nano", "--gradients", "--dtype", dtype, "--set", "width=32", "--set", "depth=2")
    assert done.code == 0, done.out + done.err
    assert "arrays agree" in done.out


@pytest.mark.torch
def test_a_mistake_in_pytorch_is_found_in_the_standard_librarys_block(monkeypatch):
    """A model of blocks, whose norms and attention are fused, with one operation exchanged: both the call in the user's
    file and the line in the library's are named."""
    from attndsl.backends.pytorch import TorchProgram

    def judged(self: Sides, graph: Graph, arrays):
        body = _with(graph.body, Sin())
        return TorchProgram(replace(graph, body=body), dtype=self.dtype, parameters=arrays)

    monkeypatch.setattr(Sides, "judged", judged)
    settings = {"width": 16, "depth": 2, "heads": 2, "vocab": 64, "context": 16, "act": "tanh"}
    found = compare(load(str(Path(__file__).parent / "decoder.attn"), settings), gradients=True, dtype="float64")
    assert found.divergence is not None
    assert found.divergence.operation == "tanh"
    assert found.divergence.differs_by_itself
    assert found.divergence.address.startswith("h.0.mlp")
    own, library = found.divergence.spans
    assert own.source.name.endswith("decoder.attn")
    assert "mlp" in own.source.line(own.line)
    assert library.source.name.endswith("mlp.attn")


def test_an_exposed_graph_is_right_and_gives_the_same(graph):
    shown = exposed(graph)
    verify(shown)
    inputs = example_inputs(graph)
    plain, named = NumpyProgram(graph), NumpyProgram(shown)
    for name, array in plain.run(inputs).items():
        np.testing.assert_array_equal(array, named.run(inputs)[name])
    found = list(places(shown, inputs, check_inputs(graph, inputs)))
    assert len({place.address for place in found}) == len(found)
    assert sum(place.node.op.name == "tanh" for place in found) == 3
    values = named.run(inputs, (), dump=[place.address for place in found])
    assert len(values) == len(found)


# ---------------------------------------------------------------- distances and tolerances

numbers = st.floats(allow_nan=True, allow_infinity=True, width=32)


@given(st.lists(numbers, min_size=1, max_size=5), st.lists(numbers, min_size=1, max_size=5))
def test_distance_is_zero_for_equal_arrays_and_symmetric(left, right):
    a, b = np.array(left), np.array(right)
    assert distance(a, a) == 0
    assert distance(a, b) == distance(b, a)
    assert largest(a) < float("inf")


@given(
    st.lists(
        st.floats(width=32, allow_nan=False, allow_subnormal=False, min_value=-(2.0**99), max_value=2.0**99),
        min_size=1,
        max_size=5,
    )
)
def test_rounding_is_to_the_nearest_number_of_the_dtype(values):
    array = np.array(values, dtype="float32")
    for dtype, bits in (("bfloat16", 8), ("float32", 24)):
        nearest = rounded(array, dtype)
        np.testing.assert_array_equal(rounded(nearest, dtype), nearest)
        assert np.all(np.abs(nearest - array) <= np.abs(array) * 2.0**-bits)
    assert np.isinf(rounded(np.array([np.inf]), "bfloat16")).all()


@pytest.mark.torch
def test_rounding_to_bfloat16_is_pytorchs():
    import torch

    values = np.random.default_rng(0).standard_normal(4096).astype("float32")
    np.testing.assert_array_equal(rounded(values, "bfloat16"), torch.from_numpy(values).bfloat16().float().numpy())


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.5),
        ([np.inf], [np.inf], 0.0),
        ([np.inf], [-np.inf], np.inf),
        ([np.nan], [np.nan], 0.0),
        ([np.nan], [0.0], np.inf),
        ([], [], 0.0),
        ([1.0], [1.0, 1.0], np.inf),
        ([True, False], [True, True], 1.0),
    ],
)
def test_distance(left, right, expected):
    assert distance(np.array(left), np.array(right)) == expected


DEEP = allowed.Work(terms=10**6, depth=10**6)
SHALLOW = allowed.Work(terms=16, depth=10)


def test_the_promised_tolerances_of_float64():
    """Whatever is computed they are not more than this."""
    assert allowed.for_output("float64", 0.5, 0.0, 1.0, DEEP) == pytest.approx(0.5e-10, rel=2e-3)
    assert allowed.for_output("float64", 100.0, 0.0, 100.0, DEEP) == pytest.approx(1e-8, rel=2e-3)
    assert allowed.for_output("float64", 1e-9, 0.0, 1.0, DEEP) < 1e-12
    assert allowed.for_gradient("float64", 2.0, 0.0, 2.0, 2.0, DEEP) == pytest.approx(2e-8, rel=1e-4)


def test_what_sums_less_is_allowed_less():
    assert allowed.for_output("float64", 1.0, 0.0, 1.0, SHALLOW) < 3e-13
    assert allowed.for_gradient("float64", 1.0, 0.0, 1.0, 1.0, SHALLOW) < 3e-12


def test_the_work_of_a_graph_is_its_longest_sum_and_all_its_layers():
    one, two = (load("gpt_nano", {"depth": depth, "width": 64, "heads": 2}) for depth in (3, 6))
    sizes = check_inputs(one, example_inputs(one))
    assert work_of(one, sizes).terms == 1024  # the vocabulary is the longest sum, of its cross entropy
    grown = work_of(two, check_inputs(two, example_inputs(two))).depth - work_of(one, sizes).depth
    assert grown > 3 * 20


KINDS = (
    lambda d, *of: allowed.for_output(d, *of, 1.0, DEEP),
    lambda d, *of: allowed.for_gradient(d, *of, 1.0, 1.0, DEEP),
)


@pytest.mark.parametrize("kind", KINDS, ids=["output", "gradient"])
def test_lower_precisions_are_allowed_more_in_proportion(kind):
    values = [kind(dtype, 1.0, 1e-7) for dtype in ("float32", "float16", "bfloat16")]
    assert values == sorted(values)
    assert values[0] < 1e-5


@pytest.mark.parametrize("kind", KINDS, ids=["output", "gradient"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("cost", [1.0, 1e9, float("inf")])
def test_whatever_float32_costs_the_largest_value_bounds_what_is_allowed(kind, dtype, cost):
    assert kind(dtype, 1.0, cost) < 0.25


LOST = """
model M(width=4) {
  input x: [B, width]
  output y = exp(FACTOR * x) / exp(FACTOR * x - 1)
}
"""


@pytest.mark.torch
@pytest.mark.parametrize("factor", [1, 1000])
def test_what_is_finite_on_one_side_only_differs(tmp_path, factor):
    """e in float64; in float32 an infinity by another, as NumPy's own float32 has it."""
    path = tmp_path / "m.attn"
    path.write_text(LOST.replace("FACTOR", str(factor)), encoding="utf-8")
    inputs = {"x": np.full((2, 4), 0.3)}
    for against in ("torch", "passes"):
        found = compare(load(str(path)), candidate=against, inputs=inputs, gradients=True)
        assert found.ok == (factor == 1), table(found)
        assert all(np.isfinite(row.tolerance) for row in found.rows)
        assert found.ok or found.divergence is not None


@pytest.mark.torch
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_a_constant_that_is_too_large_rounds_to_infinity(tmp_path, dtype):
    path = tmp_path / "m.attn"
    path.write_text("model M {\n  input x: [A, C]\n  output y = where(x > 0, x, -1e39)\n}\n", encoding="utf-8")
    assert compare(load(str(path)), dtype=dtype, gradients=True).ok


DRAWN = """
model M(width=4, depth=3) {
  input x: [B, T, width]
  repeat h in depth {
    if h % 2 == 0 { x += uniform([B, T, width]) } else { x = x * uniform([T]) }
    y = scan t in T with s: [B, width] = 0.0 {
      s = s + x[T=t] * uniform([B]) + uniform([T])[T=0]
      emit s
    }
    x += log(1 - uniform([width])) + y
  }
  output y = x
}
"""


@pytest.mark.torch
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_both_sides_get_the_same_random_numbers(tmp_path, dtype):
    """Outside of loops and inside, of which every round has its own."""
    path = tmp_path / "m.attn"
    path.write_text(DRAWN, encoding="utf-8")
    graph = load(str(path))
    for against in ("torch", "passes") if dtype != "bfloat16" else ("torch",):
        found = compare(graph, candidate=against, dtype=dtype, gradients=True)
        assert found.ok, table(found)
        assert [row.name for row in found.rows] == ["y", "x"]

    given, draws = handed_in(graph)
    verify(given)
    numbers = draw(draws, {"B": 2, "T": 5, "width": 4, "depth": 3}, "bfloat16", 0)
    assert all(array.min() >= 0 and rounded(array, "bfloat16").max() < 1 for array in numbers.values())
    values = NumpyProgram(given).run({"x": np.zeros((2, 5, 4)), **numbers})["y"]
    assert len(np.unique(values)) == values.size


@pytest.mark.torch
def test_a_wrong_state_is_found(monkeypatch, tmp_path):
    """Of the call that is compared, which goes on with the states of another one."""
    path = tmp_path / "m.attn"
    path.write_text(
        "model M(width=3, depth=2) {\n  input x: [B, width]\n  repeat h in depth {\n    state s: [B, width] = zeros\n"
        "    x = 0.5 * x + s\n    s <- tanh(x)\n  }\n  output y = x\n}\n"
    )
    graph = load(str(path), {})
    _judge(monkeypatch)
    found = compare(graph, gradients=True)
    assert found.ok
    assert [(row.kind, row.name) for row in found.rows] == [
        ("output", "y"), ("state", "h.0.s"), ("state", "h.1.s"), ("input gradient", "x"),
    ]  # fmt: skip
    _judge(monkeypatch, WrongValue())
    found = compare(graph)
    assert [row.ok for row in found.rows] == [True, False, False]
    assert found.divergence is not None
    assert found.divergence.operation == "tanh"
    assert found.divergence.spans[0].line == 6
