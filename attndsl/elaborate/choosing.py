"""One of several blocks for each element: `take(block, index, over=[expert=n])` is a block whose parameters have one
more axis, along which the index chooses, as `take(table, index, over=n)` chooses rows of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attndsl import ops
from attndsl.diagnostics import Label, Span, error
from attndsl.elaborate.frames import Frame
from attndsl.elaborate.tensors import emit
from attndsl.elaborate.values import Arguments, BlockValue, CompileTimeValue, Evaluated, LayerChoice, LayerValue
from attndsl.graph import Value
from attndsl.records import replace
from attndsl.syntax import tree

if TYPE_CHECKING:
    from attndsl.elaborate.called import PrimitiveCall


SAY_WHICH = "say which of the blocks each element goes through: `take(block, which, over=[expert=n])`"


def take_block(call: PrimitiveCall, label: tree.Identifier | None = None) -> CompileTimeValue:
    """The block that `take` of a block gives, applied to the tensors before the index if there are any: `x |>
    take(block, index, over=n)`. Raises E0103 where there is no index, E0104 for arguments that `take` has not, E0105
    for a layer, whose parameters are there already, and E0204 for an index that is no int."""
    (given, *others), tensors = _sorted(call)
    if others or set(call.keywords) - {"over"}:
        extra = (others or [value for name, value in call.keywords.items() if name != "over"])[0]
        raise error("E0104", "`take` of a block takes the block, an index and `over`", extra.span, "one too many")
    if isinstance(given.value, LayerValue):
        raise error(
            "E0105",
            f"`{given.value.path}` is one layer, and `take` chooses among several",
            given.span,
            other=Label(given.value.span, "made here"),
            help="take the block that it is made of",
        )
    if not tensors:
        raise error("E0103", "`take` of a block needs an index", call.span, help=SAY_WHICH)
    assert isinstance(given.value, BlockValue)
    *applied, index = tensors
    if index.type.dtype != "int":
        what = f"an index must be an int, but this is `{index.type}`"
        raise error("E0204", what, index.span, help="convert it: `int(…)`" if applied else SAY_WHICH)
    choice = LayerChoice(call.axis_made("over"), index.tensor, call.span)
    block = replace(given.value, choices=(*given.value.choices, choice))
    return call.frame.elaborator.apply(block, applied, {}, call.frame, call.span, label) if applied or label else block


def _sorted(call: PrimitiveCall) -> tuple[list[Evaluated], list[Evaluated]]:
    """What is given by position: what is no tensor, and the tensors."""
    tensors = [given for given in call.positional if isinstance(given.value, Value)]
    return [given for given in call.positional if not isinstance(given.value, Value)], tensors


def require_aligned(layer: LayerValue, given: Arguments, inner: Frame, span: Span) -> None:
    """Raises E0201 unless what chooses the parameters runs along axes that `*` stands for in this call: what the block
    names has other axes inside, and what lacks them has no place for the results."""
    rest, block = inner.enclosing.rest or (), layer.callee.block
    tensors = given.named(block).values()
    for choice in layer.place.choices:
        for axis in choice.index.type.axes:
            named = any(axis in tensor.type.axes for tensor in tensors)
            if axis in rest or not (named or choice.span in [own.span for own in layer.callee.choices]):
                continue
            what = f"a position of its own in the signature of `{block.name.text}`" if named else "not an axis of it"
            raise error(
                "E0201",
                f"the index chooses along `{axis.name}`, which is {what}",
                span,
                other=Label(choice.span, "chosen here"),
                note=f"`{block.name.text}` takes {', '.join(p.type.span.text for p in block.tensors if p.type)}",
                help="the axes of the index must be among those that `*` stands for",
            )


def chosen(parameter: Value, frame: Frame, span: Span) -> Value:
    """What a body sees of a parameter: the part of it that each choice around the body takes."""
    for choice in frame.place.choices:
        index = Evaluated(choice.index, choice.span)
        parameter = emit(frame, ops.Take(choice.axis), span, Evaluated(parameter, span), index)
    return parameter
