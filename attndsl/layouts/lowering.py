"""What a device does of an operation on its parts, where that is not the operation itself."""

from __future__ import annotations

from collections.abc import Callable

from attndsl.graph import Node, Value
from attndsl.layouts.emitting import DeviceEmitter
from attndsl.layouts.placements import Placement, part_of
from attndsl.ops import (
    Abs,
    Add,
    All,
    Any,
    Broadcast,
    Cast,
    Constant,
    Div,
    Dropout,
    Eq,
    Exp,
    Log,
    LogSoftmax,
    LogSumExp,
    Lt,
    Max,
    Mean,
    Min,
    Mul,
    OneHot,
    Op,
    Range,
    ScatterAdd,
    Shift,
    Softmax,
    StopGradient,
    Sub,
    Sum,
    Take,
    Where,
)
from attndsl.records import Frozen
from attndsl.types import FLOAT, Axis


class LocalNode(Frozen):
    """A node at work on one device: `op` as it is of the parts, `inputs` these, and for each dimension along which it
    does more than that, its number and the axis that is divided. `differentiated` says whether a gradient flows
    through the first operand, `owned` whether the result may be anything where the device lacks what it is made of."""

    emitter: DeviceEmitter
    node: Node
    op: Op
    inputs: tuple[Value, ...]
    own: tuple[tuple[int, Axis], ...]
    differentiated: bool
    owned: bool

    def emit(self, op: Op, *inputs: Value) -> Value:
        """The value of an operation."""
        return self.emitter.emit(op, *inputs)

    def constant(self, number: float) -> Value:
        """A number."""
        return self.emit(Constant(number))

    def whole(self) -> Value:
        """The operation on the parts."""
        return self.emit(self.op, *self.inputs)

    def reduced(self, value: Value, reason: str, kind: str = "sum") -> Value:
        """What the devices make up along all dimensions that matter."""
        for number, _ in self.own:
            value = self.emitter.reduced(value, number, reason, kind)
        return value

    def varied(self, value: Value, reason: str) -> Value:
        """The value, for computations that differ along all dimensions that matter."""
        for number, _ in self.own:
            value = self.emitter.vary(value, number, reason, differentiated=self.differentiated)
        return value

    @property
    def axis(self) -> Axis:
        """The one axis that matters."""
        (axis,) = {axis for _, axis in self.own}
        return axis

    @property
    def on(self) -> tuple[str, ...]:
        """The dimensions that matter."""
        return tuple(self.emitter.mesh.names[number] for number, _ in self.own)

    @property
    def part(self) -> Axis:
        """The device's part of that axis."""
        return part_of(self.axis, self.emitter.mesh.count(self.on))

    def start(self) -> Value:
        """Where the device's part of that axis begins."""
        return self.emitter.start(self.on, self.axis)

    def within(self, index: Value) -> tuple[Value, Value]:
        """Of an index into that axis, whether the device has it, and where (0 where it has not)."""
        return self.emitter.within(index, self.on, self.axis)

    def where(self, condition: Value, value: Value) -> Value:
        """The value where the condition holds, else 0."""
        return self.emitter.where(condition, value)


def lowered(local: LocalNode) -> Value:
    """What one device computes of the node."""
    if isinstance(local.node.op, Shift):
        (x,) = local.inputs
        return local.emitter.collective(local.node.op, x, "to the next stage", differentiated=local.differentiated)
    lowering = _LOWERINGS.get(type(local.node.op)) if local.own else None
    return local.whole() if lowering is None else lowering(local)


# ---------------------------------------------------------------- each of them


def _mean(local: LocalNode) -> Value:
    """The parts are of one length, so the mean is that of their means."""
    return local.emit(Div(), local.whole(), local.constant(float(local.emitter.mesh.count(local.on))))


def _extreme(local: LocalNode) -> Value:
    kind = local.node.op.combines
    if not local.differentiated:
        return local.reduced(local.whole(), f"the {kind} over parts", kind)
    (x,), op = local.inputs, local.op
    assert isinstance(op, Max | Min)
    top = local.reduced(local.emit(type(op)(op.over), local.emit(StopGradient(), x)), f"the {kind} over parts", kind)
    equal = local.emitter.laid_out(local.emit(Eq(), x, top), x.type)
    total = local.emit(Sum(op.over), local.where(equal, x))  # of equal ones, each has its share of the gradient
    count = local.emit(Sum(op.over), local.emit(Cast(FLOAT), equal))
    reason = f"the elements that are the {kind}"
    return local.emit(Div(), local.reduced(total, reason), local.reduced(count, f"how many {reason[4:]}"))


def _extreme_bool(local: LocalNode) -> Value:
    return local.reduced(local.whole(), "whether it holds in a part", local.node.op.combines)


def _take(local: LocalNode) -> Value:
    table, index = local.inputs
    here, at = local.within(index)
    taken = local.emit(Take(local.part), table, at)
    return taken if local.owned else local.where(here, taken)


def _scatter_add(local: LocalNode) -> Value:
    values, index = local.inputs
    assert isinstance(local.op, ScatterAdd)
    here, at = local.within(index)
    return local.emit(ScatterAdd(local.op.over, local.part), local.where(here, values), at)


def _range(local: LocalNode) -> Value:
    return local.emit(Add(), local.emit(Range(local.part)), local.start())


def _one_hot(local: LocalNode) -> Value:
    (index,) = local.inputs
    return local.emit(Cast(FLOAT), local.emit(Eq(), index, _range(local)))


def _softmax(local: LocalNode) -> Value:
    """e^(x - m) divided by its sum, where m is no less than the largest x that counts on any device."""
    (x, *mask), op = local.inputs, local.op
    assert isinstance(op, Softmax)
    if mask:
        least = local.constant(float("-inf"))
        x = local.emitter.laid_out(local.emit(Where(), mask[0], x, least), x.type)
    own = local.emit(LogSumExp(op.over), local.emit(StopGradient(), x))
    top = local.reduced(own, "the largest over parts", "max")
    nothing = local.emit(Eq(), top, local.constant(float("-inf")))
    weight = local.emit(Exp(), local.emit(Sub(), x, local.emit(Where(), nothing, local.constant(0.0), top)))
    total = local.reduced(local.emit(Sum(op.over), weight), "the sum of e^x over parts")
    total = local.emit(Where(), local.emit(Eq(), total, local.constant(0.0)), local.constant(1.0), total)
    result = local.emit(Div(), weight, local.varied(total, "the sum of e^x over parts"))
    return local.where(mask[0], result) if mask else result


def _log_softmax(local: LocalNode) -> Value:
    """x - m - log(sum of e^(x - m)), where m is no less than the largest x on any device."""
    (x,), op = local.inputs, local.op
    assert isinstance(op, LogSoftmax)
    own = local.emit(LogSumExp(op.over), local.emit(StopGradient(), x))
    shifted = local.emit(Sub(), x, local.reduced(own, "the largest over parts", "max"))
    total = local.reduced(local.emit(Sum(op.over), local.emit(Exp(), shifted)), "the sum of e^x over parts")
    return local.emit(Sub(), shifted, local.varied(local.emit(Log(), total), "the sum of e^x over parts"))


def _log_sum_exp(local: LocalNode) -> Value:
    own = local.whole()
    top = local.reduced(local.emit(StopGradient(), own), "the largest over parts", "max")
    nothing, infinite = local.constant(0.0), local.constant(float("inf"))
    top = local.where(local.emit(Lt(), local.emit(Abs(), top), infinite), top)
    total = local.reduced(local.emit(Exp(), local.emit(Sub(), own, top)), "the sum of e^x over parts")
    empty = local.emit(Eq(), total, nothing)
    log = local.emit(Log(), local.emit(Where(), empty, local.constant(1.0), total))
    return local.emit(Where(), empty, local.constant(float("-inf")), local.emit(Add(), log, top))


def _dropout(local: LocalNode) -> Value:
    """The draws are those for the whole, of which each device takes its part."""
    x, *rate = local.inputs
    op = local.node.op
    assert isinstance(op, Dropout)
    drawn = local.emit(op, local.emit(Broadcast(local.node.output.type.axes), local.constant(1.0)), *rate)
    return local.emit(Mul(), x, local.emitter.moved_by(drawn, Placement.whole(local.emitter.mesh), local.own))


_LOWERINGS: dict[type[Op], Callable[[LocalNode], Value]] = {
    Mean: _mean, Max: _extreme, Min: _extreme, Any: _extreme_bool, All: _extreme_bool, Take: _take,
    ScatterAdd: _scatter_add, Range: _range, OneHot: _one_hot, Softmax: _softmax, LogSoftmax: _log_softmax,
    LogSumExp: _log_sum_exp, Dropout: _dropout,
}  # fmt: skip
