"""Where the new positions of each row stand: in the text, among the tokens of a call, and in the slots of memories."""

from __future__ import annotations

from attndsl.graph import INT, Axis, Graph, Type, Value
from attndsl.graph.builder import Builder
from attndsl.ops import (
    Add,
    Broadcast,
    Constant,
    Ge,
    Given,
    Lt,
    Maximum,
    Minimum,
    Mod,
    Range,
    Rename,
    SizeOf,
    Sub,
    Take,
    Transpose,
)
from attndsl.passes.base import NEW_TOKENS, PAST
from attndsl.passes.incremental.clock import Clock
from attndsl.passes.incremental.demands import Past
from attndsl.sizes import Size


class Positions:
    """`new` says how many of the tokens that a call gives are real, in each row; what stands behind them repeats the
    last of these. A row may have none: then the first token is to be the last one that it has read, which is put where
    it stands already. Nodes are emitted into the body of the model, as they are asked for."""

    def __init__(self, graph: Graph, clock: Clock, builder: Builder) -> None:
        self.clock, self.builder = clock, builder
        self._symbols = {*graph.sizes, *graph.free_sizes}
        self.capacities: dict[Size | None, str] = {}  # the size that counts the slots, by the window
        rows = Type(INT, clock.rows)
        self.past, self.given = Value(rows, (PAST,)), Value(rows, (NEW_TOKENS,))
        emit = builder.emit
        self.new = emit(Given(), self.given, emit(Broadcast(clock.rows), emit(SizeOf(clock.time.size))))
        self.end = emit(Add(), self.past, self.new, names=("read",))
        self.last = emit(Sub(), self.end, emit(Constant(1)))
        last_new = emit(Sub(), self.new, emit(Constant(1)))
        first = emit(Minimum(), emit(Range(clock.time)), last_new)
        place = emit(Transpose((*clock.rows, clock.time)), first, names=("offset",))
        self.place = emit(Maximum(), place, emit(Constant(0)), names=("place",))  # of the token that each stands for
        self.positions = emit(Add(), self.past, place, names=("position",))
        self.ends = emit(Add(), place, emit(Constant(1)))  # of how many new tokens each is the last one

    def along(self, value: Value, axis: Axis) -> Value:
        """What is known of the new positions, along an axis that is time."""
        return value if axis == self.clock.time else self.builder.emit(Rename(self.clock.time, axis), value)

    def real(self, value: Value, axis: Axis, builder: Builder | None = None) -> Value:
        """A value's elements along an axis that is time, the last real one in place of those behind it."""
        return (builder or self.builder).emit(Take(axis), value, self.along(self.place, axis))

    def are_real(self, axis: Axis) -> Value:
        """Which of the positions along an axis that is time are real, in each row."""
        emit, axes = self.builder.emit, (*self.clock.rows, axis)
        return emit(Lt(), emit(Broadcast(axes), emit(Range(axis))), emit(Broadcast(axes), self.new))

    def is_first(self) -> Value:
        """Whether nothing has been read of a row."""
        return self.builder.emit(Lt(), self.past, self.builder.emit(Constant(1)))

    def any_new(self) -> Value:
        """Whether a row has new tokens at all."""
        return self.builder.emit(Lt(), self.builder.emit(Constant(0)), self.new)

    # ------------------------------------------------------------ slots

    def slots(self, past: Past) -> Axis:
        """The axis of a memory that stands for `past.axis`."""
        if past.window not in self.capacities:
            self.capacities[past.window] = _free("C" if past.window is None else "W", self._symbols)
        return Axis(past.axis.name, Size.symbol(self.capacities[past.window]), past.axis.origin)

    def new_slots(self, past: Past) -> Value:
        """Where the new positions are written."""
        positions = self.along(self.positions, past.axis)
        if past.window is None:
            return positions
        return self.builder.emit(Mod(), positions, self.builder.emit(SizeOf(self.slots(past).size)), names=("slot",))

    def _held(self, past: Past) -> Value:
        """The positions in the slots for a window, below 0 where there has been nothing yet: the latest that belongs
        there."""
        emit, slots = self.builder.emit, self.slots(past)
        last = emit(Broadcast((*self.clock.rows, slots)), self.last)
        behind = emit(Mod(), emit(Sub(), last, emit(Range(slots))), emit(SizeOf(slots.size)))
        return emit(Sub(), last, behind, names=("held",))

    def all_positions(self, past: Past) -> Value:
        """The positions in the slots; where there is nothing yet, some position."""
        if past.window is None:
            return self.builder.emit(Range(self.slots(past)))
        return self.builder.emit(Maximum(), self._held(past), self.builder.emit(Constant(0)))

    def filled(self, past: Past) -> Value | None:
        """Whether there is something in each slot that could be taken for the past; None where masks say so."""
        if past.window is None:
            return None
        return self.builder.emit(Ge(), self._held(past), self.builder.emit(Constant(0)))


def _free(name: str, taken: set[str]) -> str:
    """`name`, or one like it that is not taken; it is from then on."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}{number}"
    taken.add(found)
    return found


__all__ = ["NEW_TOKENS", "PAST", "Positions"]
