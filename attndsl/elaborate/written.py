"""A value brought to the type that an author wrote for it."""

from __future__ import annotations

from attndsl import ops
from attndsl.diagnostics import Label, Span, error
from attndsl.elaborate.frames import Frame
from attndsl.elaborate.sizes_and_axes import axes_text
from attndsl.elaborate.tensors import arrange, emit
from attndsl.elaborate.values import Evaluated
from attndsl.graph import Type, Value


def as_written(argument: Evaluated, wanted: Type, written: Span, frame: Frame, span: Span) -> Value:
    """The tensor `argument` as `wanted`, which stands at `written`: checked, its axes in that order, repeated along
    those that it lacks. Raises E0204 for another dtype, E0208 for an axis that the written type lacks."""
    value = argument.value
    assert isinstance(value, Value)
    have = value.type
    if have.dtype != wanted.dtype:
        raise error(
            "E0204",
            f"this is {have.dtype}, but {wanted.dtype} is written",
            argument.span,
            str(have),
            other=Label(written, "written here"),
            help=f"convert it with `{wanted.dtype}(…)`, or write `{have.dtype}` in the type",
        )
    foreign = [a for a in have.axes if a not in wanted.axes]
    if foreign:
        raise error(
            "E0208",
            f"this has {axes_text(foreign)}, which the written type lacks",
            argument.span,
            str(have),
            other=Label(written, "written here"),
            help="reduce it along what is too much, or write that in the type",
        )
    if len(have.axes) < len(wanted.axes):
        return emit(frame, ops.Broadcast(wanted.axes), span, argument)
    return arrange(value, wanted.axes, frame, span)
