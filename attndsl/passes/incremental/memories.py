"""What an incremental graph keeps from call to call: how far each text has been read, and memories of what was made of
its positions.

A memory has as many *slots* as a call makes it long. The position p of a text stands in slot p; in a memory for a
window, which keeps the last positions only, in slot p modulo the number of slots.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from attndsl.addresses import Box, loops_of
from attndsl.graph import Axis, Bound, Graph, InputInfo, OutputInfo, StateInfo, Type, Value
from attndsl.ops.control import stacked_at
from attndsl.passes.incremental.clock import NotCausal
from attndsl.passes.incremental.positions import NEW_TOKENS, PAST, Positions
from attndsl.records import dataclass, field, replace
from attndsl.sizes import Constraint, Size


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
    """The memories of a graph, by what they are called and their types. `sources` are those that stay as they are, by
    what they hold."""

    def __init__(self, graph: Graph, positions: Positions) -> None:
        self.graph, self.positions = graph, positions
        self.taken = {info.name for info in graph.inputs} | {info.name for info in graph.outputs}
        if own := sorted(self.taken & {PAST, NEW_TOKENS}):
            raise NotCausal(f"it has an input or output `{own[0]}` of its own: call that otherwise")
        self.memories: dict[tuple[str, Type], Memory] = {}
        self.sources: dict[Value, Memory] = {}

    def memory(self, called: str, type: Type, loops: tuple[Axis, ...], box: Box, claimed: Collection[Memory]) -> Memory:
        """A memory of this type in layers of these loops; the one of another body of the same loop, if that has one
        that is not `claimed` in this body."""
        paths = tuple(axis.name.removesuffix(".*") for axis in loops)
        if loops_of(called) != paths:
            called = ".".join((*(f"{path}.*" for path in paths[-1:]), called.rpartition(".")[2]))
        base, number = called, 1
        while called in self.taken or ((found := self.memories.get((called, type))) is not None and found in claimed):
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
        bounds = (
            () if span is None else (Bound(">=", Size.of(0), span), Bound("<=", self.positions.clock.time.size, span))
        )
        yield InputInfo(NEW_TOKENS, self.positions.given, True, bounds, default=str(self.positions.clock.time.size))
        yield InputInfo(PAST, self.positions.past)
        for memory in self.memories.values():
            yield InputInfo(memory.name, memory.start)

    def outputs(self) -> Iterator[OutputInfo]:
        yield OutputInfo(PAST, self.positions.end)
        for memory in self.memories.values():
            yield OutputInfo(memory.name, memory.end or memory.start)

    def states(self) -> Iterator[StateInfo]:
        yield StateInfo(PAST, self.positions.past.type, PAST)
        for memory in self.memories.values():
            for box in memory.boxes:
                yield StateInfo(memory.address, memory.type, memory.name, box)

    def constraints(self) -> Iterator[Constraint]:
        """Those of the graph, which are about whole texts, for what the memories hold; and how long these must be."""
        time, whole = self.positions.clock.symbol, self.positions.capacities.get(None)
        for rule in self.graph.constraints:
            if time in rule.symbols and whole is not None:
                there = {time: Size.symbol(whole)}
                yield replace(rule, left=rule.left.substitute(there), right=rule.right.substitute(there))
            else:
                yield rule
        held = {name for memory in self.memories.values() for axis in memory.type.axes for name in axis.size.symbols}
        if not held.issuperset(self.positions.capacities.values()):
            raise NotCausal("positions alone are attended to, and nothing is kept that says how many there are")
        span = self.graph.span
        if span is None:
            return
        for window, symbol in self.positions.capacities.items():
            needed = self.positions.clock.time.size if window is None else self.positions.clock.time.size + window - 1
            help = "read the text in shorter pieces, or begin with longer memories"
            yield Constraint(">=", Size.symbol(symbol), needed, span, "E0211", helps=(help,))
