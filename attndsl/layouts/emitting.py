"""Emits the graph of one device: operations on parts, and the collectives between them, each of which is noted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attndsl.diagnostics import Span
from attndsl.graph import Node, Value
from attndsl.graph.builder import Builder
from attndsl.layouts.core import Mesh
from attndsl.layouts.placements import PARTIAL, VARYING, WHOLE, Placement, State, part_of
from attndsl.ops import (
    Add,
    AllGather,
    AllReduce,
    AllToAll,
    And,
    Collective,
    Constant,
    Ge,
    Lt,
    Mul,
    Op,
    Rank,
    ReduceScatter,
    Shard,
    SizeOf,
    Sub,
    Transpose,
    Vary,
    Where,
)
from attndsl.records import Frozen
from attndsl.sizes import Size
from attndsl.types import BYTES, Axis, Type


class Move(Frozen):
    """A collective that a device takes part in: along the mesh dimension `on`, on an array that has the type `type` on
    the device (the larger of what it gives and gets), `times` times in each forward pass (`in_backward`: in each
    backward pass). `axis` is what is gathered, scattered or exchanged, `reason` why."""

    collective: str
    on: str
    axis: Axis | None
    type: Type
    times: Size
    in_backward: bool
    reason: str
    scope: str = ""
    at: Span | None = None

    @property
    def bytes(self) -> Size:
        """Of the array, for one time, in float32 where it holds floats."""
        return self.type.elements * BYTES[self.type.dtype]


class DeviceEmitter:
    """Emits into the builder of a region, stamped with the place of the node at hand. `times` says how often that
    region runs in a forward pass."""

    def __init__(self, mesh: Mesh, moves: list[tuple[Value, Move]], builder: Builder, times: Size) -> None:
        self.mesh, self.moves, self.builder, self.times = mesh, moves, builder, times

    def stamp(self, node: Node) -> None:
        """What is emitted next is done for this node."""
        self.builder.scope, self.builder.span, self.builder.site = node.scope, node.span, node.site

    def emit(self, op: Op, *inputs: Value, names: tuple[str, ...] = ()) -> Value:
        """The value of an operation."""
        return self.builder.emit(op, *inputs, names=names)

    def laid_out(self, value: Value, type: Type) -> Value:
        """The value with its axes in the order of `type`."""
        return value if value.type.axes == type.axes else self.emit(Transpose(type.axes), value)

    def start(self, on: Sequence[str], axis: Axis) -> Value:
        """Where the device's part of an axis begins that lies on these dimensions."""
        place, *places = (self.emit(Rank(name)) for name in on)
        for name, after in zip(on[1:], places, strict=True):
            place = self.emit(Add(), self.emit(Mul(), place, self.emit(Constant(self.mesh.size(name)))), after)
        return self.emit(Mul(), place, self.emit(SizeOf(part_of(axis, self.mesh.count(on)).size)))

    def within(self, index: Value, on: Sequence[str], axis: Axis) -> tuple[Value, Value]:
        """Of an index into such an axis, whether the device has it, and where (0 where it has not)."""
        nothing = self.emit(Constant(0))
        at = self.emit(Sub(), index, self.start(on, axis))
        below = self.emit(Lt(), at, self.emit(SizeOf(part_of(axis, self.mesh.count(on)).size)))
        here = self.emit(And(), self.emit(Ge(), at, nothing), below)
        return here, self.emit(Where(), here, at, nothing)

    def where(self, condition: Value, value: Value) -> Value:
        """The value where the condition holds, else 0."""
        zero = self.emit(Constant(0.0 if value.type.is_float else 0))
        return self.laid_out(self.emit(Where(), condition, value, zero), value.type)

    def collective(self, op: Collective, value: Value, reason: str, *, differentiated: bool) -> Value:
        """The value of a collective, which is noted, and what its gradient does."""
        result = self.emit(op, value)
        axis = next((a for field in ("local", "whole") if isinstance(a := getattr(op, field, None), Axis)), None)
        larger = result.type if isinstance(op, AllGather) else value.type
        site = self.builder.site or self.builder.span

        def note(name: str, *, in_backward: bool) -> None:
            move = Move(name, op.on, axis, larger, self.times, in_backward, reason, self.builder.scope, site)
            self.moves.append((result, move))

        if op.sends:
            note(op.name, in_backward=False)
        if differentiated and op.sends_back:
            note(op.sends_back, in_backward=True)
        return result

    def vary(self, value: Value, number: int, reason: str, *, differentiated: bool) -> Value:
        """The value, for computations that differ along a dimension."""
        name, size = self.mesh.dimensions[number]
        return self.collective(Vary(name, size), value, reason, differentiated=True) if differentiated else value

    def moved_by(
        self, value: Value, now: Placement, steps: Iterable[tuple[int, State]], *, differentiated: bool = False
    ) -> Value:
        """The value, which lies as `now` says, after these steps, each along a dimension."""
        for number, after in steps:
            value = self.moved(value, now, number, after, "", differentiated=differentiated)
            now = now.at(number, after)
        return value

    def reduced(self, value: Value, number: int, reason: str, kind: str = "sum") -> Value:
        """The sum over the devices along a dimension (or, by `kind`, another value that all of them make up)."""
        name, size = self.mesh.dimensions[number]
        return self.collective(AllReduce(name, size, kind), value, reason, differentiated=True)

    def moved(
        self, value: Value, now: Placement, number: int, after: State, reason: str, *, differentiated: bool
    ) -> Value:
        """The value, which lies as `now` says, along a dimension as `after` says. No later one has the same axis."""
        (name, size), before, others = self.mesh.dimensions[number], now.states[number], now.at(number, WHOLE).parts
        op: Collective
        joined, cut = (others.get(state, state) if isinstance(state, Axis) else None for state in (before, after))
        if joined is not None and cut is not None:
            op = AllToAll(name, size, part_of(joined, size), joined, cut, part_of(cut, size))
        elif joined is not None:
            op = AllGather(name, size, part_of(joined, size), joined, after is VARYING and differentiated)
        elif cut is not None:
            op = (ReduceScatter if before is PARTIAL else Shard)(name, size, cut, part_of(cut, size))
        elif before is PARTIAL:
            op = AllReduce(name, size)
        else:
            assert before is WHOLE
            assert after is VARYING
            return self.vary(value, number, reason, differentiated=differentiated)
        return self.collective(op, value, reason, differentiated=differentiated)
