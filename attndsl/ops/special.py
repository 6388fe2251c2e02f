"""Functions that NumPy lacks."""

from __future__ import annotations

import math
from collections.abc import Callable

from attndsl.lazy import Array, np

# The regions and rational approximations are those of W. J. Cody, "Rational Chebyshev approximations for the error
# function", Mathematics of Computation 23 (1969); highest power first.
_NEAR = (  # |x| <= 0.46875: erf(x) = x P(x^2) / Q(x^2)
    (
        1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2, 3.77485237685302021e2,
        3.20937758913846947e3,
    ),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)  # fmt: skip
_MIDDLE = (  # 0.46875 <= x <= 4: erfc(x) = exp(-x^2) P(x) / Q(x)
    (
        2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1,
        2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
        1.23033935479799725e3,
    ),
    (
        1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
        3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3,
    ),
)  # fmt: skip
_FAR = (  # x >= 4: erfc(x) = exp(-x^2) / x * (1/sqrt(pi) - P(1/x^2) / (x^2 Q(1/x^2)))
    (
        1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
        1.60837851487422766e-2, 6.58749161529837803e-4,
    ),
    (
        1.0, 2.56852019228982242e0, 1.87295284992346725e0, 5.27905102951428412e-1, 6.05183413124413191e-2,
        2.33520497626869185e-3,
    ),
)  # fmt: skip
# One quotient for float32, x P(x^2) / Q(x^2) on |x| <= 3.92 (beyond that erf is 1 to float32): fitted to `math.erf` at
# 4,000 Chebyshev points by reweighted least squares, relative error 2e-9. Highest power first; evaluated in float64.
_SINGLE = (
    (
        -1.279970544461033e-08, 4.609213238173134e-06, 0.00037675850986221905, 0.0038386327489211875,
        0.05424400659775014, 0.1851355810488359, 1.12837916914107,
    ),
    (
        6.239898819813264e-05, 0.001301526410776012, 0.015430066192777979, 0.11387386723968525, 0.49740554300864603,
        1.0,
    ),
)  # fmt: skip
_SINGLE_LIMIT = 3.92
_CHUNK = 1 << 15  # elements at a time, so that the temporaries stay in the cache


def by_chunks(function: Callable[[Array], Array], x: Array) -> Array:
    """`function`, which works place by place, applied to a piece of x at a time. For a formula of many steps this is
    several times quicker than whole arrays, which do not stay in the cache from one step to the next."""
    result = np.empty(x.shape, x.dtype)
    flat, source = result.reshape(-1), x.reshape(-1)
    for start in range(0, flat.size, _CHUNK):
        flat[start : start + _CHUNK] = function(source[start : start + _CHUNK])
    return result


def _ratio(z: Array, coefficients: tuple[tuple[float, ...], tuple[float, ...]]) -> Array:
    return _polynomial(z, coefficients[0]) / _polynomial(z, coefficients[1])


def _polynomial(z: Array, coefficients: tuple[float, ...]) -> Array:
    total = z * coefficients[0]
    for coefficient in coefficients[1:-1]:
        total += coefficient
        total *= z
    total += coefficients[-1]
    return total


def erf(x: Array) -> Array:
    """The error function of a float array, to about two units in the last place."""
    return by_chunks(_erf_double if x.dtype == np.float64 else _erf_single, x)


def _erf_single(x: Array) -> Array:
    clipped = np.clip(x, -_SINGLE_LIMIT, _SINGLE_LIMIT).astype(np.float64)
    return clipped * _ratio(clipped * clipped, _SINGLE)


def _erf_double(x: Array) -> Array:
    y = np.abs(x)
    result = np.where(np.isnan(x), x, 1.0)
    near = y <= 0.46875
    if near.any():
        z = y[near]
        result[near] = z * _ratio(z * z, _NEAR)
    middle = (y > 0.46875) & (y <= 4.0)
    if middle.any():
        z = y[middle]
        result[middle] = 1.0 - np.exp(-z * z) * _ratio(z, _MIDDLE)
    far = (y > 4.0) & (y < 6.0)  # beyond 6, 1 - erf(x) is below 3e-17
    if far.any():
        z = y[far]
        w = 1.0 / (z * z)
        result[far] = 1.0 - np.exp(-z * z) / z * (1.0 / math.sqrt(math.pi) - w * _ratio(w, _FAR))
    return np.copysign(result, x)


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x), without overflow and accurate in both tails."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, small) / (1.0 + small)
