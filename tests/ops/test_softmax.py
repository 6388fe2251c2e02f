"""The softmax family where values are not finite: the table in docs/language.md, row by row, gradients too."""

from __future__ import annotations

import math

import numpy as np
import pytest

from attndsl import ops
from attndsl.ops import Call, Op
from tests.samples.ops import axes, axis, typed

INF, NAN = math.inf, math.nan
ROW, SCALAR = typed("float S"), typed("float")
UPSTREAM = np.array([2.0, 3.0, 4.0])
S = axes("S")


def applied(op: Op, x: list[float], mask: list[bool] | None = None, dtype: str = "float64") -> tuple[list, list]:
    """The result on one row, and the gradient for it given 2, 3, 4 (for a scalar: 2)."""
    given = (ROW,) if mask is None else (ROW, typed("bool S"))
    call = Call(given, op.infer(*given), {"S": len(x)}, dtype)
    arrays = [np.array(x, dtype), *([] if mask is None else [np.array(mask)])]
    with np.errstate(all="ignore"):
        output = np.asarray(op.evaluate(call, *arrays))
        upstream = UPSTREAM[: len(x)] if output.ndim else UPSTREAM[0]
        gradient = op.gradient(call, np.array(upstream, dtype), output, *arrays)[0]
    return output.tolist(), np.asarray(gradient).tolist()


SOFTMAX = [
    ([-INF, -INF, -INF], None, [0, 0, 0], [0, 0, 0]),
    ([1, NAN, INF], [False, False, False], [0, 0, 0], [0, 0, 0]),
    ([-INF, 0, 1], [True, False, False], [0, 0, 0], [0, 0, 0]),
    ([0, INF, 1], None, [NAN, NAN, NAN], [NAN, NAN, NAN]),
    ([0, NAN, 1], None, [NAN, NAN, NAN], [NAN, NAN, NAN]),
    ([0, NAN, 1], [True, True, False], [NAN, NAN, 0], [NAN, NAN, 0]),
    ([0, NAN, 0], [True, False, True], [0.5, 0, 0.5], [-0.5, 0, 0.5]),
    ([0, INF, 0], [True, False, True], [0.5, 0, 0.5], [-0.5, 0, 0.5]),
    ([0, -INF, 0], None, [0.5, 0, 0.5], [-0.5, 0, 0.5]),
]
LOG_SOFTMAX = [
    ([-INF, -INF, -INF], [NAN, NAN, NAN], [NAN, NAN, NAN]),
    ([0, INF, 1], [NAN, NAN, NAN], [NAN, NAN, NAN]),
    ([0, NAN, 1], [NAN, NAN, NAN], [NAN, NAN, NAN]),
    ([0, -INF, 0], [-math.log(2), -INF, -math.log(2)], [-2.5, 3, -0.5]),
]
LOG_SUM_EXP = [
    ([-INF, -INF, -INF], -INF, [0, 0, 0]),
    ([0, INF, 1], INF, [0, NAN, 0]),
    ([0, NAN, 1], NAN, [NAN, NAN, NAN]),
    ([0, -INF, 0], math.log(2), [1, 0, 1]),
    ([], -INF, []),
]


@pytest.mark.parametrize(("x", "mask", "expected", "gradient"), SOFTMAX, ids=str)
def test_softmax(x: list[float], mask: list[bool] | None, expected: list[float], gradient: list[float]) -> None:
    found = applied(ops.Softmax(S), x, mask)
    np.testing.assert_allclose(found[0], expected)
    np.testing.assert_allclose(found[1], gradient, atol=1e-15)


@pytest.mark.parametrize(("x", "expected", "gradient"), LOG_SOFTMAX, ids=str)
def test_log_softmax(x: list[float], expected: list[float], gradient: list[float]) -> None:
    found = applied(ops.LogSoftmax(S), x)
    np.testing.assert_allclose(found[0], expected)
    np.testing.assert_allclose(found[1], gradient)


@pytest.mark.parametrize(("x", "expected", "gradient"), LOG_SUM_EXP, ids=str)
def test_log_sum_exp(x: list[float], expected: float, gradient: list[float]) -> None:
    found = applied(ops.LogSumExp(S), x)
    np.testing.assert_allclose(found[0], expected)
    np.testing.assert_allclose(found[1], gradient)


@pytest.mark.parametrize("offset", [0.0, 1e4, 3e6, -3e6])
def test_float32_log_softmax_keeps_its_digits_at_large_offsets(offset: float) -> None:
    x = [offset, offset + 1, offset + 2]
    found, _ = applied(ops.LogSoftmax(S), x, dtype="float32")
    np.testing.assert_allclose(found, np.array([-2, -1, 0]) - math.log(1 + math.exp(-1) + math.exp(-2)), rtol=2e-7)


def test_what_a_mask_hides_gets_no_gradient_whatever_comes_down() -> None:
    op, given = ops.Softmax(S), (ROW, typed("bool S"))
    call = Call(given, ROW, {"S": 3}, "float64")
    x, mask = np.zeros(3), np.array([True, False, True])
    output = op.evaluate(call, x, mask)
    gradient = op.gradient(call, np.array([2, NAN, 4.0]), output, x, mask)[0]
    np.testing.assert_allclose(gradient, [-0.5, 0, 0.5])


@pytest.mark.parametrize("mask", [None, [[True, False, True], [False, False, False], [True, True, True]]])
def test_attention_and_its_parts_agree_on_what_is_not_finite(mask: list[list[bool]] | None) -> None:
    fused = ops.Attention(axes("D"), axis("S"), masked=mask is not None, biased=True)
    q, k, bias = np.ones((3, 1)), np.zeros((3, 1)), np.array([[0, NAN, 0], [-INF, -INF, -INF], [0, -INF, 1]])
    given = tuple(map(typed, ("float T D", "float S D", "float S D", *(["bool T S"] if mask else []), "float T S")))
    sizes = {"T": 3, "S": 3, "D": 1}
    call = Call(given, fused.infer(*given), sizes, "float64")
    arrays = [q, k, np.array([[1.0], [2.0], [4.0]]), *([np.array(mask)] if mask else []), bias]
    with np.errstate(all="ignore"):
        output = fused.evaluate(call, *arrays)
        gradient = fused.gradient(call, np.ones_like(output), output, *arrays)[-1]
        rows = [applied(ops.Softmax(S), list(row), mask[i] if mask else None)[0] for i, row in enumerate(bias)]
    np.testing.assert_allclose(output[:, 0], np.array(rows) @ [1, 2, 4])
    assert gradient is not None
    assert np.isnan(gradient).any() == (mask is None)
    assert (gradient[1] == 0).all()


@pytest.mark.parametrize(("dtype", "expected"), [("float32", -INF), ("float64", -1e39)])
def test_a_constant_beyond_the_range_is_infinite(dtype: str, expected: float) -> None:
    assert ops.Constant(-1e39).evaluate(Call((), SCALAR, {}, dtype)).item() == expected


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("sizes", [{"T": 2, "S": 0}, {"T": 0, "S": 3}, {"T": 0, "S": 0}])
def test_the_gradient_of_a_sink_where_there_are_no_elements(sizes: dict[str, int], masked: bool) -> None:
    op = ops.Softmax(axes("S"), sink=True)
    given = (typed("float T S"), *[typed("bool T S")] * masked, typed("float"))
    call = Call(given, op.infer(*given), sizes, "float64")
    shape = (sizes["T"], sizes["S"])
    arrays = [np.zeros(shape), *[np.ones(shape, bool)] * masked, np.array(0.5)]
    output = op.evaluate(call, *arrays)
    found = op.gradient(call, np.ones(shape), output, *arrays)
    assert found[0] is not None
    assert found[0].shape == shape
    assert found[-1] is not None
    np.testing.assert_array_equal(found[-1], 0)
