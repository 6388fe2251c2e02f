"""Lists as compile-time values: written out, indexed by a number or by the counter of a repeat, passed on."""

from __future__ import annotations

from attndsl.diagnostics import AttnError, error
from attndsl.elaborate.cases import note_outcome, note_use
from attndsl.elaborate.expressions import callable_named
from attndsl.elaborate.frames import Frame
from attndsl.elaborate.primitives import CONSTANTS
from attndsl.elaborate.values import Axes, CompileTimeValue, as_plain, describe
from attndsl.graph import Value
from attndsl.syntax import tree
from attndsl.values import Formula, List, Number, place_in, written


def literal(node: tree.List, frame: Frame) -> CompileTimeValue:
    """`[2, 2, 6]`, `[B, T]`: a list, which stands for axes where these are wanted. What holds names that only an
    operand knows, `[in]`, or sizes with names, `[in=width]`, stands for axes alone."""
    axes = Axes(node.axes.terms, frame)
    if node.values is None or not all(_is_known(value, frame) for value in node.values):
        return axes
    try:
        return List(tuple(map(frame.evaluate, node.values)), axes)
    except AttnError:
        return axes


def _is_known(node: tree.Expr, frame: Frame) -> bool:
    """Whether an expression means something here by itself: not a name that only the axes of an operand have."""
    if not isinstance(node, tree.Name) or frame.lookup(node.text) is not None:
        return True
    return node.text in CONSTANTS or callable_named(node.text, frame) is not None


def element(node: tree.Subscript, base: List, frame: Frame) -> CompileTimeValue:
    """`kinds[layer]`. By the counter of a repeat a number is one for each round; any other element is a condition on
    the counter: there is a body for each."""
    (entry, *others) = node.entries
    if others or entry.index is None or entry.axis is not None:
        help = "as in `kinds[0]`, `kinds[layer]`"
        raise error("E0105", "a list is indexed by one whole number", node.span, help=help)
    at = frame.evaluated(entry.index)
    if isinstance(at.value, Value):
        raise error(
            "E0404",
            f"a list is indexed by what is known at compile time, but this is {describe(at.value)}",
            at.span,
            help="make a table of it: a `param`, or `where(…)`, which `take(table, index, over=…)` reads",
        )
    place = place_in(base, at, node.span)
    found: CompileTimeValue = base.values[place]
    assert isinstance(at.value, Number)
    if at.value.formula is None:
        return found
    numbers = [v for v in base.values if isinstance(v, Number) and v.value is not None and v.formula is None]
    if isinstance(found, Number) and len(numbers) == len(base.values) and len({n.is_bool for n in numbers}) == 1:
        table = tuple(bool(n.value) if n.is_bool else n.value or 0 for n in numbers)
        formula = Formula.element(table, at.value.formula)
        note_use(formula, node.span)
        return Number(found.value, None, None, formula, found.is_bool)
    kinds = [(type(v), written(as_plain(v))) for v in base.values]
    classes = tuple(kinds.index(kind) for kind in kinds)
    note_outcome(Formula.element(classes, at.value.formula), classes[place], node.span)
    return found


__all__ = ["element", "literal"]
