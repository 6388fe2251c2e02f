"""Every operator as ONNX says it, on the operators' own samples, with lengths known and with lengths open."""

from __future__ import annotations

import numpy as np
import pytest

from attndsl import ops
from attndsl.graph import Graph
from attndsl.onnx_export import to_onnx
from attndsl.onnx_export.body import WITHOUT_RULE
from attndsl.records import replace
from attndsl.running import backends
from tests.onnx_export.runtime import results, session
from tests.samples.ops import SAMPLES, Sample, axes, axis, fixed, typed

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

RANDOM = 21  # the last opset whose random numbers ONNX Runtime has
CASES = [
    pytest.param(sample, id=f"{name}-{i}")
    for name, samples in SAMPLES.items()
    for i, sample in enumerate(samples)
    if type(sample.op) not in WITHOUT_RULE
]


def opened(graph: Graph) -> Graph:
    """The graph with every length that an input can bind left to it."""
    axes = (axis for info in graph.inputs for axis in info.value.type.axes)
    bound = {name for axis in axes for name in axis.size.symbols if str(axis.size) == name}
    return replace(graph, sizes={name: value for name, value in graph.sizes.items() if name not in bound})


@pytest.mark.parametrize("known", [True, False], ids=["known lengths", "open lengths"])
@pytest.mark.parametrize("sample", CASES)
def test_a_result_is_what_the_operator_means(sample: Sample, known: bool) -> None:
    graph = sample.graph()
    given = {f"x{i}": array for i, array in enumerate(sample.arrays("float32"))}
    meant = backends.reference().program(graph, dtype="float32").run(given)["y"]
    opset = RANDOM if isinstance(sample.op, ops.Uniform) else 23
    found = results(session(to_onnx(graph if known else opened(graph), {}, opset=opset)), given)["y"]
    assert found.dtype == meant.dtype
    assert found.shape == meant.shape
    if isinstance(sample.op, ops.Uniform):
        assert ((found >= 0) & (found < 1)).all()
    else:
        np.testing.assert_allclose(found, meant, rtol=2e-6, atol=2e-6)


def test_a_mask_without_queries_is_one_for_each() -> None:
    """ONNX Runtime takes no mask that is repeated along the queries."""
    facts = ops.MaskFacts(keys_only=True, data=False, may_be_empty=False)
    attention = ops.Attention(axes("D"), axis("S"), masked=True, mask=facts)
    types = [typed(text) for text in ("float B T H D", "float B S H D", "float B S H R", "bool S")]
    sample = Sample(attention, tuple(types), makers={3: fixed([True, False, True, True])})
    test_a_result_is_what_the_operator_means(sample, True)


NOT_FINITE = [np.nan, np.inf, -np.inf, 0.0, -0.0]
POISONED = (ops.Softmax, ops.Where, ops.Sign, ops.Sum, ops.Mean, ops.Add, ops.Mul, ops.Concat, ops.Take)


@pytest.mark.parametrize("sample", [case for case in CASES if isinstance(case.values[0].op, POISONED)])
def test_what_is_not_finite_goes_through_alike(sample: Sample) -> None:
    graph, draw = sample.graph(), np.random.default_rng(0)
    given = {f"x{i}": array for i, array in enumerate(sample.arrays("float32"))}
    for name, array in given.items():
        if array.dtype.kind == "f":
            given[name] = np.where(draw.random(array.shape) < 0.5, array, draw.choice(NOT_FINITE, array.shape))
            given[name] = given[name].astype("float32")
    meant = backends.reference().program(graph, dtype="float32").run(given)["y"]
    found = results(session(to_onnx(graph, {})), given)["y"]
    np.testing.assert_allclose(found, meant, rtol=2e-6, atol=2e-6)
