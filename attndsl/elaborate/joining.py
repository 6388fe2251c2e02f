"""Primitives that join, cut and window axes: what changes a size renames."""

from __future__ import annotations

from attndsl import ops
from attndsl.diagnostics import error
from attndsl.elaborate.primitive_call import PrimitiveCall
from attndsl.elaborate.sizes_and_axes import axes_of, axes_text, axis_of, number, size_of
from attndsl.elaborate.tensors import aligned, lift
from attndsl.elaborate.values import ArrowValue, CompileTimeValue, Evaluated, Several
from attndsl.graph import FLOAT, INT, Axis
from attndsl.sizes import Constraint, Size
from attndsl.syntax import tree
from attndsl.values import Number


def concat(g: PrimitiveCall) -> CompileTimeValue:
    over = g.keyword("over")
    arrow = over.value
    if not isinstance(arrow, ArrowValue) or len(arrow.target.terms) != 1:
        raise error("E0104", "`concat` needs the joined axis's name", over.span, help="write `over=[M, T] -> S`")
    parts = [lift(p, g.frame) for p in g.positional]
    if len(arrow.source.terms) not in (1, len(parts)):
        raise error(
            "E0104",
            f"{len(parts)} operands are joined over {len(arrow.source.terms)} axes",
            over.span,
            help="name one axis for each operand",
        )
    terms = arrow.source.terms * (len(parts) if len(arrow.source.terms) == 1 else 1)
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
    one = Axis("1", Size.of(1))
    full: list[Evaluated] = []
    for part, axis in zip(parts, axes, strict=True):
        type_ = part.type
        order = (*rest[:place], axis or one, *rest[place:])
        foreign = [a for a in type_.axes if a not in order]
        if foreign:
            raise error("E0203", f"{axes_text(foreign)} is not an axis of the other operands", part.span, str(type_))
        full.append(part if type_.axes == order else Evaluated(g.emit(ops.Broadcast(order), part), part.span))
    return g.emit(ops.Concat(tuple(a or one for a in axes), target), *full)


def stack(g: PrimitiveCall) -> CompileTimeValue:
    """The operands one behind the other along a new axis, which stands last; each may lack axes that others have."""
    parts = [lift(part, g.frame) for part in g.positional]
    over = g.keyword("over")
    term = over.expression
    length = Size.of(len(parts))
    if isinstance(term, tree.Name) and g.frame.lookup(term.text) is None:
        axis = Axis(term.text, length)
        g.frame.bind(axis.name, Number(len(parts), length, axis), over.span)
    else:
        if isinstance(over.value, ArrowValue):
            raise error("E0104", "`stack` makes an axis of its own", over.span, help="name it: `over=part`")
        (axis,) = axes_of(over, g.frame)
        if axis.size != length:
            g.frame.elaborator.require(Constraint("==", length, axis.size, g.frame.site or over.span, "E0206"))
    aligned(g.frame, g.name, parts)
    if {part.type.dtype for part in parts} == {INT, FLOAT}:
        parts = [Evaluated(g.emit(ops.Cast(FLOAT), part), part.span) for part in parts]
    widest = max((part.type for part in parts), key=lambda type: type.rank)
    one = Axis("1", Size.of(1))
    full = [Evaluated(g.emit(ops.Broadcast((*widest.axes, one)), part), part.span) for part in parts]
    return g.emit(ops.Concat((one,) * len(parts), axis), *full)


def _joined(term: tree.AxisTerm, total: Size, earlier: Size, g: PrimitiveCall) -> Axis:
    """The axis that a concatenation makes. A new name is bound to the summed size, and its positions count from where
    the last operand starts; an axis that exists already (`2 * width`) is that axis, and counts from 0."""
    if term.name is None and isinstance(term.size, tree.Name) and g.frame.lookup(term.size.text) is None:
        axis = Axis(term.size.text, total, -earlier)
        g.frame.bind(term.size.text, Number(total.known(g.frame.elaborator.sizes), total, axis), term.span)
        return axis
    made = axis_of(term, g.frame)
    if made.size != total:
        g.frame.elaborator.require(Constraint("==", total, made.size, g.frame.site or term.span, "E0206"))
    return made


_PARTS = "the parts together are as long as the axis that they are split from"


def split(g: PrimitiveCall) -> CompileTimeValue:
    arrow = g.keyword("over").value
    if not isinstance(arrow, ArrowValue) or len(arrow.source.terms) != 1:
        raise error("E0104", "`split` needs the parts' axes", g.keyword("over").span, help="write `over=S -> [M, T]`")
    tensor, start = g.tensor(0), Size.of(0)
    axis = axis_of(arrow.source.terms[0], g.frame, (g.type(0),), known=True)
    targets = [axis_of(t, g.frame) for t in arrow.target.terms]
    total = sum((t.size for t in targets), Size.of(0))
    if total != axis.size:
        g.frame.elaborator.require(Constraint("==", total, axis.size, g.frame.site or g.span, "E0206", helps=(_PARTS,)))
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
    arrow = g.keyword("over").value
    if not isinstance(arrow, ArrowValue) or len(arrow.source.terms) != 1 or len(arrow.target.terms) != 2:
        raise error(
            "E0104", "`windows` needs the axes it makes", g.keyword("over").span, help="write `over=T -> [U, R]`"
        )
    axis = axis_of(arrow.source.terms[0], g.frame, (g.type(0),), known=True)
    stride, dilation = _whole(g, "stride", 1, least=1), _whole(g, "dilation", 1, least=1)
    pad = _whole(g, "pad", 0)
    before, after = _whole(g, "before", pad), _whole(g, "after", pad)
    size = size_of(g.keyword("size").value, g.keyword("size").span, g.frame, smallest=1)
    reach = (size - 1) * dilation + 1
    count = axis.size + (before + after) - reach
    count = (count // Size.of(stride) if stride != 1 else count) + 1
    padded = f"{axis.size + (before + after)}" if before or after else f"{axis.size}"
    way = f"a window reaches over {reach} elements, and `{padded}` must be as long: pad it, or take smaller windows"
    g.frame.elaborator.require(Constraint(">=", count, Size.of(1), g.frame.site or g.span, "E0206", helps=(way,)))
    names = [t.size.text if isinstance(t.size, tree.Name) else t.span.text for t in arrow.target.terms]
    made = []
    for name, length, term in zip(names, (count, size), arrow.target.terms, strict=True):
        if g.frame.lookup(name) is None:
            new = Axis(name, length)
            g.frame.bind(name, Number(length.known(g.frame.elaborator.sizes), length, new), term.span)
        else:
            new = axis_of(term, g.frame)
            if new.size != length:
                g.frame.elaborator.require(Constraint("==", length, new.size, g.frame.site or term.span, "E0206"))
        made.append(new)
    return g.emit(ops.Windows(axis, made[0], made[1], stride, dilation, before, after), g.tensor(0))


def _whole(g: PrimitiveCall, key: str, default: int, least: int = 0) -> int:
    if key not in g.keywords:
        return default
    n = number(g.keywords[key].value, g.keywords[key].span, f"`{key}`")
    if not isinstance(n.value, int) or n.value < least or n.formula is not None:
        now = f", and it is {n.value}" if n.value is not None and n.formula is None else ""
        raise error(
            "E0404", f"`{key}` must be a whole number of at least {least} that is known now{now}", g.keywords[key].span
        )
    return n.value
