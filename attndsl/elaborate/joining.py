"""Primitives that join, cut and window axes: what changes a size renames."""

from __future__ import annotations

from attndsl import ops
from attndsl.diagnostics import error
from attndsl.elaborate.called import PrimitiveCall
from attndsl.elaborate.initial import combined
from attndsl.elaborate.sizes_and_axes import axes_of, axes_text, axis_of, equal_if, made_axis, size_of
from attndsl.elaborate.tensors import aligned, lift
from attndsl.elaborate.values import ArrowValue, CompileTimeValue, Evaluated, Several
from attndsl.graph import FLOAT, INT, Axis, Initializer
from attndsl.sizes import Size
from attndsl.syntax import tree
from attndsl.values import List


def concat(g: PrimitiveCall) -> CompileTimeValue:
    over = g.keyword("over")
    arrow = g.arrow("a name for the joined axis", "`over=[M, T] -> S`", target=1)
    filled = any(isinstance(p.value, Initializer) for p in g.positional)
    parts = list(g.positional) if filled else [lift(p, g.frame) for p in g.positional]
    terms = _listed(arrow.source.terms, g)
    if len(terms) == 1 and terms is arrow.source.terms:
        terms *= len(parts)
    if len(terms) != len(parts):
        raise error(
            "E0104",
            f"{len(parts)} operands are joined over {len(terms)} axes",
            over.span,
            help="name one axis for each operand",
        )
    if filled:
        axes_filled = tuple(axis_of(term, g.frame) for term in terms)
        total = sum((a.size for a in axes_filled), Size.of(0))
        target = _joined(arrow.target.terms[0], total, total - axes_filled[-1].size, g)
        return combined(ops.Concat(axes_filled, target), g.frame, g.span, *parts)
    axes: list[Axis | None] = []
    total, earlier = Size.of(0), Size.of(0)
    for part, term in zip(parts, terms, strict=True):
        type_ = part.type
        is_one = isinstance(term.size, tree.Number) and term.size.value == 1 and term.name is None
        axis = None if is_one else axis_of(term, g.frame, (type_,))
        axes.append(axis if axis in type_.axes else None)
        earlier, total = total, total + (axis.size if axis in type_.axes else 1)
    target = _joined(arrow.target.terms[0], total, earlier, g)
    layout = max((p.type for p in parts), key=lambda t: t.rank).axes
    place = next((i for i, a in enumerate(layout) if a in axes), len(layout))
    rest = [a for a in layout if a not in axes]
    if g.frame.licensed:
        rest += dict.fromkeys(a for p in parts for a in p.type.axes if a not in (*axes, *rest))
    one = Axis("1", Size.of(1))
    full: list[Evaluated] = []
    for part, axis in zip(parts, axes, strict=True):
        type_ = part.type
        order = (*rest[:place], axis or one, *rest[place:])
        foreign = [a for a in type_.axes if a not in order]
        if foreign:
            raise error("E0203", f"{axes_text(foreign)} is not an axis of the other operands", part.span, str(type_))
        full.append(part if type_.axes == order else Evaluated(g.emit(ops.Broadcast(order), part), part.span))
    made = target if target.size == total else Axis(f"{target.name}'", total)
    joined = g.emit(ops.Concat(tuple(a or one for a in axes), made), *full)
    return joined if made == target else g.emit(ops.Rename(made, target), Evaluated(joined, g.span))


def stack(g: PrimitiveCall) -> CompileTimeValue:
    """The operands one behind the other along a new axis, which stands last; each may lack axes that others have."""
    parts = [lift(part, g.frame) for part in g.positional]
    over = g.keyword("over")
    term = over.expression
    length = Size.of(len(parts))
    if isinstance(term, tree.Name) and g.frame.lookup(term.text) is None:
        axis = g.frame.bind_axis(term.text, Axis(term.text, length), over.span)
    else:
        if isinstance(over.value, ArrowValue):
            raise error("E0104", "`stack` makes an axis of its own", over.span, help="name it: `over=part`")
        (axis,) = axes_of(over, g.frame)
        g.frame.require("==", length, axis.size, over.span, "E0206")
    aligned(g.frame, g.name, parts)
    if any(part.type.is_float for part in parts):
        parts = [p if p.type.dtype != INT else Evaluated(g.emit(ops.Cast(FLOAT), p), p.span) for p in parts]
    widest = max((part.type for part in parts), key=lambda type: type.rank)
    one = Axis("1", Size.of(1))
    full = [Evaluated(g.emit(ops.Broadcast((*widest.axes, one)), part), part.span) for part in parts]
    return g.emit(ops.Concat((one,) * len(parts), axis), *full)


def _listed(terms: tuple[tree.AxisTerm, ...], g: PrimitiveCall) -> tuple[tree.AxisTerm, ...]:
    """The axes that are written on one side of an arrow; a list stands for its elements."""
    name = terms[0].size
    if len(terms) > 1 or terms[0].name is not None or not isinstance(name, tree.Name):
        return terms
    known = g.frame.lookup(name.text)
    if known is not None and isinstance(known.value, List):
        span, count = terms[0].span, len(known.value.values)
        entries = [(tree.SubscriptEntry(span, index=tree.Number(span, i)),) for i in range(count)]
        return tuple([tree.AxisTerm(span, None, tree.Subscript(span, name, entry)) for entry in entries])
    return terms


def _joined(term: tree.AxisTerm, total: Size, earlier: Size, g: PrimitiveCall) -> Axis:
    """The axis that a concatenation makes. A new name is bound to the summed size, and its positions count from where
    the last operand starts; an axis that exists already (`2 * width`) is that axis, and counts from 0."""
    made = made_axis(term, g.frame, total, -earlier)
    helps = (f"all operands together are `{total}` long",)
    g.frame.require("==", total, made.size, term.span, "E0206", helps)
    return made


_PARTS = "the parts together are as long as the axis that they are split from"


def split(g: PrimitiveCall) -> CompileTimeValue:
    arrow = g.arrow("the axes of the parts", "`over=S -> [M, T]`", source=1)
    tensor, start = g.tensor(0), Size.of(0)
    axis = axis_of(arrow.source.terms[0], g.frame, (g.type(0),), known=True)
    targets = [axis_of(t, g.frame) for t in _listed(arrow.target.terms, g)]
    total = sum((t.size for t in targets), Size.of(0))
    g.frame.require("==", total, axis.size, g.span, "E0206", (_PARTS,))
    parts = []
    for target in targets:
        parts.append(g.emit(ops.Slice(axis, start, target), tensor))
        start = start + target.size
    return Several(tuple(parts))


def broadcast(g: PrimitiveCall) -> CompileTimeValue:
    tensor, axes = g.tensor(0), axes_of(g.positional[1], g.frame, (g.type(0),))
    lacking = tuple(a for a in g.type(0).axes if a not in axes)
    return g.emit(ops.Broadcast((*lacking, *axes)), tensor)


def windows(g: PrimitiveCall) -> CompileTimeValue:
    arrow = g.arrow("names for the axes that it makes", "`over=T -> [U, R]`", source=1, target=2)
    axis = axis_of(arrow.source.terms[0], g.frame, (g.type(0),), known=True)
    one, none = Size.of(1), Size.of(0)
    stride, dilation = _given(g, "stride", one, least=1), _given(g, "dilation", one, least=1)
    pad = _given(g, "pad", none)
    before, after = _given(g, "before", pad), _given(g, "after", pad)
    size = _given(g, "size", None, least=1)
    count = ops.Windows.count(axis.size, size, stride, dilation, before, after)
    reach, padded = (size - 1) * dilation + 1, axis.size + before + after
    way = f"a window reaches over {reach} elements, and `{padded}` must be as long: pad it, or take smaller windows"
    g.frame.require(">=", count, one, g.span, "E0206", (way,))
    if padded != axis.size:
        g.frame.require(">=", axis.size, one, g.span, "E0206", ("there must be an element to pad",))
    places, offsets = (_target(term, g) for term in arrow.target.terms)
    made = (
        places or _new(arrow.target.terms[0], _places(axis, count, arrow.target.terms[0]), g),
        offsets or _new(arrow.target.terms[1], Axis(arrow.target.terms[1].span.text, size), g),
    )
    for given, length, term in zip((places, offsets), (count, size), arrow.target.terms, strict=True):
        if given is not None and given.size != length:
            if stride == one and (way_out := equal_if(length, given.size, g.frame)):
                message = f"there are `{length}` windows over `{axis.name}`, and not `{given.size}` as is written"
                raise error("E0206", message, term.span, help=way_out)
            g.frame.require("==", length, given.size, term.span, "E0206")
    return g.emit(ops.Windows(axis, *made, stride, dilation, before, after), g.tensor(0))


def _target(term: tree.AxisTerm, g: PrimitiveCall) -> Axis | None:
    """The axis that a name on the right of an arrow stands for; None for a name that nothing has yet."""
    is_new = term.name is None and g.frame.lookup(term.span.text) is None
    return None if is_new else axis_of(term, g.frame)


def _new(term: tree.AxisTerm, axis: Axis, g: PrimitiveCall) -> Axis:
    """Let a name on the right of an arrow stand for the axis that is made."""
    return g.frame.bind_axis(term.span.text, axis, term.span)


def _places(axis: Axis, count: Size, term: tree.AxisTerm) -> Axis:
    """The axis of the places of windows along `axis`: itself where the length stays. An axis that goes by its size
    gives one that does so too, unless that is a number or rounded down: then it is called as written."""
    if count == axis.size:
        return axis
    by_size = axis.name == str(axis.size) and count.symbols and count.is_polynomial
    return Axis.of(count) if by_size else Axis(term.span.text, count)


def _given(g: PrimitiveCall, key: str, default: Size | None, least: int = 0) -> Size:
    """An argument of `windows` as a size, which may differ from round to round of a repeat."""
    if default is not None and key not in g.keywords:
        return default
    argument = g.keyword(key)
    return size_of(argument.value, argument.span, g.frame, smallest=least, by_round=True)
