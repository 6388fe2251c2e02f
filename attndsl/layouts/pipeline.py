"""Layers in stages: a repeat whose rounds the devices along a dimension of the mesh share becomes a pipeline.

Each device has as many consecutive rounds, and so their parameters. The batch is taken in microbatches, which go from
device to device: in each step, a device applies its rounds to the microbatch that is there, and hands on what it makes
(Huang et al., 2019, GPipe, arXiv 1811.06965; Xu et al., 2021, GSPMD, arXiv 2105.04663, section 3.3). With m
microbatches and s stages, that takes m + s - 1 steps, in s - 1 of which a device has no microbatch. Its rounds do not
run then (`active`, the last input of `Repeat`): rows that have not been through the layers before may be such that none
can be computed of them.

What is written here is the graph of one device along that dimension alone, in ordinary operations and `Shift`; how the
rest lies, and what stands outside the repeat, is found afterwards (`walk.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from attndsl.addresses import loops_of
from attndsl.diagnostics import AttnError
from attndsl.graph import Graph, Node, Region, Value
from attndsl.graph.builder import Builder
from attndsl.graph.core import captured
from attndsl.layouts.classes import AxisClasses
from attndsl.layouts.computing_later import ComputedLater, sooner
from attndsl.layouts.core import NOT_DIVISIBLE, Layout, Mesh, PlacementRule
from attndsl.layouts.drawing_ahead import DrawnAhead
from attndsl.layouts.emitting import DeviceEmitter
from attndsl.layouts.microbatches import BatchRows, MicrobatchBody
from attndsl.layouts.parts import called
from attndsl.layouts.placements import PARTIAL, WHOLE, State, part_of
from attndsl.layouts.staged_loop import StagedLoop, batch_place, no_stages, values_of
from attndsl.ops import (
    Add,
    AllGather,
    AllReduce,
    Constant,
    Eq,
    Maximum,
    Minimum,
    Mul,
    Op,
    Parameter,
    Range,
    Rank,
    Rename,
    Repeat,
    Scan,
    Select,
    Shift,
    SizeOf,
    Slice,
    Sub,
    Sum,
    Take,
    Where,
)
from attndsl.ops.control import stacked_types
from attndsl.sizes import ONE, Constraint, Size
from attndsl.types import BOOL, INT, Axis, Type


class Pipeline:
    """What stands in the place of a repeat: `nodes`, which make its outputs. `apart` are the values of which each
    device has its own; `loop` says in how many rounds and microbatches."""

    def __init__(self, graph: Graph, node: Node, rule: PlacementRule, layout: Layout, classes: AxisClasses) -> None:
        assert isinstance(node.op, Repeat)
        stages = layout.mesh.size(rule.dimension)
        self.graph, self.node, self.op, self.rule, self.stages = graph, node, node.op, rule, stages
        self.loop = StagedLoop.of(graph, node, rule, stages)
        self.count = self.loop.microbatches
        self.rows = self._rows(classes)
        self.constraints = self._divisible(layout)
        self.before, self.inside = self._builder(), self._builder()
        self.hoisted = self._hoisted()
        self.layers = self._axis("layer", self.op.count)
        self.drawn = DrawnAhead(self.before, self.inside, node, self.layers, stages, rule)
        self.rank = self.emit(Rank(rule.dimension))
        self.first = self.emit(Mul(), self.rank, self.emit(SizeOf(self.op.count / stages)))
        self.steps = self._axis("step", Size.of(self.loop.steps))
        self.given = {v: self._apart(v) for v in dict.fromkeys((*node.inputs, *self._captured()))}
        self.emissions: list[tuple[Value, State, Axis]] = []
        self.later: ComputedLater | None = None
        ends = self._finish(*self._write())
        self.apart = values_of(self.inside.nodes)
        self.nodes = [*self.before.nodes, *self.inside.nodes, *ends]

    def emit(self, op: Op, *inputs: Value) -> Value:
        return self.inside.emit(op, *inputs)

    def _builder(self, outer: Builder | None = None) -> Builder:
        return Builder(self.node.scope, self.node.span, self.node.site, outer)

    def _refused(self, message: str, help: str) -> AttnError:
        return no_stages(self.rule, self.node, message, help)

    def _rows(self, classes: AxisClasses) -> BatchRows:
        found = batch_place(self.graph, self.node, classes)
        if found is not None:
            micro = self._axis("microbatch", Size.of(self.count))
            return BatchRows(classes, classes.find(found), found[1].size, self.count, micro, self.rule)
        raise self._refused(f"nothing that `repeat {self.op.label}` carries has the rows of a batch", "leave it whole")

    def _divisible(self, layout: Layout) -> list[Constraint]:
        span, of = self.rule.span or self.graph.span, Size.of(self.count)
        notes = (f"the layout says `{self.rule}`: a batch is taken in {self.count} microbatches",)
        if span is None:
            return []
        places = self.rows.classes.members()[self.rows.root]
        rules = (rule for rule in layout.rules if rule.dimension != self.rule.dimension)
        on = {r.dimension for r in rules if any(each.matches(axis) for each in r.axes for _, axis in places)}
        parts = self.count * layout.mesh.count(on)
        way = f"make it a multiple of {parts}, so that each device has a row of each microbatch"
        return [Constraint("divides", self.rows.size, of, span, NOT_DIVISIBLE, notes=notes, helps=(way,))]

    def _axis(self, name: str, size: Size) -> Axis:
        """A new axis, called as no other of the loop's."""
        values = (*self.node.inputs, *values_of([self.node]), *self._captured())
        names = {axis.name for value in values for axis in value.type.axes}
        while name in names:
            name += "_"
        return Axis(name, size)

    # ------------------------------------------------------------ what it is given

    def _captured(self) -> tuple[Value, ...]:
        return tuple(dict.fromkeys(value for region in self.node.regions for value in captured(region)))

    def _hoisted(self) -> list[Value]:
        """Parameters that all rounds share are read in front of the loop, but for those of loops inside of it."""
        found = []
        for region in self.node.regions:
            for each in region.walk():
                if isinstance(each.op, Parameter) and not loops_of(each.op.address):
                    self.before.adopt([each])
                    found.append(each.output)
        return found

    def _apart(self, value: Value) -> Value:
        """A value from outside, with the microbatches along an axis of their own where it has rows."""
        rows = self.rows.of(value)
        return value if rows is None else self.rows.apart(self.inside, value, rows, self.node)

    def _at(self, value: Value, builder: Builder, at: Value) -> Value:
        """The microbatch `at` of it."""
        given = self.given[value]
        return given if given is value else builder.emit(Take(self.rows.axis), given, at)

    # ------------------------------------------------------------ the steps

    def _write(self) -> tuple[Value, ...]:
        """Write the loop over the steps: its outputs."""
        starts = [
            given if given is value else self.emit(Select(self.rows.axis, Size.of(0)), given)
            for value, given in ((value, self.given[value]) for value in self.node.inputs)
        ]
        step = self._builder(self.inside)
        number = step.parameter(Value(Type(INT)))
        before = tuple(step.parameter(Value(start.type)) for start in starts)
        own = step.emit(Sub(), number, self.rank)  # the number of its microbatch, if there is one
        at = step.emit(Minimum(), own, step.emit(Constant(self.count - 1)))
        at = step.emit(Maximum(), at, step.emit(Constant(0)))
        active = step.emit(Eq(), own, at)
        is_first = step.emit(Eq(), self.rank, step.emit(Constant(0)))
        carried = [
            step.emit(
                Where(), is_first, self._at(value, step, at), step.emit(Shift(self.rule.dimension, self.stages), got)
            )
            for value, got in zip(self.node.inputs, before, strict=True)
        ]
        regions = self._bodies(step, at, carried)
        emitted = tuple(value.type for value in regions[0].results[self.op.carried :])
        local = tuple(part_of(axis, self.stages) for _, _, axis in self.emissions)
        cases = None if self.op.cases is None else self.op.cases[: self.loop.layers]
        op = Repeat(self.op.path, self.op.count / self.stages, cases, self.op.carried, local)
        types = (*(value.type for value in carried), *stacked_types(emitted, local))
        made = step.emit_regions(op, (*carried, active), regions, types)
        for value, name in zip(made, self.node.outputs, strict=False):
            called(value, name)
        results = made[: op.carried]
        axes = (self.steps,) * len(made)
        region = step.region((number, *before), (*results, *made))
        types = (*(value.type for value in starts), *stacked_types([value.type for value in made], axes))
        scan = Scan(f"{self.op.path}.steps", self.steps, op.carried, stacked=axes)
        return self.inside.emit_regions(scan, tuple(starts), (region,), types)[op.carried :]

    def _bodies(self, step: Builder, at: Value, carried: Sequence[Value]) -> tuple[Region, ...]:
        given = {value: self._at(value, step, at) for value in self._captured()}
        found = []
        for region in self.node.regions:
            inner = self._builder(step)
            index = inner.parameter(Value(Type(INT), region.parameters[0].names))
            body = MicrobatchBody(self.rows, at, index, self.drawn)
            locals_ = [
                inner.parameter(Value(v.type, p.names)) for v, p in zip(carried, region.parameters[1:], strict=True)
            ]
            for value, local in given.items():
                body.made(value, local, body.wanted(value))
            for value in self.hoisted:
                body.made(value, value, WHOLE)
            for value, local in zip(region.parameters[1:], locals_, strict=True):
                body.made(value, local, body.wanted(value))
            body.made(region.parameters[0], inner.emit(Add(), self.first, index), WHOLE)
            body.nodes(region, inner)
            results = self._results(region, body, inner)
            found.append(sooner(inner.region((index, *locals_), results)))
        return tuple(found)

    def _results(self, region: Region, body: MicrobatchBody, inner: Builder) -> tuple[Value, ...]:
        """What a round gives: what is carried, and what is emitted."""
        carried = [
            body.get(value, body.wanted(value), inner, self._maker(region, value))
            for value in region.results[: self.op.carried]
        ]
        pairs = list(zip(region.results[self.op.carried :], self.op.stacked, strict=True))
        late = tuple(value for value, _ in pairs if value in body.late)
        if late and len(self.node.regions) > 1:
            raise body.refused(self._maker(region, late[0]))
        pairs = [(value, axis) for value, axis in pairs if value not in body.late]
        if late:
            self.later = ComputedLater.of(region, body.later, late)
            pairs += [(value, self.layers) for value in self.later.given]
        states = [body.wanted(v) if body.states.get(v) is WHOLE else body.states.get(v, WHOLE) for v, _ in pairs]
        found = [(value, state, axis) for (value, axis), state in zip(pairs, states, strict=True)]
        if self.emissions and [state for _, state, _ in self.emissions] != states:
            raise self._refused(f"what `repeat {self.op.label}` emits is made in different ways", "emit what is alike")
        self.emissions = self.emissions or found
        emitted = [body.get(value, state, inner, self._maker(region, value)) for value, state, _ in found]
        return (*carried, *emitted)

    def _maker(self, region: Region, value: Value) -> Node:
        return next((node for node in region.nodes if value in node.outputs), self.node)

    # ------------------------------------------------------------ what comes out

    def _finish(self, *stacks: Value) -> list[Node]:
        """Write what makes the loop's outputs of what the steps gave: the nodes that end the pipeline."""
        ends = self._builder()
        carried, emitted = stacks[: self.op.carried], stacks[self.op.carried :]
        for value, stack in zip(self.node.outputs, carried, strict=False):
            self._last(ends, value, stack)
        own = {
            value: self._all(value, stack, state)
            for (value, state, _), stack in zip(self.emissions, emitted, strict=True)
        }
        if self.later is not None:
            axis, given = part_of(self.layers, self.stages), {value: own[value] for value in self.later.given}
            made = self.later.write(self.inside, self.op.path, axis, self.first, given, self.drawn)
            own |= dict(zip(self.later.results, made, strict=True))
        results = self.node.regions[0].results[self.op.carried :]
        for output, value, axis in zip(self.node.outputs[self.op.carried :], results, self.op.stacked, strict=True):
            part, found = part_of(axis, self.stages), own[value]
            there = next(a for a in found.type.axes if a in (part, part_of(self.layers, self.stages)))
            found = found if there == part else self.emit(Rename(there, part), found)
            self._end(ends, AllGather(self.rule.dimension, self.stages, part, axis), found, output)
        return ends.nodes

    def _last(self, ends: Builder, value: Value, stack: Value) -> None:
        """What the last stage made in the steps in which a microbatch was there; the others have zeros."""
        rows, start = self.rows.of(value), Size.of(self.stages - 1)
        if value.type.dtype == BOOL:
            raise self._refused(f"`repeat {self.op.label}` carries truth values", "carry numbers: `int(…)`")
        if rows is None:
            found = self.emit(Select(self.steps, start), stack)
        else:
            found = self.rows.together(self.inside, self.emit(Slice(self.steps, start, self.rows.axis), stack), rows)
        is_last = self.emit(Eq(), self.rank, self.emit(Constant(self.stages - 1)))
        found = self._emitter.where(is_last, self._emitter.laid_out(found, value.type))
        self._end(ends, AllReduce(self.rule.dimension, self.stages), found, value)

    def _all(self, value: Value, stack: Value, state: State) -> Value:
        """What a device emitted in the steps in which it had a microbatch."""
        if state is WHOLE:
            return self.emit(Take(self.steps), stack, self.rank)
        steps = self.emit(Add(), self.emit(Range(self.rows.axis)), self.rank)
        found = self.emit(Take(self.steps), stack, steps)
        if state is PARTIAL:
            return self.emit(Sum((self.rows.axis,)), found)
        rows = self.rows.of(value)
        assert rows is not None
        return self.rows.together(self.inside, found, rows)

    @property
    def _emitter(self) -> DeviceEmitter:
        return DeviceEmitter(Mesh(()), [], self.inside, ONE)

    def _end(self, ends: Builder, op: Op, made: Value, value: Value) -> None:
        """Let a collective make an output of the loop."""
        node = self.node
        given = self._emitter.laid_out(made, _before(op, value.type))
        ends.adopt([Node(op, (given,), (value,), (), node.scope, node.span, node.site)])


def _before(op: Op, result: Type) -> Type:
    """The type of what a collective makes something of this type of."""
    if not isinstance(op, AllGather):
        return result
    return Type(result.dtype, tuple(op.local if axis == op.whole else axis for axis in result.axes))
