"""Rules for what computes each element from the elements at the same place."""

from __future__ import annotations

from collections.abc import Callable

from attndsl import ops
from attndsl.onnx_export.lengths import floor_divided
from attndsl.onnx_export.site import OnnxSite
from attndsl.types import BOOL, FLOAT, INT

Rule = Callable[[OnnxSite], str]


def of_float(kind: str) -> Rule:
    """A function of floats."""
    return lambda site: site.emit(kind, site.floating())


def same(kind: str) -> Rule:
    """A function that keeps the dtype."""
    return lambda site: site.emit(kind, site.x())


def common(site: OnnxSite) -> str:
    """The dtype in which two operands meet."""
    types = (site.output, *(tensor.type for tensor in site.inputs))
    if any(type.is_float for type in types):
        return FLOAT
    return INT if any(type.dtype == INT for type in types) else BOOL


def binary(kind: str) -> Rule:
    def rule(site: OnnxSite) -> str:
        dtype = common(site)
        return site.emit(kind, site.aligned(0, dtype), site.aligned(1, dtype))

    return rule


def negated(kind: str) -> Rule:
    return lambda site: site.emit("Not", binary(kind)(site))


def sign(site: OnnxSite) -> str:
    x = site.x()
    if not site.output.is_float:
        return site.emit("Sign", x)
    return site.emit("Where", site.emit("IsNaN", x), site.constant(0.0), site.emit("Sign", x))


def floor_div(site: OnnxSite) -> str:
    if not site.output.is_float:
        return floor_divided(site.writer, site.aligned(0), site.aligned(1))
    return site.emit("Floor", site.emit("Div", site.aligned(0, FLOAT), site.aligned(1, FLOAT)))


def mod(site: OnnxSite) -> str:
    if not site.output.is_float:
        return site.emit("Mod", site.aligned(0), site.aligned(1))
    left, right = site.aligned(0, FLOAT), site.aligned(1, FLOAT)
    quotient = site.emit("Floor", site.emit("Div", left, right))
    return site.emit("Sub", left, site.emit("Mul", right, quotient))


def where(site: OnnxSite) -> str:
    """ONNX Runtime has no `Where` of bools."""
    dtype, condition = site.output.dtype, site.aligned(0)
    left, right = site.aligned(1, dtype), site.aligned(2, dtype)
    if dtype != BOOL:
        return site.emit("Where", condition, left, right)
    other = site.emit("And", site.emit("Not", condition), right)
    return site.emit("Or", site.emit("And", condition, left), other)


RULES: dict[type[ops.Op], Rule] = {
    ops.Exp: of_float("Exp"),
    ops.Log: of_float("Log"),
    ops.Sqrt: of_float("Sqrt"),
    ops.Rsqrt: lambda site: site.emit("Reciprocal", site.emit("Sqrt", site.floating())),
    ops.Tanh: of_float("Tanh"),
    ops.Erf: of_float("Erf"),
    ops.Sigmoid: of_float("Sigmoid"),
    ops.Sin: of_float("Sin"),
    ops.Cos: of_float("Cos"),
    ops.Floor: of_float("Floor"),
    ops.Ceil: of_float("Ceil"),
    ops.Round: of_float("Round"),
    ops.Neg: same("Neg"),
    ops.Abs: same("Abs"),
    ops.Not: same("Not"),
    ops.Sign: sign,
    ops.Cast: lambda site: site.as_(0, site.op.dtype),
    ops.StopGradient: lambda site: site.x(),
    ops.Dropout: lambda site: site.floating(),  # a file is written of the model in use
    ops.Add: binary("Add"),
    ops.Sub: binary("Sub"),
    ops.Mul: lambda site: site.emit("Mul", *(site.aligned(i, site.output.dtype) for i in range(2))),
    ops.Div: lambda site: site.emit("Div", site.aligned(0, FLOAT), site.aligned(1, FLOAT)),
    ops.FloorDiv: floor_div,
    ops.Mod: mod,
    ops.Pow: binary("Pow"),
    ops.Maximum: binary("Max"),
    ops.Minimum: binary("Min"),
    ops.Where: where,
    ops.Eq: binary("Equal"),
    ops.Ne: negated("Equal"),
    ops.Lt: binary("Less"),
    ops.Le: binary("LessOrEqual"),
    ops.Gt: binary("Greater"),
    ops.Ge: binary("GreaterOrEqual"),
    ops.And: binary("And"),
    ops.Or: binary("Or"),
}
