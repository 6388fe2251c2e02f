"""A fused operator is its decomposition: the same values, gradients and cost."""

from __future__ import annotations

import numpy as np
import pytest

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.graph import Graph, InputInfo, OutputInfo, Value
from attndsl.graph.builder import Builder
from attndsl.ops import OPS, Dot, Fused
from attndsl.sizes import Size
from tests.samples.ops import SAMPLES, Sample

ALL = [sample for name, op in OPS.items() if issubclass(op, Fused) for sample in SAMPLES[name]]


def expanded(sample: Sample) -> Graph:
    assert isinstance(sample.op, Fused)
    builder = Builder()
    values = tuple(Value(type) for type in sample.types)
    result = sample.op.expand(builder, *values)
    assert not any(isinstance(node.op, Fused) for node in builder.nodes)
    return Graph(
        name="Expanded",
        hyperparameters={},
        sizes=dict(sample.sizes),
        inputs=tuple(InputInfo(f"x{i}", value) for i, value in enumerate(values)),
        outputs=(OutputInfo("y", result),),
        parameters=(),
        constraints=(),
        scopes={},
        body=builder.region(values, (result,)),
    )


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("sample", ALL, ids=str)
def test_expansion(sample: Sample, training: bool) -> None:
    fused, apart = sample.graph(), expanded(sample)
    assert fused.outputs[0].value.type == apart.outputs[0].value.type
    inputs = {f"x{i}": array for i, array in enumerate(sample.arrays("float64"))}
    one, other = (NumpyProgram(graph, dtype="float64") for graph in (fused, apart))
    cotangents = {"y": np.random.default_rng(0).standard_normal(one.run(inputs)["y"].shape)}
    options = {"training": training, "seed": 3, "step": 4}
    (y, _, gradients), (same, _, others) = (p.gradients(inputs, cotangents, **options) for p in (one, other))
    np.testing.assert_allclose(y["y"], same["y"], rtol=1e-12, atol=1e-13)
    assert gradients.keys() == others.keys()
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, others[name], rtol=1e-9, atol=1e-12)


def test_cost_of_attention_is_that_of_its_products_and_a_little() -> None:
    sample = SAMPLES["attention"][0]
    q, _, v = sample.types
    score = Dot(sample.op.contract).infer(*sample.types[:2])  # type: ignore[attr-defined]
    products = score.elements * (q.axes[-1].size + v.axes[-1].size) * 2
    total = sample.op.flops(sample.output, *sample.types)
    assert total == products + score.elements * 5  # softmax


def test_cost_of_a_norm_is_in_proportion_to_its_elements() -> None:
    sample = SAMPLES["layer_norm"][0]
    total = sample.op.flops(sample.output, *sample.types)
    share = total.exact({**sample.sizes, "D": 10**9}) / sample.output.elements.exact({**sample.sizes, "D": 10**9})
    assert 6 < share < 8


def test_moving_costs_nothing() -> None:
    for name in ("rename", "transpose", "take", "concat", "slice", "where", "cast", "and", "range"):
        for sample in SAMPLES[name]:
            assert sample.op.flops(sample.output, *sample.types) == Size.of(0)
