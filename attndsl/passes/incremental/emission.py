"""The nodes of the incremental graph, body by body, in the order of the graph that it is made of."""

from __future__ import annotations

from collections.abc import Iterable

import attndsl.passes.incremental.carrying as carrying
from attndsl.addresses import Box, Indices
from attndsl.graph import FLOAT, INT, Axis, Node, Type, Value
from attndsl.graph.builder import Builder
from attndsl.ops import (
    Add,
    And,
    Attention,
    Broadcast,
    Cast,
    Concat,
    Constant,
    CumSum,
    Dropout,
    Given,
    MaskFacts,
    Range,
    Rename,
    Repeat,
    Scan,
    Take,
    Transpose,
    Where,
    Write,
)
from attndsl.passes.incremental.clock import NotCausal
from attndsl.passes.incremental.demands import NEW, Asked, BodyDemands, Demands, Past
from attndsl.passes.incremental.memories import Memories, Memory
from attndsl.records import replace


class BodyWriter:
    """Writes one body: `values` are what stands for the graph's values, by how they are asked for."""

    def __init__(
        self, demands: Demands, body: BodyDemands, memories: Memories, builder: Builder, outer: BodyWriter | None = None
    ) -> None:
        self.demands, self.body, self.memories = demands, body, memories
        self.builder, self.outer = builder, outer
        self.clock, self.positions = demands.clock, memories.positions
        self.values: dict[tuple[Value, Asked], Value] = {}
        self.loops: tuple[Axis, ...] = ()
        self.box: Box = ()
        self.parameters: tuple[Value, ...] = ()
        self.index: Value | None = None
        self.step: Value | None = None  # the index of the scan along time around it
        self.read: dict[Memory, Value] = {}  # what the memories were in this body, and are by now
        self.written: dict[Memory, Value] = {}
        self.kept: set[Memory] = set()  # those that stay as they are

    # ------------------------------------------------------------ what there is

    def value(self, value: Value, asked: Asked = NEW) -> Value:
        writer: BodyWriter | None = self
        while writer is not None:
            found = writer.values.get((value, asked))
            if found is not None:
                return found
            if value in self.demands.sources and self.demands.owners[value] is writer.body:
                return writer.source(value)
            writer = writer.outer
        raise AssertionError(f"{value.type} is read, and was not asked for")

    def source(self, value: Value) -> Value:
        """What was made once of other inputs, for all calls."""
        called = self.demands.sources.get(value) or self._call(value)
        memory = self.memory(called, value.type)
        self.memories.sources[value] = memory
        self.values[value, NEW] = self.start(memory)
        self.kept.add(memory)
        return self.values[value, NEW]

    def laid(self, value: Value, type: Type) -> Value:
        """The value in the layout of `type`, repeated along the axes that it lacks."""
        if value.type == type:
            return value
        same = set(value.type.axes) == set(type.axes)
        return self.builder.emit(Transpose(type.axes) if same else Broadcast(type.axes), value)

    def with_rows(self, type: Type) -> Type:
        """The type of what is carried or kept: what depends on positions differs from row to row."""
        lacking = tuple(axis for axis in self.clock.rows if axis not in type.axes)
        return Type(type.dtype, (*lacking, *type.axes)) if self.clock.times(type.axes) else type

    def stamp(self, node: Node) -> None:
        self.builder.scope, self.builder.span, self.builder.site = node.scope, node.span, node.site

    # ------------------------------------------------------------ nodes

    def write(self, nodes: Iterable[Node]) -> None:
        for value in self.body.region.parameters:
            self._remember(value)
        for node in nodes:
            if node.regions:
                if node in self.body.bodies:
                    self.stamp(node)
                    self._loop(node)
            elif node.output in self.body.needs:
                self.stamp(node)
                self._node(node)
            for value in node.outputs:
                self._remember(value)

    def _node(self, node: Node) -> None:
        for asked in self.body.needs[node.output]:
            if not self.demands.is_kept(node.output, asked):
                operands = [
                    found
                    for value, of_it in self.demands.operands(node, asked)
                    if (found := self.value(value, of_it)) is not None
                ]
                made = self._made(node, asked, operands)
                if asked == NEW and made in self.builder.makers:
                    made = self._named(made, node.output.names)
                self.values[node.output, asked] = made

    def _named(self, value: Value, names: tuple[str, ...]) -> Value:
        if names and not value.names:
            Builder.rename(value, names)
        return value

    def _made(self, node: Node, asked: Asked, operands: list[Value]) -> Value:
        op, emit = node.op, self.builder.emit
        there = {past.axis: self.positions.slots(past) for past in asked}
        if isinstance(op, Range) and self.clock.is_time(op.axis):
            return (
                self.positions.all_positions(asked[0])
                if asked
                else self.positions.along(self.positions.positions, op.axis)
            )
        if isinstance(op, Dropout):
            return operands[0] if operands[0].type.is_float else emit(Cast(FLOAT), operands[0])
        if isinstance(op, (Broadcast, Transpose)):
            axes = tuple(there.get(axis, axis) for axis in op.axes)
            return self.laid(operands[0], Type("", (*(a for a in operands[0].type.axes if a not in axes), *axes)))
        if isinstance(op, Rename) and op.new in there:
            return emit(
                Rename(replace(there[op.new], name=op.old.name, origin=op.old.origin), there[op.new]), *operands
            )
        if isinstance(op, Concat):
            return self._joined(op, operands)
        if isinstance(op, Given):
            given = emit(op, operands[0], self.laid(operands[1], operands[0].type))
            return self.positions.real(given, self.clock.time) if self.clock.time in given.type.axes else given
        if isinstance(op, Attention):
            return self._attention(node, op, operands)
        if isinstance(op, CumSum) and self.clock.is_time(op.over):
            return carrying.running_sum(self, node, op, operands[0])
        if isinstance(op, Take) and node.inputs[1] in self.demands.steps and self.clock.is_time(op.over):
            return emit(op, operands[0], self._step(node.inputs[1]))
        if (window := self.clock.tail(op)) is not None:
            return carrying.slid(self, node, window, operands)
        return emit(op, *operands)

    def _step(self, index: Value) -> Value:
        writer: BodyWriter | None = self
        while writer is not None:
            if writer.step is not None and writer.body.region.parameters[0] is index:
                return writer.step
            writer = writer.outer
        raise AssertionError("a step outside of its scan")

    def _joined(self, op: Concat, operands: list[Value]) -> Value:
        """Operands that are the same for all rows are repeated where others are not."""
        rest = [value.type.without(axis).axes for value, axis in zip(operands, op.axes, strict=True)]
        lacking = [tuple(a for other in rest for a in other if a not in mine) for mine in rest]
        laid = [
            self.laid(value, Type(value.type.dtype, (*dict.fromkeys(missing), *value.type.axes)))
            for value, missing in zip(operands, lacking, strict=True)
        ]
        return self.builder.emit(op, *laid)

    def _attention(self, node: Node, op: Attention, operands: list[Value]) -> Value:
        op = replace(op, dropout=0.0, site="")
        known = MaskFacts(data=op.mask.data, may_be_empty=op.mask.may_be_empty)
        if not self.clock.is_time(op.over):
            return self.builder.emit(replace(op, mask=known), *operands)
        past = Past(op.over, self.demands.window(node))
        known = replace(known, queries=op.mask.queries, data=True)
        filled = self.positions.filled(past)
        if filled is not None:
            operands[3] = self.builder.emit(And(), operands[3], filled)
        return self.builder.emit(replace(op, over=self.positions.slots(past), mask=known), *operands)

    # ------------------------------------------------------------ memories

    def _remember(self, value: Value) -> None:
        """Write the new positions of a value of which all are asked for into a memory."""
        for asked, called in self.body.needs.get(value, {}).items():
            if not self.demands.is_kept(value, asked):
                continue
            (past,) = asked
            new = self.value(value)
            new = self.laid(new, self.with_rows(new.type))
            slots = self.positions.slots(past)
            axes = tuple(slots if axis == past.axis else axis for axis in new.type.axes)
            memory = self.memory(called or self._call(value), Type(new.type.dtype, axes))
            made = self.builder.emit(Write(slots), self.start(memory), new, self.positions.new_slots(past))
            self.written[memory] = self.values[value, asked] = self._named(made, (memory.address,))

    def _call(self, value: Value) -> str:
        return value.names[-1] if value.names else f"{self.builder.scope}.kept" if self.builder.scope else "kept"

    def memory(self, called: str, type: Type) -> Memory:
        return self.memories.memory(called, type, self.loops, self.box, {*self.written, *self.kept})

    def start(self, memory: Memory) -> Value:
        """What a memory was before this call, in the layers that this body is for."""
        if memory not in self.read:
            if self.outer is None:
                self.read[memory] = memory.start
            else:
                assert self.index is not None
                depth = len(self.loops) - 1
                stack = self.outer.start(memory)
                names = (memory.address,)
                self.read[memory] = self.builder.emit(Take(memory.loops[depth]), stack, self.index, names=names)
        return self.read[memory]

    # ------------------------------------------------------------ bodies

    def _loop(self, node: Node) -> None:
        op, bodies = node.op, self.body.bodies[node]
        assert isinstance(op, Repeat | Scan)
        results = bodies[0].results
        carried = [i for i in results if i < op.carried]
        emitted = [i for i in results if i >= op.carried]
        starts = [self.laid(self.value(node.inputs[i]), self.with_rows(node.inputs[i].type)) for i in carried]
        running = [carrying.runs_on(self, node, i, start) for i, start in zip(carried, starts, strict=True)]
        starts = [start for _, start in running]
        writers = [self._inner(node, case, body, carried, starts) for case, body in enumerate(bodies)]
        memories = list(dict.fromkeys(memory for writer in writers for memory in writer.written))
        if memories and isinstance(op, Scan):
            raise NotCausal("its steps would have to remember one another's positions", node)
        regions = []
        for writer, body in zip(writers, bodies, strict=True):
            ends = [writer._result(body.region.results[i], node, i) for i in results]
            kept = [writer.written[m] if m in writer.written else writer.start(m) for m in memories]
            regions.append(writer.builder.region(writer.parameters, (*ends, *kept)))
        depth = len(self.loops)
        stacked = tuple(op.stacked[i - op.carried] for i in emitted)
        stacked += tuple(memory.loops[depth] for memory in memories)
        new = replace(op, carried=len(carried), stacked=stacked)
        types = new.outputs(tuple(start.type for start in starts), tuple(regions))
        outputs = self.builder.emit_regions(new, tuple(starts), tuple(regions), types)
        for i, value in zip(results, outputs, strict=False):
            if self.is_along_time(node) and i in emitted:
                value = carrying.emitted(self, node, value)
            self.values[node.outputs[i], NEW] = self._named(value, node.outputs[i].names)
        self.written.update(zip(memories, outputs[len(results) :], strict=True))
        self.written.update((memory, end) for (memory, _), end in zip(running, outputs, strict=False) if memory)

    def is_along_time(self, node: Node) -> bool:
        return isinstance(node.op, Scan) and self.clock.is_time(node.op.axis)

    def _inner(self, node: Node, case: int, body: BodyDemands, carried: list[int], starts: list[Value]) -> BodyWriter:
        """The writer of a body of `node`, which has written it."""
        op, region = node.op, body.region
        builder = Builder(node.scope, node.span, node.site, self.builder)
        inner = BodyWriter(self.demands, body, self.memories, builder, self)
        index = Value(Type(INT), region.parameters[0].names)
        given = [region.parameters[1 + i] for i in carried]
        new = [Value(start.type, value.names) for value, start in zip(given, starts, strict=True)]
        inner.parameters = (index, *new)
        for value in inner.parameters:
            builder.parameter(value)
        inner.values.update({(value, NEW): now for value, now in zip(given, new, strict=True)})
        if isinstance(op, Repeat):
            rounds: Indices = op.rounds(case, self.demands.graph.sizes)
            inner.loops = (*self.loops, Axis(f"{op.path}.*", op.count))
            inner.box = (*self.box, rounds)
            inner.index = index
            inner.values[region.parameters[0], NEW] = index
        else:
            inner.loops, inner.box = self.loops, self.box
            inner.values[region.parameters[0], NEW] = index
            if self.is_along_time(node):
                inner.step = index
                if region.parameters[0] in body.needs:  # as a number, it is a position
                    inner.values[region.parameters[0], NEW] = builder.emit(Add(), self.positions.past, index)
        inner.write(region.nodes)
        return inner

    def _result(self, value: Value, node: Node, at: int) -> Value:
        """What the body of `node` gives in this place. What a scan along time carries stays where a row has ended."""
        found = self.value(value)
        if not self.is_along_time(node):
            return self.laid(found, self.with_rows(value.type))
        assert isinstance(node.op, Scan)
        assert self.step is not None
        emit = self.builder.emit
        real = emit(Take(node.op.axis), self.positions.are_real(node.op.axis), self.step)
        if at < node.op.carried:
            before = self.value(node.regions[0].parameters[1 + at])
            return self.laid(emit(Where(), real, found, before), before.type)
        return emit(Where(), real, found, emit(Cast(found.type.dtype), emit(Constant(0))))
