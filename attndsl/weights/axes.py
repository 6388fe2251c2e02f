"""Axes and sizes as a mapping writes them: `[in, out]`, `[context + 2, width]`, `[C=channels, P=patch]`."""

from __future__ import annotations

from collections.abc import Mapping

from attndsl.diagnostics import AttnError, Span, did_you_mean, error
from attndsl.graph import Axis
from attndsl.records import Frozen
from attndsl.sizes import Size
from attndsl.syntax import tree
from attndsl.values import CONSTANTS, Evaluator, Number, Operand, Plain


class SizeNames(Evaluator):
    """Expressions in axes: every name is a size, of the model (with its value) or of the mapping alone."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.sizes = sizes

    def find(self, node: tree.Name) -> Plain | None:
        return None if node.text in CONSTANTS else Number(self.sizes.get(node.text), Size.symbol(node.text))

    def unknown(self, node: tree.Name) -> AttnError:
        return error("E0624", f"`{node.text}` is not a size", node.span)

    def without_size(self, operand: Operand) -> Operand:
        raise error(
            "E0624",
            f"`{operand.span.text}` is too long a formula for an axis",
            operand.span,
            help="make a part of it a hyperparameter of its own",
        )


def size_of(expression: tree.Expr, sizes: Mapping[str, int]) -> Size:
    """The size that an expression over hyperparameters and numbers writes."""
    value = SizeNames(sizes).evaluate(expression)
    if not isinstance(value, Number) or value.size is None:
        raise error("E0624", f"`{expression.span.text}` is not a size", expression.span)
    return value.size


class TermFactor(Frozen):
    """One factor of a term: its name, and its size as it is written."""

    name: str
    size: Size


class AxisTerm(Frozen):
    """An entry of an axis list: `T`, `4 * width`, `in=width`; a product has several factors, outermost first."""

    name: str
    size: Size
    factors: tuple[TermFactor, ...]
    span: Span


def parse_term(term: tree.AxisTerm, sizes: Mapping[str, int]) -> AxisTerm:
    """E0624 where a term is not an axis."""
    if term.size is None:
        raise error("E0624", "`*` does not name an axis", term.span)
    size = size_of(term.size, sizes)
    name = term.name.text if term.name is not None else str(size)
    if isinstance(term.size, tree.Chain) and all(o.text == "*" for o in term.size.operators):
        parts = [size_of(operand, sizes) for operand in term.size.operands]
        return AxisTerm(name, size, tuple(TermFactor(str(part), part) for part in parts), term.span)
    return AxisTerm(name, size, (TermFactor(name, size),), term.span)


def parse_terms(axes: tree.AxisList, sizes: Mapping[str, int]) -> tuple[AxisTerm, ...]:
    return tuple(parse_term(term, sizes) for term in axes.terms)


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


def shown_axes(axes: tuple[Axis, ...]) -> str:
    return "[" + ", ".join(map(str, axes)) + "]"
