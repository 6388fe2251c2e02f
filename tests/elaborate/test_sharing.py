"""Layers that are shared across repeats have one set of parameters, wherever and however often they are applied."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies

from attndsl.backends.numpy_reference.evaluator import NumpyProgram
from attndsl.elaborate import elaborate, open_text
from attndsl.graph.verify import verify
from attndsl.inspection import inspect
from attndsl.passes import optimize
from tests.elaborate.shared_programs import program

INPUTS = {"x": np.linspace(-1.0, 1.0, 6).reshape(2, 3)}
COTANGENTS = {"y": np.array([[1.0, -2.0, 0.5], [0.3, 1.0, -1.0]])}


def graph_of(text: str):
    return elaborate(open_text(text), {})


def results(program) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    outputs, gradients, _ = program.gradients(INPUTS, COTANGENTS)
    return np.asarray(outputs["y"]), gradients


@settings(max_examples=40, deadline=None)
@given(strategies.integers(0, 10**6))
def test_a_program_is_what_it_is_written_out(seed: int) -> None:
    written = program(seed)
    rolled, unrolled = graph_of(written.rolled), graph_of(written.unrolled)
    addresses = [address for info in rolled.parameters for address in info.addresses()]
    assert sorted(addresses) == sorted(written.pairs)
    flat = [address for info in unrolled.parameters for address in info.addresses()]
    assert sorted(flat) == sorted(written.pairs.values())
    assert inspect(rolled).totals.parameters == inspect(unrolled).totals.parameters
    assert inspect(rolled).totals.flops == inspect(unrolled).totals.flops

    reference = NumpyProgram(rolled, dtype="float64", seed=seed)
    parameters = reference.parameters()
    other = NumpyProgram(
        unrolled, dtype="float64", parameters={flat: parameters[address] for address, flat in written.pairs.items()}
    )
    y, gradients = results(reference)
    expected, wanted = results(other)
    np.testing.assert_allclose(y, expected, rtol=1e-12)
    for address, flat_address in written.pairs.items():
        np.testing.assert_allclose(gradients[address], wanted[flat_address], rtol=1e-9, atol=1e-12)


@pytest.mark.torch
@settings(max_examples=25, deadline=None)
@given(strategies.integers(0, 10**6))
def test_pytorch_agrees_on_it(seed: int) -> None:
    from attndsl.backends.pytorch.program import TorchProgram

    plain = graph_of(program(seed).rolled)
    reference = NumpyProgram(plain, dtype="float64", seed=seed)
    y, gradients = results(reference)
    optimized, _ = optimize(plain)
    verify(optimized)
    for graph in (plain, optimized):
        found, others = results(TorchProgram(graph, dtype="float64", parameters=reference.parameters()))
        np.testing.assert_allclose(found, y, rtol=1e-9, atol=1e-12)
        assert sorted(others) == sorted(gradients)
        for address, gradient in gradients.items():
            np.testing.assert_allclose(others[address], gradient, rtol=1e-9, atol=1e-12)
