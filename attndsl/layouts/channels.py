"""In which ways an operation can be computed by the devices along one dimension of a mesh: how its operands lie then,
and how its result does."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import chain

from attndsl.graph import Node, Value
from attndsl.layouts.placements import PARTIAL, WHOLE, Owned, State
from attndsl.ops import (
    CumSum,
    Dropout,
    LogSoftmax,
    LogSumExp,
    OneHot,
    Op,
    Range,
    ScatterAdd,
    Softmax,
    Take,
)
from attndsl.ops.fused import Fused
from attndsl.records import Frozen
from attndsl.types import BOOL, Axis


class Channel(Frozen):
    """One way: a state for each operand, and the result's. Where the operation does more than what it does on the
    whole, on parts, `own` is the axis (of the operand, or of the result) that its lowering must know of."""

    operands: tuple[State, ...]
    result: State
    own: Axis | None = None

    @property
    def is_whole(self) -> bool:
        """Whether each device does all of it."""
        return self.result is WHOLE and all(state is WHOLE for state in self.operands)

    @property
    def owned(self) -> tuple[Owned | None, ...]:
        """Of the operands and the result, what is `Owned`."""
        return tuple([state if isinstance(state, Owned) else None for state in (*self.operands, self.result)])

    def shared(self, other: Channel) -> Iterator[tuple[int, Axis]]:
        """The axes that both divide, with the number of the operand that has each, or of the result after these."""
        pairs = zip((*self.operands, self.result), (*other.operands, other.result), strict=True)
        return ((i, left) for i, (left, right) in enumerate(pairs) if isinstance(left, Axis) and left == right)


def channels(node: Node) -> tuple[Channel, ...]:
    """All ways in which no operand is a sum that is still to be made; the first is to do all of it everywhere, and the
    only one of what passes fuse."""
    whole = Channel((WHOLE,) * len(node.inputs), WHOLE)
    if isinstance(node.op, Fused):
        return (whole,)
    return (whole, *_CHANNELS.get(type(node.op), _usual)(node))


def linear_channels(node: Node, partial: Collection[int], zero: Collection[int]) -> Iterator[Channel]:
    """The ways in which operands are sums that are still to be made, and the result is one: `partial` are such sums,
    and a `zero` is one of zeros."""
    op = node.op
    if op.contracts or isinstance(op, CumSum):
        return
    groups = op.linear or ((tuple(range(len(node.inputs))),) if op.is_linear(range(len(node.inputs))) else ())
    for together in groups:
        if any(i in partial for i in together) and all(i in partial or i in zero for i in together):
            states = (PARTIAL if i in together else WHOLE for i in range(len(node.inputs)))
            yield Channel(tuple(states), PARTIAL)


def owned_channels(
    node: Node, states: Sequence[State], choices: Collection[Value], on: tuple[str, ...]
) -> Iterator[Channel]:
    """The ways in which the result is right on the device that has the weights for it (`Owned`): to pick these, which
    are divided over the dimensions `on`, where products follow, and to go on place by place."""
    op = node.op
    if isinstance(op, Take) and states[0] == op.over and node.inputs[1] in choices:
        yield Channel((op.over, WHOLE), Owned(node.inputs[1], op.over, node.inputs[1].type.axes, on), op.over)
    owners = dict.fromkeys(state for state in states if isinstance(state, Owned))
    bound = op.works_along
    for owner in owners if len(owners) == 1 else ():
        if all(axis not in bound and axis in node.output.type.axes for axis in owner.axes):
            yield Channel(tuple(owner if state == owner else WHOLE for state in states), owner)


# ---------------------------------------------------------------- most operations


def _usual(node: Node) -> Iterator[Channel]:
    yield from _along(node)
    for own, new in node.op.corresponding:
        yield Channel((own,), new)
    if node.op.combines:
        for axis in node.op.goes_over:
            operands = tuple(axis if axis in value.type.axes else WHOLE for value in node.inputs)
            if node.op.combines == "sum":
                yield Channel(operands, PARTIAL)
            else:
                yield Channel(operands, PARTIAL if node.op.combines == "mean" else WHOLE, axis)


def _along(node: Node) -> Iterator[Channel]:
    """A part of the result from parts of the operands."""
    bound = node.op.works_along
    for axis in node.output.type.axes:
        if axis not in bound:
            yield Channel(tuple(axis if axis in value.type.axes else WHOLE for value in node.inputs), axis)


# ---------------------------------------------------------------- those that do more on parts


def _take(node: Node) -> Iterator[Channel]:
    """Of a table that is divided along the axis of the index, each device takes what it has, and zeros for the rest."""
    op, (table, index) = node.op, node.inputs
    assert isinstance(op, Take)
    rest = table.type.without(op.over).axes
    for axis in node.output.type.axes:
        yield Channel((axis if axis in rest else WHOLE, axis if axis in index.type.axes else WHOLE), axis)
    if table.type.dtype != BOOL:
        yield Channel((op.over, WHOLE), PARTIAL, op.over)


def _scatter_add(node: Node) -> Iterator[Channel]:
    """Each device adds up what goes to the places that it has."""
    assert isinstance(node.op, ScatterAdd)
    return chain(_usual(node), [Channel((WHOLE, WHOLE), node.op.target, node.op.target)])


def _range(node: Node) -> Iterator[Channel]:
    assert isinstance(node.op, Range)
    yield Channel((), node.op.axis, node.op.axis)


def _one_hot(node: Node) -> Iterator[Channel]:
    assert isinstance(node.op, OneHot)
    return chain(_along(node), [Channel((WHOLE,), node.op.axis, node.op.axis)])


def _softmax(node: Node) -> Iterator[Channel]:
    """With the sum over all devices, found without gathering what it is of."""
    op = node.op
    assert isinstance(op, Softmax)
    yield from _along(node)
    for axis in op.goes_over if not op.sink else ():
        yield Channel(tuple(axis if axis in value.type.axes else WHOLE for value in node.inputs), axis, axis)


def _log_softmax(node: Node) -> Iterator[Channel]:
    return chain(_along(node), (Channel((axis,), axis, axis) for axis in node.op.goes_over))


def _log_sum_exp(node: Node) -> Iterator[Channel]:
    return chain(_along(node), (Channel((axis,), WHOLE, axis) for axis in node.op.goes_over))


def _dropout(node: Node) -> Iterator[Channel]:
    """All devices draw for the whole, and take their part of that."""
    rest = (WHOLE,) * (len(node.inputs) - 1)
    return (Channel((axis, *rest), axis, axis) for axis in node.output.type.axes)


_CHANNELS: dict[type[Op], Callable[[Node], Iterator[Channel]]] = {
    Take: _take, ScatterAdd: _scatter_add, Range: _range, OneHot: _one_hot, Softmax: _softmax,
    LogSoftmax: _log_softmax, LogSumExp: _log_sum_exp, Dropout: _dropout,
}  # fmt: skip
