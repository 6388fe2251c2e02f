"""Sizes that are required to be equal: one size from there on, which goes by the name that was declared first.

`Frame.equal` keeps what goes by another name; what an expression gives is brought to that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from attndsl import ops
from attndsl.diagnostics import Span
from attndsl.elaborate.frames import Frame
from attndsl.elaborate.tensors import emit
from attndsl.elaborate.values import CompileTimeValue, Evaluated, Several
from attndsl.graph import Axis, Value
from attndsl.records import replace
from attndsl.sizes import solved_for_one
from attndsl.syntax import tree
from attndsl.values import List, Number


def assume(left: Number, right: Number, frame: Frame) -> None:
    """Make two sizes one in this frame, as far as one can be told from the other, and the axes that they stand for."""
    if left.size is None or right.size is None:
        return
    known, order = frame.equal.sizes, {name: place for place, name in enumerate(frame.elaborator.declared)}
    found = solved_for_one(left.size.substitute(known), right.size.substitute(known), order)
    if found is not None:
        new = dict((found,))
        frame.equal = replace(frame.equal, sizes={**{atom: s.substitute(new) for atom, s in known.items()}, **new})
    if left.axis is not None and right.axis is not None:
        axis, other = (frame.equal.axis(each) for each in (left.axis, right.axis))
        if axis != other and (axis.size, axis.origin) == (other.size, other.origin):
            pair = {axis: other} if other.name == str(other.size) else {other: axis}
            frame.equal = replace(frame.equal, axes={**frame.equal.axes, **pair})


def assume_outcome(condition: tree.Expr, outcome: bool, frame: Frame) -> None:
    """Make those sizes one that a condition with this outcome says are equal."""
    for sides in _compared(condition, outcome):
        left, right = map(frame.evaluate, sides)
        if isinstance(left, Number) and isinstance(right, Number):
            assume(left, right, frame)


def _compared(condition: tree.Expr, outcome: bool) -> Iterator[Sequence[tree.Expr]]:
    if isinstance(condition, tree.Unary) and condition.operator == "not":
        yield from _compared(condition.operand, not outcome)
    elif isinstance(condition, tree.Chain):
        operator = condition.operators[0].text
        if operator == ("==" if outcome else "!="):
            yield condition.operands
        elif operator == ("and" if outcome else "or"):
            for part in condition.operands:
                yield from _compared(part, outcome)


def settled(value: CompileTimeValue, frame: Frame, span: Span) -> CompileTimeValue:
    """A number or tensor in terms of the sizes that others go by."""
    if isinstance(value, Number) and value.size is not None and value.formula is None:
        size = value.size.substitute(frame.equal.sizes)
        axis = value.axis and frame.equal.axis(value.axis)
        if size == value.size and axis == value.axis:
            return value
        known = size.known(frame.elaborator.sizes) if value.value is None else value.value
        return replace(value, value=known, size=size, axis=axis)
    if isinstance(value, Value):
        for axis in value.type.axes:
            value = _renamed(value, axis, frame.equal.axis(axis), frame, span)
    if isinstance(value, (Several, List)) and any(isinstance(one, Value) for one in value.values):
        return replace(value, values=tuple(settled(one, frame, span) for one in value.values))
    return value


def unsettled(value: Value, axes: Sequence[Axis], frame: Frame, span: Span) -> Value:
    """A tensor with those of `axes` that it has under a name that they go by."""
    for axis in axes:
        if axis not in value.type.axes:
            value = _renamed(value, frame.equal.axis(axis), axis, frame, span)
    return value


def _renamed(value: Value, axis: Axis, new: Axis, frame: Frame, span: Span) -> Value:
    """The tensor with another axis in the place of one, unless it lacks that, or has one of the new name already."""
    if axis == new or axis not in value.type.axes or new.name in (a.name for a in value.type.axes if a != axis):
        return value
    return emit(frame, ops.Rename(axis, new), span, Evaluated(value, span))
