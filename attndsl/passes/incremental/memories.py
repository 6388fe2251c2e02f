"""What an incremental graph keeps from call to call: how far each text has been read, and memories of what was made of
its positions.

A memory has as many *slots* as a call makes it long. The position p of a text stands in slot p; in a memory for a
window, which keeps the last positions only, in slot p modulo the number of slots.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from attndsl.addresses import Box, loops_of
from attndsl.graph import INT, Axis, Bound, Graph, InputInfo, OutputInfo, StateInfo, Type, Value
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
from attndsl.ops.control import stacked_at
from attndsl.passes.incremental.clock import Clock, NotCausal
from attndsl.passes.incremental.demands import Past
from attndsl.records import dataclass, field, replace
from attndsl.sizes import Constraint, Size

PAST, NEW_TOKENS = "past", "new"
"""The state that says how many tokens of each row have been read, and the input that says how many of a call's are."""


@dataclass(eq=False)
class Memory:
    """A state: `type` is that of one layer, `loops` the axes that count its layers, the outermost first, `boxes` the
    layers in which it is. `start` is what the graph takes, and `end` what it gives, if that is something else."""

    name: str
    address: str
    type: Type
    loops: tuple[Axis, ...]
    start: Value
    end: Value | None = None
    boxes: list[Box] = field(default_factory=list)

    @staticmethod
    def stacked(type: Type, loops: tuple[Axis, ...]) -> Type:
        """The type of all layers together."""
        at = stacked_at(type)
        return Type(type.dtype, (*type.axes[:at], *reversed(loops), *type.axes[at:]))


class Memories:
    """The memories of a graph, and where the new positions stand in them. `new` says how many of the tokens that a call
    gives are real, in each row; what stands behind them repeats the last of these. A row may have none: then the first
    token is to be the last one that it has read, which is put where it stands already."""

    def __init__(self, graph: Graph, clock: Clock, builder: Builder) -> None:
        self.graph, self.clock, self.builder = graph, clock, builder
        taken = {info.name for info in graph.inputs} | {info.name for info in graph.outputs}
        if own := sorted(taken & {PAST, NEW_TOKENS}):
            raise NotCausal(f"it has an input or output `{own[0]}` of its own: call that otherwise")
        self._symbols = {*graph.sizes, *graph.free_sizes}
        self.capacities: dict[Size | None, str] = {}  # the number of slots, by the window
        self.memories: dict[tuple[str, Type], Memory] = {}
        self.sources: dict[Value, Memory] = {}  # those that stay as they are, by what they hold
        rows = Type(INT, clock.rows)
        self.past = Value(rows, (PAST,))
        self.new_input = Value(rows, (NEW_TOKENS,))
        size = builder.emit(SizeOf(clock.time.size))
        given = builder.emit(Broadcast(clock.rows), size) if clock.rows else size
        self.new = builder.emit(Given(), self.new_input, given)
        self.end = builder.emit(Add(), self.past, self.new)
        one = builder.emit(Constant(1))
        self.last = builder.emit(Sub(), self.end, one)
        self.last_new = builder.emit(Sub(), self.new, one)  # the place of the last real token
        place = builder.emit(Minimum(), builder.emit(Range(clock.time)), self.last_new)
        place = self._laid(place, (*clock.rows, clock.time))
        self.place = builder.emit(Maximum(), place, builder.emit(Constant(0)))  # of the token that stands at each place
        self._behind = builder.emit(Add(), place, one)
        self.positions = builder.emit(Add(), self.past, place)
        for value, name in ((self.place, "place"), (self.positions, "position"), (self.end, "read")):
            Builder.rename(value, value.names or (name,))
        self._made: dict[tuple[str, object], Value] = {}

    def _laid(self, value: Value, axes: tuple[Axis, ...]) -> Value:
        return value if value.type.axes == axes else self.builder.emit(Transpose(axes), value)

    # ------------------------------------------------------------ positions

    def real(self, value: Value, axis: Axis | None = None, builder: Builder | None = None) -> Value:
        """A value's elements along an axis that is time, the last real one in place of those behind it."""
        axis, builder = axis or self.clock.time, builder or self.builder
        place = self.place if axis == self.clock.time else builder.emit(Rename(self.clock.time, axis), self.place)
        return builder.emit(Take(axis), value, place)

    def are_real(self, axis: Axis) -> Value:
        """Which of the positions along an axis that is time are real, in each row."""
        key = ("real", axis)
        if key not in self._made:
            emit = self.builder.emit
            places = emit(Broadcast((*self.clock.rows, axis)), emit(Range(axis)))
            self._made[key] = emit(Lt(), places, emit(Broadcast(places.type.axes), self.new))
        return self._made[key]

    def is_first(self) -> Value:
        """Whether nothing has been read of a row."""
        key = ("first", None)
        if key not in self._made:
            self._made[key] = self.builder.emit(Lt(), self.past, self.builder.emit(Constant(1)))
        return self._made[key]

    def any_new(self) -> Value:
        """Whether a row has new tokens at all."""
        key = ("any", None)
        if key not in self._made:
            self._made[key] = self.builder.emit(Lt(), self.builder.emit(Constant(0)), self.new)
        return self._made[key]

    def behind(self, axis: Axis) -> Value:
        """How many new positions each place along `axis` ends; none in a row that has none."""
        return (
            self._behind if axis == self.clock.time else self.builder.emit(Rename(self.clock.time, axis), self._behind)
        )

    def new_positions(self, axis: Axis) -> Value:
        """The positions of the new tokens along `axis`, in each row."""
        if axis == self.clock.time:
            return self.positions
        key = ("new", axis)
        if key not in self._made:
            self._made[key] = self.builder.emit(Rename(self.clock.time, axis), self.positions)
        return self._made[key]

    def slots(self, past: Past) -> Axis:
        """The axis of a memory that stands for `past.axis`."""
        if past.window not in self.capacities:
            symbol = _free("C" if past.window is None else "W", self._symbols)
            self.capacities[past.window] = symbol
        return Axis(past.axis.name, Size.symbol(self.capacities[past.window]), past.axis.origin)

    def new_slots(self, past: Past) -> Value:
        """Where the new positions are written."""
        positions = self.new_positions(past.axis)
        if past.window is None:
            return positions
        key = ("slots", past)
        if key not in self._made:
            size = self.builder.emit(SizeOf(self.slots(past).size))
            self._made[key] = self.builder.emit(Mod(), positions, size)
        return self._made[key]

    def _held(self, past: Past) -> Value:
        """The positions in the slots for a window, below 0 where there has been nothing yet: the latest that belongs
        there."""
        key = ("held", past)
        if key not in self._made:
            emit, slots = self.builder.emit, self.slots(past)
            back = emit(Sub(), emit(Broadcast((*self.clock.rows, slots)), self.last), emit(Range(slots)))
            behind = emit(Mod(), back, emit(SizeOf(slots.size)))
            self._made[key] = emit(Sub(), emit(Broadcast(behind.type.axes), self.last), behind)
        return self._made[key]

    def all_positions(self, past: Past) -> Value:
        """The positions in the slots; where there is nothing yet, some position."""
        key = ("all", past)
        if key not in self._made:
            if past.window is None:
                self._made[key] = self.builder.emit(Range(self.slots(past)))
            else:
                zero = self.builder.emit(Constant(0))
                self._made[key] = self.builder.emit(Maximum(), self._held(past), zero)
        return self._made[key]

    def filled(self, past: Past) -> Value | None:
        """Whether there is something in each slot that could be taken for the past; None where masks say so."""
        if past.window is None:
            return None
        key = ("filled", past)
        if key not in self._made:
            self._made[key] = self.builder.emit(Ge(), self._held(past), self.builder.emit(Constant(0)))
        return self._made[key]

    # ------------------------------------------------------------ states

    def memory(self, called: str, type: Type, loops: tuple[Axis, ...], box: Box, claimed: Collection[Memory]) -> Memory:
        """A memory of this type in layers of these loops; the one of another body of the same loop, if that has one
        that is not `claimed` in this body."""
        paths = tuple(axis.name.removesuffix(".*") for axis in loops)
        if loops_of(called) != paths:
            called = ".".join((*(f"{path}.*" for path in paths[-1:]), called.rpartition(".")[2]))
        base, number = called, 1
        while (found := self.memories.get((called, type))) is not None and found in claimed:
            number += 1
            called = f"{base}_{number}"
        if found is None:
            others = [memory.name for memory in self.memories.values() if memory.address == called]
            name = called + "'" * len(others)
            start = Value(Memory.stacked(type, loops), (name,) if not loops else ())
            found = self.memories[called, type] = Memory(name, called, type, loops, start)
        found.boxes.append(box)
        return found

    def inputs(self) -> Iterator[InputInfo]:
        span = self.graph.span
        bounds = () if span is None else (Bound(">=", Size.of(0), span), Bound("<=", self.clock.time.size, span))
        yield InputInfo(NEW_TOKENS, self.new_input, True, bounds, default=str(self.clock.time.size))
        yield InputInfo(PAST, self.past)
        for memory in self.memories.values():
            yield InputInfo(memory.name, memory.start)

    def outputs(self) -> Iterator[OutputInfo]:
        yield OutputInfo(PAST, self.end)
        for memory in self.memories.values():
            yield OutputInfo(memory.name, memory.end or memory.start)

    def states(self) -> Iterator[StateInfo]:
        yield StateInfo(PAST, self.past.type, PAST)
        for memory in self.memories.values():
            for box in memory.boxes:
                yield StateInfo(memory.address, memory.type, memory.name, box)

    def constraints(self) -> Iterator[Constraint]:
        """Those of the graph, which are about whole texts, for what the memories hold; and how long these must be."""
        time, whole = self.clock.symbol, self.capacities.get(None)
        for rule in self.graph.constraints:
            if time in rule.symbols and whole is not None:
                there = {time: Size.symbol(whole)}
                yield replace(rule, left=rule.left.substitute(there), right=rule.right.substitute(there))
            else:
                yield rule
        span = self.graph.span
        if span is None:
            return
        for window, symbol in self.capacities.items():
            needed = self.clock.time.size if window is None else self.clock.time.size + window - 1
            help = "read the text in shorter pieces, or begin with longer memories"
            yield Constraint(">=", Size.symbol(symbol), needed, span, "E0211", helps=(help,))


def _free(name: str, taken: set[str]) -> str:
    """`name`, or one like it that is not taken; it is from then on."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}{number}"
    taken.add(found)
    return found


__all__ = ["NEW_TOKENS", "PAST", "Memories", "Memory"]
