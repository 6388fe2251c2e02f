"""How far two correct backends may be apart: the one place where these numbers stand, with the reasons for them.

The reference is NumPy in float64, the candidate any backend in any precision. Both compute the same sums in another
order, and the candidate rounds more coarsely; nothing else may differ.

**float64.** Rounding grows with the square root of a sum's terms and with the number of operations one after the other
(`Work`, counted by `attndsl.comparison.work`): an output may be off by `SPREAD` times the product of these, in units of
the last place of its largest value, and by 1e-10 of that at most; a gradient, which passes all operations twice, by
`SPREAD` squared times it, and by 1e-8 of the largest value in the same gradient at most. Both are orders of magnitude
below what any real mistake (another eps, a scale, a missing mask) makes.

**Lower precisions.** How much a model amplifies rounding differs from model to model, so it is measured: NumPy runs in
float32 as well, and its distance from float64 is what float32 costs *here*. A candidate may be `MULTIPLE` times as
far, since another order of summation is as likely to be worse as better; for a coarser dtype that distance grows in
proportion to the spacing of its numbers. On top come `FLOOR` ulps of the largest value, for tensors that NumPy happened
to get exactly right.

**The bound.** A model that loses all its digits in float32 would so be allowed anything. Whatever rounding costs, half
of the digits that the dtype has must be right, counted from the largest value: an output may be off by the square root
of the dtype's epsilon. A gradient may lose two thirds of them, the cube root: where rounding moves an element across a
kink (of `relu`, of a maximum), its gradient jumps.

**What is nearly zero.** Some values are zero in exact arithmetic and come out as rounding noise, which no relative
measure can judge: the gradient by the bias of attention's keys, which softmax does not see, or what is left of two
equal numbers. The noise stems from sums of terms as large as the numbers around them. So every gradient may also be off
by `NOISE` ulps of the largest one in the model; and no bound is below as many ulps of the largest number around. For an
output that is the largest float among outputs, inputs and parameters; for a gradient the largest one, with those by the
outputs, from which the backward pass starts.

**What is not finite.** Infinities and NaN agree where both sides have them at the same places; a number against one of
them differs by infinity, which nothing allows. A reference that is too large for the dtype counts as the infinity that
it rounds to.

Integers and booleans agree exactly.
"""

from __future__ import annotations

import math

from attndsl.records import Frozen

EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}

OUTPUT_FLOAT64 = 1e-10
GRADIENT_FLOAT64 = 1e-8
SPREAD = 16.0
MULTIPLE = 16.0
FLOOR = 32.0
KEPT_AS = {"bfloat16": 2.0**-6, "int8": 2.0**-6}
"""By how much of the largest value results may be off, besides, where matrices are kept so and what is right is given
the same rounded ones: what they are multiplied with is rounded to 8 bits too."""
NOISE = {"float64": 256.0, "float32": 4.0, "float16": 4.0, "bfloat16": 4.0}


class Work(Frozen):
    """What rounding has to do with: the most terms in one sum, and the most operations one after the other."""

    terms: int
    depth: int

    @property
    def rounding(self) -> float:
        """How far it takes float64, relative to the largest value."""
        return EPSILON["float64"] * self.depth * math.sqrt(self.terms)


def for_output(dtype: str, largest: float, cost: float, around: float, work: Work) -> float:
    """What an output may be off by. `largest` is its greatest magnitude, `cost` the greatest difference between NumPy
    in float32 and in float64 (not used for float64), `around` the greatest magnitude of a float among outputs, inputs
    and parameters, `work` what is done to them."""
    noise = _noise(dtype, around)
    if dtype == "float64":
        return min(SPREAD * work.rounding, OUTPUT_FLOAT64) * largest + noise
    return min(_measured(dtype, largest, cost), max(math.sqrt(EPSILON[dtype]) * largest, noise))


def for_gradient(dtype: str, largest: float, cost: float, overall: float, upstream: float, work: Work) -> float:
    """What a gradient may be off by; `overall` is the greatest magnitude in any gradient of the model, `upstream` in
    those by its outputs."""
    noise = _noise(dtype, max(overall, upstream))
    if dtype == "float64":
        return min(SPREAD**2 * work.rounding, GRADIENT_FLOAT64) * largest + noise
    bound = max(math.cbrt(EPSILON[dtype]) * largest, noise)
    return min(_measured(dtype, largest, cost), bound) + _noise(dtype, overall)


def for_slope(scale: float, value: float) -> float:
    """What a finite difference in float64 may be off by: `scale` is how large the slope is along a direction like this,
    `value` that of the function. The best step is off by the cube root of epsilon squared (4e-11) and by what the next
    derivatives are; its root (6e-6) is allowed, and the rounding of the function over the smallest step."""
    return math.cbrt(EPSILON["float64"]) * scale + NOISE["float64"] * math.pow(EPSILON["float64"], 0.75) * abs(value)


def _noise(dtype: str, around: float) -> float:
    return NOISE[dtype] * EPSILON[dtype] * around


def _measured(dtype: str, largest: float, cost: float) -> float:
    coarser = EPSILON[dtype] / EPSILON["float32"]
    return MULTIPLE * coarser * cost + FLOOR * EPSILON[dtype] * largest
