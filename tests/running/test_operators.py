"""Every backend computes what the operators mean, on the operators' own samples and each of its devices."""

from __future__ import annotations

import numpy as np
import pytest

from attndsl import ops
from attndsl.running import backends
from attndsl.running.backends import Backend
from tests.samples.devices import on_each_device
from tests.samples.ops import SAMPLES, Sample

CASES = [
    pytest.param(sample, id=f"{name}-{i}") for name, samples in SAMPLES.items() for i, sample in enumerate(samples)
]
JUDGED = [
    each
    for name, backend in backends.backends().items()
    if not backend.is_reference
    for each in on_each_device(backend, backend, id=name)
]


def inputs(sample: Sample) -> dict[str, np.ndarray]:
    return {f"x{i}": array for i, array in enumerate(sample.arrays("float64"))}


@pytest.mark.parametrize("sample", CASES)
@pytest.mark.parametrize(("backend", "device"), JUDGED)
def test_a_result_is_what_the_operator_means(backend: Backend, device: str, sample: Sample) -> None:
    graph, given = sample.graph(), inputs(sample)
    found = backend.program(graph, dtype="float64", device=device).run(given)["y"]
    meant = backends.reference().program(graph, dtype="float64").run(given)["y"]
    assert found.dtype == meant.dtype
    assert found.shape == meant.shape
    if not isinstance(sample.op, ops.Uniform):  # each backend draws with its own generator
        np.testing.assert_allclose(found, meant, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sample", [case for case in CASES if case.values[0].output.dtype == "float"])
@pytest.mark.parametrize(("backend", "device"), JUDGED)
def test_a_gradient_is_the_operators(backend: Backend, device: str, sample: Sample) -> None:
    graph, given = sample.graph(), inputs(sample)
    right = backends.reference().program(graph, dtype="float64")
    upstream = {"y": np.random.default_rng(0).standard_normal(right.run(given)["y"].shape)}
    _, _, found = backend.program(graph, dtype="float64", device=device).gradients(given, upstream)
    _, _, meant = right.gradients(given, upstream)
    assert found.keys() == meant.keys()
    for name, gradient in meant.items():
        np.testing.assert_allclose(found[name], gradient, rtol=1e-11, atol=1e-11, err_msg=name)


NOT_FINITE = [np.nan, np.inf, -np.inf, 0.0, -0.0]
POISONED = [case for case in CASES if any(t.dtype == "float" for t in case.values[0].types)]


@pytest.mark.parametrize("sample", POISONED)
@pytest.mark.parametrize(("backend", "device"), JUDGED)
def test_what_is_not_finite_goes_through_alike(backend: Backend, device: str, sample: Sample) -> None:
    """NaN, infinities and zeros of both signs among the operands: the same results, and the same gradients."""
    graph, draw = sample.graph(), np.random.default_rng(0)
    right = backends.reference().program(graph, dtype="float64")
    judged = backend.program(graph, dtype="float64", device=device)
    given = inputs(sample)
    for name, array in given.items():
        if array.dtype.kind == "f":
            given[name] = np.where(draw.random(array.shape) < 0.5, array, draw.choice(NOT_FINITE, array.shape))
    meant = right.run(given)["y"]
    np.testing.assert_allclose(judged.run(given)["y"], meant, rtol=1e-12, atol=1e-12)
    if meant.dtype.kind != "f" or isinstance(sample.op, (ops.CumProd, ops.Prod)):  # torch's divide by elements
        return
    upstream = {"y": draw.standard_normal(meant.shape)}
    _, _, found = judged.gradients(given, upstream)
    _, _, wanted = right.gradients(given, upstream)
    for name, gradient in wanted.items():
        np.testing.assert_allclose(found[name], gradient, rtol=1e-10, atol=1e-11, err_msg=name)
