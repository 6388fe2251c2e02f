"""Sorting and the largest of many: against NumPy, among equals, with NaN, and what their gradients reach."""

from __future__ import annotations

import numpy as np
import pytest

import attndsl
from attndsl.diagnostics import AttnError

MODEL = """model M(k=2) {
  input x: [B, T, D]
  output ascending = sort(x, over=T)
  output descending = sort(x, over=D, descending=true)
  largest, places = top_k(x, k, over=T)
  output values = largest
  output chosen = places
  output products = cumprod(x, over=T)
}"""
TIES = np.array([3.0, 1.0, 3.0, np.nan, 2.0, 3.0, np.nan])


def given(values: np.ndarray) -> dict[str, np.ndarray]:
    return {"x": values.reshape(1, -1, 1)}


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_orders_are_numpys(backend: str) -> None:
    x = np.random.default_rng(0).standard_normal((2, 5, 3)).astype(np.float32)
    found = attndsl.parse(MODEL).run({"x": x}, backend=backend)
    np.testing.assert_array_equal(found["ascending"], np.sort(x, 1))
    np.testing.assert_array_equal(found["descending"], -np.sort(-x, 2))
    np.testing.assert_allclose(found["products"], np.cumprod(x, 1), rtol=1e-6)
    np.testing.assert_array_equal(found["values"], -np.sort(-x, 1)[:, :2])
    np.testing.assert_array_equal(found["chosen"], np.argsort(-x, 1)[:, :2])


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_the_lowest_of_equals_comes_first_and_nan_is_the_largest(backend: str) -> None:
    found = attndsl.parse(MODEL).run(given(TIES), backend=backend)
    np.testing.assert_array_equal(found["ascending"].ravel(), np.sort(TIES))
    np.testing.assert_array_equal(found["chosen"].ravel(), [3, 6])
    found = attndsl.parse(MODEL, k=6).run(given(TIES), backend=backend)
    np.testing.assert_array_equal(found["chosen"].ravel(), [3, 6, 0, 2, 5, 4])


def test_gradients_reach_what_was_chosen_on_both_backends() -> None:
    assert attndsl.parse(MODEL).compare(gradients=True, sizes={"B": 2, "T": 4, "D": 3}).ok


def test_more_than_there_are_is_refused_with_its_place() -> None:
    with pytest.raises(AttnError, match="E0211"):
        attndsl.parse("model M {\n  input x: [B, 3]\n  a, b = top_k(x, 4, over=3)\n  output y = a\n}")
