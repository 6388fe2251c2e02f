"""Norms with each kind of gain, and softplus, against independent computations; the norms become one operator."""

from __future__ import annotations

import numpy as np
import pytest

from attndsl.passes import optimize
from tests.std.meaning import drawn, meaning, written

GAINS = {"plain": lambda scale: scale, "zero-centred": lambda scale: 1 + scale, "none": lambda scale: 1}


@pytest.mark.parametrize("gain", GAINS)
@pytest.mark.parametrize("norm", ["rms_norm", "layer_norm"])
def test_gains(norm: str, gain: str) -> None:
    text = f'model M(width=6) {{\n input x: float[B, width]\n output y = {norm}(x, gain="{gain}") as norm\n}}\n'
    x, scale, shift = drawn(4, 6), drawn(6, seed=1), drawn(6, seed=2)
    parameters = {"norm.scale": scale, "norm.shift": shift}
    graph = written(text)
    there = {info.address: parameters[info.address] for info in graph.parameters}
    assert ("norm.scale" in there) == (gain != "none")
    centred = x - x.mean(1, keepdims=True) if norm == "layer_norm" else x
    expected = centred / np.sqrt((centred**2).mean(1, keepdims=True) + {"rms_norm": 1e-6, "layer_norm": 1e-5}[norm])
    expected = expected * GAINS[gain](scale) + (shift if norm == "layer_norm" else 0)
    np.testing.assert_allclose(meaning(text, {"x": x}, there)["y"], expected, atol=1e-13)
    begun = meaning(text, {"x": x})["y"]
    np.testing.assert_allclose((begun**2).mean(1), 1, atol=1e-4)  # every gain begins as none


@pytest.mark.parametrize("norm", ["rms_norm", "layer_norm"])
def test_a_zero_centred_norm_is_one_operator(norm: str) -> None:
    text = f'model M(width=6) {{\n input x: float[B, width]\n output y = {norm}(x, gain="zero-centred")\n}}\n'
    optimized, _ = optimize(written(text))
    assert [node.op.name for node in optimized.body.walk()].count(norm) == 1


def test_softplus() -> None:
    x = np.array([-800, -40, -1, 0, 1e-3, 1, 40, 800.0])
    y = meaning("model M(n=8) {\n input x: float[n]\n output y = softplus(x)\n}\n", {"x": x})["y"]
    np.testing.assert_allclose(y, np.logaddexp(0, x), atol=1e-15)
