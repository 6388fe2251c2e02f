"""Lists, arrows, and what stands in square brackets behind a value."""

from __future__ import annotations

from attndsl import ops
from attndsl.diagnostics import AttnError, Span, error
from attndsl.elaborate import index_functions
from attndsl.elaborate.cases import note_outcome, note_use
from attndsl.elaborate.expressions import callable_named
from attndsl.elaborate.frames import Frame
from attndsl.elaborate.primitives import CONSTANTS
from attndsl.elaborate.sizes_and_axes import axis_of, made_axis, size_of
from attndsl.elaborate.tensors import emit, lift, require_within
from attndsl.elaborate.values import (
    ArrowValue,
    Axes,
    CompileTimeValue,
    Evaluated,
    IndexFunctionValue,
    Several,
    as_list,
    as_plain,
    describe,
)
from attndsl.graph import Axis, Value
from attndsl.sizes import Size
from attndsl.syntax import tree
from attndsl.values import Formula, List, Nothing, Number, place_in, written


def literal(node: tree.List, frame: Frame) -> CompileTimeValue:
    """`[2, 2, 6]`, `[B, T]`: a list, which stands for axes where these are wanted. What holds names that only an
    operand knows, `[in]`, or sizes with names, `[in=width]`, stands for axes alone."""
    axes = Axes(node.axes.terms, frame)
    if node.values is None or not all(_is_known(value, frame) for value in node.values):
        return axes
    try:
        values = [frame.evaluate(value) for value in node.values]
        found = List.of(tuple(each for v in values for each in (v.values if isinstance(v, Several) else (v,))), axes)
    except AttnError:
        if any(isinstance(part, (tree.Call, tree.Pipe)) for value in node.values for part in tree.walk(value)):
            raise  # no axis is written so
        return axes
    return found.bounded(node.span)


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


def arrow(node: tree.Arrow, frame: Frame) -> CompileTimeValue:
    return ArrowValue(Axes(node.source.terms, frame), Axes(node.target.terms, frame), node.span)


def subscript(node: tree.Subscript, frame: Frame) -> CompileTimeValue:
    base = frame.evaluate(node.base)
    if (listed := as_list(base)) is not None:
        return element(node, listed, frame)
    if isinstance(base, IndexFunctionValue):
        return _instance(node, base, frame)
    if isinstance(base, Nothing):
        return Number.of(True)  # no mask: everything attends
    if not isinstance(base, Value):
        what = f"only tensors, lists, masks and biases are subscripted, but this is {describe(base)}"
        raise error("E0105", what, node.base.span)
    if any(e.axis is None for e in node.entries):
        return index_functions.read(node, Evaluated(base, node.base.span, node.base), frame)
    for entry in node.entries:
        base = _select(entry, Evaluated(base, node.base.span, node.base), frame)
    return base


def _instance(node: tree.Subscript, function: IndexFunctionValue, frame: Frame) -> Value:
    axes: dict[str, tuple[Axis, Span]] = {}
    for entry in node.entries:
        name = entry.axis.size if entry.axis is not None else None
        if not isinstance(name, tree.Name) or entry.index is None:
            raise error("E0303", "say which axis each variable runs over: `mask[q=T, k=S]`", entry.span)
        axis = axis_of(tree.AxisTerm(entry.span, None, entry.index), frame)
        twice = next((n for n, (a, _) in axes.items() if a == axis), None)
        if twice is not None:
            raise error(
                "E0303",
                f"`{twice}` and `{name.text}` both run over `{axis.name}`",
                entry.span,
                help=f"rows and columns need an axis each: a block's `memory: [*, S, E] = x` makes a second one, and "
                f"so does comparing `positions({axis.name})` with `positions(S={axis.name})`",
            )
        axes[name.text] = (axis, entry.span)
    return index_functions.instantiate(function, axes, frame, node.span)


def _select(entry: tree.SubscriptEntry, base: Evaluated, frame: Frame) -> Value:
    assert isinstance(base.value, Value)
    assert entry.axis is not None
    type_ = base.value.type
    axis = axis_of(entry.axis, frame, (type_,), known=True)
    if entry.below is not None:
        size = size_of(frame.evaluate(entry.below), entry.below.span, frame)
        return _slice(entry, base, frame, axis, Size.of(0), size, Axis.of(size))
    if entry.is_slice:
        start = _offset(entry.start, frame, axis) if entry.start else Size.of(0)
        stop = _offset(entry.stop, frame, axis) if entry.stop else axis.size
        target = made_axis(entry.target, frame, stop - start) if entry.target else Axis.of(stop - start)
        return _slice(entry, base, frame, axis, start, stop - start, target)
    assert entry.index is not None
    index = frame.evaluated(entry.index)
    if isinstance(index.value, Number) and index.value.formula is None:
        at = _offset(entry.index, frame, axis)
        frame.require("<", at, axis.size, entry.index.span, "E0211")
        return emit(frame, ops.Select(axis, at), entry.span, base)
    require_within(frame, index, axis)
    return emit(frame, ops.Take(axis), entry.span, base, lift(index, frame))


def _offset(node: tree.Expr, frame: Frame, axis: Axis) -> Size:
    if isinstance(node, tree.Unary) and node.operator == "-" and isinstance(node.operand, tree.Number):
        back = f"{axis.name} - {node.operand.span.text}"
        raise error(
            "E0211", "indices are counted from 0, not from the end", node.span, help=f"write `{axis.name}={back}`"
        )
    return size_of(frame.evaluate(node), node.span, frame, smallest=0)


def _slice(
    entry: tree.SubscriptEntry, base: Evaluated, frame: Frame, axis: Axis, start: Size, length: Size, target: Axis
) -> Value:
    frame.require("==", length, target.size, entry.span, "E0206")
    frame.require("<=", start, start + length, entry.span, "E0211")
    frame.require("<=", start + length, axis.size, entry.span, "E0211")
    return emit(frame, ops.Slice(axis, start, target), entry.span, base)
