"""Primitives that compute each element of the result from one element."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attndsl.lazy import np
from attndsl.ops import rules
from attndsl.ops.arrays import as_float
from attndsl.ops.base import OUTPUT, Call, Mismatch, Op
from attndsl.ops.special import erf, sigmoid
from attndsl.records import dataclass
from attndsl.sizes import Size
from attndsl.types import DTYPES, FLOAT, Type

if TYPE_CHECKING:
    from attndsl.ops.base import Array


@dataclass(frozen=True, slots=True)
class Unary(Op):
    """A function of one operand, the same at every place. A subclass says its `value`, and its `slope` where it has
    one that is not zero."""

    operands = ("x",)
    pointwise = True

    def __hash__(self) -> int:
        return hash(self.name)

    def value(self, x: Array) -> Array:
        raise NotImplementedError(type(self).__name__)

    def slope(self, x: Array, y: Array) -> Array:
        """The derivative at x, where the value is y."""
        raise NotImplementedError(type(self).__name__)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        return self.value(arrays[0])

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        if not (self.differentiable and call.needs(0)):
            return (None,)
        return (upstream * self.slope(arrays[0], output),)

    def flops(self, output: Type, *inputs: Type) -> Size:
        return output.elements if output.dtype == FLOAT else Size.of(0)


class FloatFunction(Unary):
    """A function of floats (an int operand is taken as float)."""

    __slots__ = ()
    called = True

    def infer(self, x: Type) -> Type:
        rules.number(x, 0, self.name)
        return x.with_dtype(FLOAT)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        return self.value(as_float(call, arrays[0]))


class Exp(FloatFunction):
    """e ^ x"""

    __slots__ = ()
    name = "exp"
    keeps = (OUTPUT,)
    role = "activation"

    def value(self, x: Array) -> Array:
        return np.exp(x)

    def slope(self, x: Array, y: Array) -> Array:
        return y


class Log(FloatFunction):
    """The natural logarithm."""

    __slots__ = ()
    name = "log"
    keeps = (0,)

    def value(self, x: Array) -> Array:
        return np.log(x)

    def slope(self, x: Array, y: Array) -> Array:
        return 1 / x


class Sqrt(FloatFunction):
    """The square root."""

    __slots__ = ()
    name = "sqrt"
    keeps = (OUTPUT,)

    def value(self, x: Array) -> Array:
        return np.sqrt(x)

    def slope(self, x: Array, y: Array) -> Array:
        return 0.5 / y


class Rsqrt(FloatFunction):
    """One over the square root."""

    __slots__ = ()
    name = "rsqrt"
    keeps = (OUTPUT,)

    def value(self, x: Array) -> Array:
        return 1 / np.sqrt(x)

    def slope(self, x: Array, y: Array) -> Array:
        return -0.5 * y * y * y


class Tanh(FloatFunction):
    """The hyperbolic tangent."""

    __slots__ = ()
    name = "tanh"
    keeps = (OUTPUT,)
    role = "activation"

    def value(self, x: Array) -> Array:
        return np.tanh(x)

    def slope(self, x: Array, y: Array) -> Array:
        return 1 - y * y


class Erf(FloatFunction):
    """The error function, 2/sqrt(pi) * integral of e^(-t^2) from 0 to x."""

    __slots__ = ()
    name = "erf"
    keeps = (0,)
    role = "activation"

    def value(self, x: Array) -> Array:
        return erf(x)

    def slope(self, x: Array, y: Array) -> Array:
        found: Array = (2 / math.sqrt(math.pi)) * np.exp(-x * x)
        return found


class Sigmoid(FloatFunction):
    """1 / (1 + e^-x)"""

    __slots__ = ()
    name = "sigmoid"
    keeps = (OUTPUT,)
    role = "activation"

    def value(self, x: Array) -> Array:
        return sigmoid(x)

    def slope(self, x: Array, y: Array) -> Array:
        found: Array = y * (1 - y)
        return found


class Sin(FloatFunction):
    """The sine of an angle in radians."""

    __slots__ = ()
    name = "sin"
    keeps = (0,)
    noun = "sine"

    def value(self, x: Array) -> Array:
        return np.sin(x)

    def slope(self, x: Array, y: Array) -> Array:
        return np.cos(x)


class Cos(FloatFunction):
    """The cosine of an angle in radians."""

    __slots__ = ()
    name = "cos"
    keeps = (0,)
    noun = "cosine"

    def value(self, x: Array) -> Array:
        return np.cos(x)

    def slope(self, x: Array, y: Array) -> Array:
        return -np.sin(x)


class Floor(FloatFunction):
    """The largest whole number that is not above x, as a float."""

    __slots__ = ()
    name = "floor"
    differentiable = False

    def value(self, x: Array) -> Array:
        return np.floor(x)


class Ceil(FloatFunction):
    """The smallest whole number that is not below x, as a float."""

    __slots__ = ()
    name = "ceil"
    differentiable = False

    def value(self, x: Array) -> Array:
        return np.ceil(x)


class Round(FloatFunction):
    """The nearest whole number, as a float; halves go to the even one."""

    __slots__ = ()
    name = "round"
    differentiable = False

    def value(self, x: Array) -> Array:
        return np.rint(x)


class NumberFunction(Unary):
    """A function of numbers that keeps their dtype."""

    __slots__ = ()

    def infer(self, x: Type) -> Type:
        rules.number(x, 0, self.name)
        return x


class Neg(NumberFunction):
    """-x"""

    __slots__ = ()
    name = "neg"
    keeps = ()

    def value(self, x: Array) -> Array:
        return np.negative(x)

    def slope(self, x: Array, y: Array) -> Array:
        return np.array(-1, x.dtype)


class Abs(NumberFunction):
    """|x|. At 0 and NaN its gradient is 0."""

    __slots__ = ()
    name = "abs"
    called = True
    keeps = (0,)
    role = "activation"

    def value(self, x: Array) -> Array:
        return np.abs(x)

    def slope(self, x: Array, y: Array) -> Array:
        return _sign(x)


class Sign(NumberFunction):
    """-1, 0 or 1, in x's dtype; 0 for NaN."""

    __slots__ = ()
    name = "sign"
    called = True
    differentiable = False

    def value(self, x: Array) -> Array:
        return _sign(x)


class Not(Unary):
    """True where x is False."""

    __slots__ = ()
    name = "not"
    noun = "mask"
    differentiable = False

    def infer(self, x: Type) -> Type:
        rules.boolean(x, 0, self.name)
        return x

    def value(self, x: Array) -> Array:
        return np.logical_not(x)


@dataclass(frozen=True, slots=True)
class Cast(Op):
    """x in another dtype: floats to int towards zero, numbers to bool by `x != 0`, bools to 0 and 1."""

    name = "cast"
    operands = ("x",)
    pointwise = True
    keeps = ()
    role = "none"
    dtype: str

    def infer(self, x: Type) -> Type:
        if self.dtype not in DTYPES:
            raise Mismatch("E0204", f"there is no dtype `{self.dtype}`", help="one of float, int, bool")
        return x.with_dtype(self.dtype)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        return arrays[0].astype(call.dtype(self.dtype), copy=False)

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        return (upstream if self.dtype == FLOAT and call.needs(0) else None,)


class StopGradient(Unary):
    """x, as a constant to whatever is differentiated."""

    __slots__ = ()
    name = "stop_gradient"
    called = True
    view = True
    role = "none"
    differentiable = False

    def infer(self, x: Type) -> Type:
        return x

    def value(self, x: Array) -> Array:
        return x

    def flops(self, output: Type, *inputs: Type) -> Size:
        return Size.of(0)


def _sign(x: Array) -> Array:
    return np.where(x == x, np.sign(x), np.array(0, x.dtype))
