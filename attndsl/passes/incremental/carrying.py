"""What runs along time from one step to the next: sums, scans, windows. What they end with is carried on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attndsl.graph import BOOL, INT, Axis, Node, Type, Value
from attndsl.ops import (
    Add,
    Broadcast,
    Cast,
    Concat,
    Constant,
    Convolution,
    CumSum,
    Range,
    Scan,
    Select,
    Take,
    Where,
    Windows,
)
from attndsl.passes.incremental.memories import Memory
from attndsl.records import replace
from attndsl.sizes import ZERO

if TYPE_CHECKING:
    from attndsl.passes.incremental.emission import BodyWriter


def slid(writer: BodyWriter, node: Node, window: Windows, operands: list[Value]) -> Value:
    """Windows that end at each new position: over the last positions before them, which are remembered together
    with the last one itself, for rows without new ones, and these."""
    emit, op, time = writer.builder.emit, node.op, window.axis
    x = writer.laid(operands[0], writer.with_rows(operands[0].type))
    tail = Axis("tail", window.before + 1)
    both, seen = Axis(f"{time.name}'", time.size + tail.size), Axis(f"{window.positions.name}'", time.size + 1)
    memory = writer.memory(
        f"{node.scope}.tail" if node.scope else "tail",
        Type(x.type.dtype, tuple(tail if axis == time else axis for axis in x.type.axes)),
    )
    joined = emit(Concat((tail, time), both), writer.start(memory), x)
    new = writer.positions.new
    last = emit(Add(), emit(Range(tail)), emit(Broadcast((*writer.clock.rows, tail)), new))
    writer.written[memory] = writer.laid(emit(Take(both), joined, last), memory.type)
    slid = replace(window, axis=both, positions=seen, before=ZERO, after=ZERO)
    if isinstance(op, Convolution):
        windows = tuple(slid if each == window else each for each in op.windows)
        made = emit(replace(op, windows=windows), joined, *operands[1:])
    else:
        made = emit(slid, joined)
    return emit(Take(seen), made, writer.positions.along(writer.positions.ends, window.positions))


def running_sum(writer: BodyWriter, node: Node, op: CumSum, x: Value) -> Value:
    """The sum so far, and what the new positions add to it."""
    emit = writer.builder.emit
    x = emit(Cast(INT), x) if x.type.dtype == BOOL else x
    zero = emit(Constant(0))
    x = emit(Where(), writer.positions.are_real(op.over), x, zero)
    sums = emit(op, writer.laid(x, writer.with_rows(x.type)))
    memory = writer.memory(f"{node.scope}.sum" if node.scope else "sum", sums.type.without(op.over))
    sums = emit(Add(), sums, writer.start(memory))
    writer.written[memory] = writer.laid(emit(Select(op.over, op.over.size - 1), sums), memory.type)
    return sums


def runs_on(writer: BodyWriter, node: Node, at: int, start: Value) -> tuple[Memory | None, Value]:
    """What a loop begins with: a scan along time where the last call ended, after the first one of a row."""
    if not isinstance(node.op, Scan) or not writer.is_along_time(node):
        return None, start
    type = Type(start.type.dtype, (*(a for a in writer.clock.rows if a not in start.type.axes), *start.type.axes))
    names = node.regions[0].parameters[1 + at].names
    label = names[-1].rpartition(".")[2] if names else f"{node.op.label}_{at}"
    memory = writer.memory(f"{node.scope}.{label}" if node.scope else label, type)
    begun = writer.builder.emit(Where(), writer.positions.is_first(), start, writer.start(memory))
    writer.written[memory] = begun  # so that no other takes it
    return memory, writer.laid(begun, type)


def emitted(writer: BodyWriter, node: Node, value: Value) -> Value:
    """What a scan along time has emitted: behind the last real position what it was there, which is remembered for
    rows that have no new one."""
    assert isinstance(node.op, Scan)
    emit, axis = writer.builder.emit, node.op.axis
    value = writer.laid(value, writer.with_rows(value.type))
    name = f"{node.scope}.emitted" if node.scope else "emitted"
    memory = writer.memory(name, value.type.without(axis))
    now = writer.positions.real(value, axis, writer.builder)
    now = writer.laid(emit(Where(), writer.positions.any_new(), now, writer.start(memory)), value.type)
    writer.written[memory] = writer.laid(emit(Select(axis, axis.size - 1), now), memory.type)
    return now
