"""Axes and sizes as a mapping writes them: `[in, out]`, `[context + 2, width]`, `[C=channels, P=patch]`."""

from __future__ import annotations

from attndsl.diagnostics import Span, did_you_mean, error
from attndsl.graph import Axis
from attndsl.sizes import Size
from attndsl.syntax import tree


def place_of(axes: tuple[Axis, ...], name: str, span: Span) -> int:
    """The place of the axis called `name`, or of the only one with that size; E0624 where there is none."""
    found = [i for i, axis in enumerate(axes) if axis.name == name] or [
        i for i, axis in enumerate(axes) if str(axis.size) == name
    ]
    if len(found) == 1:
        return found[0]
    if found:
        choices = " or ".join(f"`{axes[i].name}`" for i in found)
        raise error("E0624", f"two axes have the size `{name}`", span, help=f"say which: {choices}")
    raise error(
        "E0624",
        f"the tensor has no axis `{name}`",
        span,
        f"the axes are {shown_axes(axes)}",
        help=did_you_mean(name, [a.name for a in axes]),
    )


def axis_name(term: tree.AxisTerm) -> str:
    if term.size is None:
        raise error("E0624", "`*` does not name an axis", term.span)
    return term.name.text if term.name is not None else name_of(term.size)


def name_of(expression: tree.Expr) -> str:
    if isinstance(expression, tree.AxesValue) and len(expression.axes.terms) == 1:
        return axis_name(expression.axes.terms[0])
    return str(size_of(expression))


def size_of(expression: tree.Expr) -> Size:
    """The size that an expression over hyperparameters and numbers writes."""
    if isinstance(expression, tree.Number) and isinstance(expression.value, int):
        return Size.of(expression.value)
    if isinstance(expression, tree.Name):
        return Size.symbol(expression.text)
    if isinstance(expression, tree.Chain):
        total = size_of(expression.operands[0])
        for operator, operand in zip(expression.operators, expression.operands[1:], strict=True):
            total = _combine(operator.text, total, size_of(operand), expression)
        return total
    raise error("E0624", f"`{expression.span.text}` is no size", expression.span)


def _combine(operator: str, left: Size, right: Size, whole: tree.Expr) -> Size:
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    if operator == "*":
        return left * right
    if operator in ("/", "//", "%") and right.terms:
        return left / right if operator == "/" else left // right if operator == "//" else left % right
    if operator == "^" and right.constant is not None and right.constant.denominator == 1 and 0 <= right.constant <= 16:
        return left ** int(right.constant)
    raise error("E0624", f"`{whole.span.text}` is no size", whole.span)


def shown_axes(axes: tuple[Axis, ...]) -> str:
    return "[" + ", ".join(map(str, axes)) + "]"
