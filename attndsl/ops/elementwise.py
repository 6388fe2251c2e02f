"""Primitives that compute each element of the result from one element."""

from __future__ import annotations

import math
from typing import ClassVar

from attndsl.lazy import Array, np
from attndsl.ops import rules
from attndsl.ops.arrays import as_float
from attndsl.ops.base import OUTPUT, Call, Mismatch, Single
from attndsl.sizes import Size
from attndsl.types import DTYPES, FLOATS, Type


class Unary(Single):
    """A function of one operand, the same at every place. A subclass says its `value`, or by `ufunc` which of NumPy's
    functions that is, and its `slope` where it has one that is not zero."""

    pointwise = True
    ufunc: ClassVar[str]

    def __hash__(self) -> int:
        return hash(self.name)

    def value(self, x: Array) -> Array:
        found: Array = getattr(np, self.ufunc)(x)
        return found

    def slope(self, x: Array, y: Array) -> Array:
        """The derivative at x, where the value is y."""
        raise NotImplementedError(type(self).__name__)

    def forward(self, call: Call, x: Array) -> Array:
        return self.value(x)

    def backward(self, call: Call, upstream: Array, y: Array, x: Array) -> Array:
        return upstream * self.slope(x, y)

    def flops(self, output: Type, *inputs: Type) -> Size:
        return output.elements if output.is_float else Size.of(0)


class FloatFunction(Unary):
    """A function of floats (an int operand is taken as float)."""

    called = True

    def infer(self, x: Type) -> Type:
        rules.number(x, 0, self.name)
        return x.floating()

    def forward(self, call: Call, x: Array) -> Array:
        return self.value(as_float(call, x))


class Exp(FloatFunction):
    """e ^ x"""

    name = "exp"
    ufunc = "exp"
    keeps = (OUTPUT,)
    role = "activation"

    def slope(self, x: Array, y: Array) -> Array:
        return y


class Log(FloatFunction):
    """The natural logarithm."""

    name = "log"
    ufunc = "log"
    keeps = (0,)

    def slope(self, x: Array, y: Array) -> Array:
        return 1 / x


class Sqrt(FloatFunction):
    """The square root."""

    name = "sqrt"
    ufunc = "sqrt"
    keeps = (OUTPUT,)

    def slope(self, x: Array, y: Array) -> Array:
        return 0.5 / y


class Rsqrt(FloatFunction):
    """One over the square root."""

    name = "rsqrt"
    keeps = (OUTPUT,)

    def value(self, x: Array) -> Array:
        return 1 / np.sqrt(x)

    def slope(self, x: Array, y: Array) -> Array:
        return -0.5 * y * y * y


class Tanh(FloatFunction):
    """The hyperbolic tangent."""

    name = "tanh"
    ufunc = "tanh"
    keeps = (OUTPUT,)
    role = "activation"

    def slope(self, x: Array, y: Array) -> Array:
        return 1 - y * y


class Erf(FloatFunction):
    """The error function, 2/sqrt(pi) * integral of e^(-t^2) from 0 to x."""

    name = "erf"
    keeps = (0,)
    role = "activation"

    def value(self, x: Array) -> Array:
        from attndsl.ops.special import erf  # checking computes nothing

        return erf(x)

    def slope(self, x: Array, y: Array) -> Array:
        found: Array = (2 / math.sqrt(math.pi)) * np.exp(-x * x)
        return found


class Sigmoid(FloatFunction):
    """1 / (1 + e^-x)"""

    name = "sigmoid"
    keeps = (OUTPUT,)
    role = "activation"

    def value(self, x: Array) -> Array:
        from attndsl.ops.special import sigmoid

        return sigmoid(x)

    def slope(self, x: Array, y: Array) -> Array:
        found: Array = y * (1 - y)
        return found


class Sin(FloatFunction):
    """The sine of an angle in radians."""

    name = "sin"
    ufunc = "sin"
    keeps = (0,)
    noun = "sine"

    def slope(self, x: Array, y: Array) -> Array:
        return np.cos(x)


class Cos(FloatFunction):
    """The cosine of an angle in radians."""

    name = "cos"
    ufunc = "cos"
    keeps = (0,)
    noun = "cosine"

    def slope(self, x: Array, y: Array) -> Array:
        return -np.sin(x)


class Floor(FloatFunction):
    """The largest whole number that is not above x, as a float."""

    name = "floor"
    ufunc = "floor"
    differentiable = False


class Ceil(FloatFunction):
    """The smallest whole number that is not below x, as a float."""

    name = "ceil"
    ufunc = "ceil"
    differentiable = False


class Round(FloatFunction):
    """The nearest whole number, as a float; halves go to the even one."""

    name = "round"
    ufunc = "rint"
    differentiable = False


class NumberFunction(Unary):
    """A function of numbers that keeps their dtype."""

    def infer(self, x: Type) -> Type:
        rules.number(x, 0, self.name)
        return x


class Neg(NumberFunction):
    """-x"""

    name = "neg"
    linear = ((0,),)
    ufunc = "negative"
    keeps = ()

    def slope(self, x: Array, y: Array) -> Array:
        return np.array(-1, x.dtype)


class Abs(NumberFunction):
    """|x|. At 0 and NaN its gradient is 0."""

    name = "abs"
    ufunc = "abs"
    called = True
    keeps = (0,)
    role = "activation"

    def slope(self, x: Array, y: Array) -> Array:
        return _sign(x)


class Sign(NumberFunction):
    """-1, 0 or 1, in x's dtype; 0 for NaN."""

    name = "sign"
    called = True
    differentiable = False

    def value(self, x: Array) -> Array:
        return _sign(x)


class Not(Unary):
    """True where x is False."""

    name = "not"
    ufunc = "logical_not"
    noun = "mask"
    differentiable = False

    def infer(self, x: Type) -> Type:
        rules.boolean(x, 0, self.name)
        return x


class Cast(Single):
    """x in another dtype: floats to int towards zero, numbers to bool by `x != 0`, bools to 0 and 1."""

    name = "cast"
    pointwise = True
    keeps = ()
    role = "none"
    dtype: str

    @property
    def differentiable(self) -> bool:
        return self.dtype in FLOATS

    def infer(self, x: Type) -> Type:
        if self.dtype not in DTYPES:
            raise Mismatch("E0204", f"there is no dtype `{self.dtype}`", help=f"one of {', '.join(DTYPES)}")
        return x.with_dtype(self.dtype)

    def forward(self, call: Call, x: Array) -> Array:
        return x.astype(call.dtype(self.dtype), copy=False)

    def backward(self, call: Call, upstream: Array, y: Array, x: Array) -> Array:
        return upstream


class StopGradient(Unary):
    """x, as a constant to whatever is differentiated."""

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
