"""Primitives of two or three operands that compute each element from the elements at the same place.

Operands align by axis; an axis that one of them lacks is repeated along the other's. Dtypes: int with int stays int
(except under `/`), anything with a float is a float, and a bool counts as 0 or 1 in `*`.
"""

from __future__ import annotations

from typing import ClassVar

from attndsl.diagnostics import error
from attndsl.lazy import Array, np
from attndsl.ops import rules
from attndsl.ops.arrays import as_float, collect, spread
from attndsl.ops.base import OUTPUT, Call, Mismatch, Op, the_others
from attndsl.sizes import Size
from attndsl.types import BOOL, FLOAT, Type, widest


class Binary(Op):
    """A function of two operands, aligned by axis. A subclass says its `value`, or by `ufunc` which of NumPy's
    functions that is, and the gradients for both sides where it has any; these see the operands spread for broadcasting
    and in the result's dtype."""

    operands = ("left", "right")
    pointwise = True
    ufunc: ClassVar[str]

    def __hash__(self) -> int:
        return hash(self.name)

    def infer(self, left: Type, right: Type) -> Type:
        return Type(self.result(left, right), rules.combined(left, right, self.name))

    def result(self, left: Type, right: Type) -> str:
        """The result's dtype."""
        return rules.promoted(left, right, self.name)

    def value(self, left: Array, right: Array) -> Array:
        found: Array = getattr(np, self.ufunc)(left, right)
        return found

    def to_left(self, upstream: Array, y: Array, left: Array, right: Array) -> Array:
        """The gradient for the left operand, before it is summed over the axes that the operand lacks."""
        raise NotImplementedError(type(self).__name__)

    def to_right(self, upstream: Array, y: Array, left: Array, right: Array) -> Array:
        raise NotImplementedError(type(self).__name__)

    def _spread(self, call: Call, arrays: tuple[Array, ...]) -> list[Array]:
        """Both operands laid out for broadcasting; ints as floats where the other side or the result is float."""
        axes = call.output.axes
        real = any(type.is_float for type in (call.output, *call.inputs))
        laid = [spread(array, type.axes, axes) for array, type in zip(arrays, call.inputs, strict=True)]
        return [as_float(call, array) if real and array.dtype.kind != "b" else array for array in laid]

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        return self.value(*self._spread(call, arrays))

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        if not self.differentiable:
            return (None, None)
        left, right = self._spread(call, arrays)
        return tuple(
            collect(share(upstream, output, left, right), call.output.axes, call.inputs[i].axes)
            if call.needs(i)
            else None
            for i, share in enumerate((self.to_left, self.to_right))
        )

    def flops(self, output: Type, *inputs: Type) -> Size:
        return output.elements if output.is_float else Size.of(0)


class Add(Binary):
    """left + right"""

    name = "add"
    hands_on = True
    linear = ((0, 1),)
    symbol = "+"
    ufunc = "add"
    associative = True
    identity = 0
    keeps = ()
    sign = "+"
    noun = "total"
    commutative = True

    def to_left(self, upstream: Array, y: Array, left: Array, right: Array) -> Array:
        return upstream

    def to_right(self, upstream: Array, y: Array, left: Array, right: Array) -> Array:
        return upstream


class Sub(Binary):
    """left - right"""

    name = "sub"
    linear = ((0, 1),)
    symbol = "-"
    ufunc = "subtract"
    identity = 0
    keeps = ()
    sign = "−"
    noun = "difference"

    def to_left(self, upstream: Array, y: Array, left: Array, right: Array) -> Array:
        return upstream

    def to_right(self, upstream: Array, y: Array, left: Array, right: Array) -> Array:
        return -upstream


class Mul(Binary):
    """left * right; bools count as 0 and 1."""

    name = "mul"
    linear = ((0,), (1,))
    symbol = "*"
    associative = True
    identity = 1
    sign = "×"
    noun = "product"
    commutative = True

    def result(self, left: Type, right: Type) -> str:
        return widest(left.dtype, right.dtype)

    def value(self, left: Array, right: Array) -> Array:
        if left.dtype.kind == right.dtype.kind == "b":
            left = left.astype(np.int64)
        return left * right

    def to_left(self, upstream: Array, y: Array, left: Array, right: Array) -> Array:
        return upstream * right

    def to_right(self, upstream: Array, y: Array, left: Array, right: Array) -> Array:
        return upstream * left

    def kept(self, needed: tuple[bool, ...]) -> tuple[int, ...]:
        return the_others(needed)


class Div(Binary):
    """left / right, always a float."""

    name = "div"
    linear = ((0,),)
    symbol = "/"
    ufunc = "true_divide"
    identity = 1
    sign = "÷"
    noun = "quotient"

    def result(self, left: Type, right: Type) -> str:
        return widest(FLOAT, rules.promoted(left, right, self.name))

    def to_left(self, upstream: Array, y: Array, left: Array, right: Array) -> Array:
        return upstream / right

    def to_right(self, upstream: Array, y: Array, left: Array, right: Array) -> Array:
        return -upstream * (left / right) / right

    def kept(self, needed: tuple[bool, ...]) -> tuple[int, ...]:
        return (0, 1) if needed[1] else the_others(needed)


class FloorDiv(Binary):
    """The largest whole number not above left / right."""

    name = "floor_div"
    symbol = "//"
    fails = True
    differentiable = False

    def value(self, left: Array, right: Array) -> Array:
        _no_zero(right)
        return np.floor_divide(left, right)


class Mod(Binary):
    """left - right * floor(left / right): the remainder with the divisor's sign."""

    name = "mod"
    symbol = "%"
    fails = True

    def value(self, left: Array, right: Array) -> Array:
        _no_zero(right)
        return np.mod(left, right)

    def to_left(self, upstream: Array, y: Array, left: Array, right: Array) -> Array:
        return upstream

    def to_right(self, upstream: Array, y: Array, left: Array, right: Array) -> Array:
        return -upstream * np.floor_divide(left, right)

    def kept(self, needed: tuple[bool, ...]) -> tuple[int, ...]:
        return (0, 1) if needed[1] else ()


class Pow(Binary):
    """left ^ right. Two ints give an int, and the exponent may not be negative then."""

    name = "pow"
    symbol = "^"
    fails = True
    identity = 1
    noun = "power"

    def value(self, left: Array, right: Array) -> Array:
        if right.dtype.kind == "i" and right.size and right.min() < 0:
            message = f"an int to the power of {right.min()} is not an int"
            raise error("E0805", message, help="make the base a float: `float(x) ^ …`")
        return _power(left, right.item()) if right.ndim == 0 else np.power(left, right)

    def to_left(self, upstream: Array, y: Array, left: Array, right: Array) -> Array:
        if right.ndim == 0:
            exponent = right.item()
            return upstream * (exponent * _power(left, exponent - 1)) if exponent else np.zeros_like(upstream)
        slope = right * np.power(left, right - 1)
        return upstream * np.where(right == 0, 0, slope)  # not 0 * infinity at a base of 0

    def to_right(self, upstream: Array, y: Array, left: Array, right: Array) -> Array:
        slope = y * np.log(np.where(left == 0, 1, left))  # 0 at a base of 0, the limit for every positive exponent
        found: Array = upstream * slope
        return found

    def kept(self, needed: tuple[bool, ...]) -> tuple[int, ...]:
        return (0, 1, OUTPUT) if needed[1] else (0, 1) if needed[0] else ()


class Extreme(Binary):
    """The larger or smaller of two numbers; where they are equal, each gets half of the gradient. NaN with anything is
    NaN, and each gets all of it."""

    called = True
    associative = True
    keeps = (0, 1)
    role = "activation"
    commutative = True

    def to_left(self, upstream: Array, y: Array, left: Array, right: Array) -> Array:
        half = np.where(left == right, upstream * np.array(0.5, upstream.dtype), upstream)
        loses = left < right if self.ufunc == "maximum" else left > right
        return np.where(loses, np.array(0, upstream.dtype), half)

    def to_right(self, upstream: Array, y: Array, left: Array, right: Array) -> Array:
        return self.to_left(upstream, y, right, left)


class Maximum(Extreme):
    """The larger of the two; where they are equal, each gets half of the gradient. NaN with anything is NaN, and each
    gets all of it."""

    name = "maximum"
    ufunc = "maximum"


class Minimum(Extreme):
    """The smaller of the two; where they are equal, each gets half of the gradient. NaN with anything is NaN, and each
    gets all of it."""

    name = "minimum"
    ufunc = "minimum"


def _no_zero(divisor: Array) -> None:
    if divisor.dtype.kind == "i" and not divisor.all():
        raise error("E0805", "an int is divided by zero")


def _power(base: Array, exponent: float) -> Array:
    """`base ^ exponent`; small whole exponents by multiplication, which is many times quicker than the general way."""
    if 0 < exponent <= 8 and float(exponent).is_integer():
        result = base
        for bit in bin(int(exponent))[3:]:  # from the second highest on: square, and multiply where it is 1
            result = result * result
            if bit == "1":
                result = result * base
        return result
    if exponent == 0.5:
        return np.sqrt(base)
    found: Array = np.power(base, np.array(exponent, base.dtype))
    return np.where(base > 0, found, 1 / np.sqrt(base)) if exponent == -0.5 else found  # what is not above 0 as `rsqrt`


class Where(Op):
    """`left` where the condition holds, else `right`; both numbers or both bools. All three align."""

    name = "where"
    linear = ((1, 2),)
    operands = ("condition", "left", "right")
    pointwise = True
    keeps = (0,)

    def infer(self, condition: Type, left: Type, right: Type) -> Type:
        rules.boolean(condition, 0, self.name)
        if left.dtype == right.dtype:
            dtype = left.dtype
        elif BOOL in (left.dtype, right.dtype):
            message = f"`where` chooses between `{left}` and `{right}`"
            raise Mismatch("E0204", message, (2, 1), help="convert one of them: `float(…)` or `int(…)`")
        else:
            dtype = widest(left.dtype, right.dtype)
        branches = Type(dtype, rules.combined(left, right, self.name, (1, 2)))
        return Type(dtype, rules.combined(condition, branches, self.name, (0, 1)))

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        condition, *branches = (
            spread(array, type.axes, call.output.axes) for array, type in zip(arrays, call.inputs, strict=True)
        )
        left, right = (branch.astype(call.dtype(call.output.dtype), copy=False) for branch in branches)
        return np.where(condition, left, right)

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        axes = call.output.axes
        condition = spread(arrays[0], call.inputs[0].axes, axes)
        zero = np.array(0, upstream.dtype)
        left = np.where(condition, upstream, zero) if call.needs(1) else None
        right = np.where(condition, zero, upstream) if call.needs(2) else None
        return (
            None,
            None if left is None else collect(left, axes, call.inputs[1].axes),
            None if right is None else collect(right, axes, call.inputs[2].axes),
        )
