"""What a body computes for one of several parts of a batch (a microbatch), where it was written for all of it.

A microbatch has every so many-th row, so that each device has rows of all microbatches where rows are divided, too.
"""

from __future__ import annotations

from attndsl.diagnostics import AttnError
from attndsl.graph import Node, Region, Value
from attndsl.graph.builder import Builder
from attndsl.graph.core import captured
from attndsl.layouts.channels import Channel, channels, linear_channels
from attndsl.layouts.classes import AxisClasses, Place
from attndsl.layouts.core import Mesh, PlacementRule
from attndsl.layouts.drawing_ahead import DrawnAhead
from attndsl.layouts.emitting import DeviceEmitter
from attndsl.layouts.parts import called, on_parts
from attndsl.layouts.placements import PARTIAL, WHOLE, Placement, State, part_of
from attndsl.layouts.staged_loop import no_stages
from attndsl.ops import Flatten, Mean, Parameter, Take, Unflatten
from attndsl.records import Frozen
from attndsl.sizes import ONE, Size
from attndsl.types import Axis, Type

ROWS_TOGETHER = "E1006"


class BatchRows(Frozen):
    """The rows of a batch that is taken in `count` microbatches: which axis of each value counts them, alone (`size`)
    or with what else became one axis with them. `axis` counts microbatches; `rule` is what asks for them."""

    classes: AxisClasses
    root: Place
    size: Size
    count: int
    axis: Axis
    rule: PlacementRule

    def of(self, value: Value) -> Axis | None:
        """The axis of a value that counts rows."""
        found = [axis for axis in value.type.axes if self.classes.find((value, axis)) == self.root]
        if len(found) > 1:
            names = ", ".join(f"`{axis.name}`" for axis in found)
            raise self.refused(f"a value has the rows of the batch twice, as {names}", None)
        return found[0] if found else None

    def part(self, value: Value) -> Type:
        """The type of a value for one microbatch."""
        rows = self.of(value)
        axes = (part_of(axis, self.count) if axis == rows else axis for axis in value.type.axes)
        return Type(value.type.dtype, tuple(axes))

    def apart(self, builder: Builder, value: Value, rows: Axis, node: Node | None) -> Value:
        """The value with the microbatches along an axis of their own."""
        if rows.size != self.size:
            raise self.refused(f"`{rows.name}` has the rows of the batch together with other things", node)
        return builder.emit(Unflatten(rows, (part_of(rows, self.count), self.axis)), value)

    def together(self, builder: Builder, value: Value, rows: Axis) -> Value:
        """What has the microbatches along an axis of their own with all rows in their order."""
        return builder.emit(Flatten((part_of(rows, self.count), self.axis), rows), value)

    def refused(self, message: str, node: Node | None) -> AttnError:
        way = "do that outside of the repeat, or lay its layers on no dimension of the mesh"
        return no_stages(self.rule, node, message, way, ROWS_TOGETHER)


class MicrobatchBody:
    """Writes what a body, of the device's layer `index`, does for the rows of the microbatch `at`. `local` has for each
    value what stands for it, and `states` how: cut along its rows, WHOLE, or PARTIAL where the sum over all of them is
    what it is for the batch. `drawn` has what is drawn ahead. What needs such a sum for more than a sum is not
    written: `later` has these nodes."""

    def __init__(self, rows: BatchRows, at: Value, index: Value, drawn: DrawnAhead) -> None:
        self.rows, self.at, self.index, self.drawn = rows, at, index, drawn
        self.mesh = Mesh((("microbatches", rows.count),))
        self.local: dict[Value, Value] = {}
        self.states: dict[Value, State] = {}
        self.later: dict[Node, None] = {}
        self.late: set[Value] = set()

    def made(self, value: Value, local: Value, state: State) -> None:
        """Note what stands for a value."""
        self.local[value], self.states[value] = local, state

    def wanted(self, value: Value) -> State:
        """How a value is carried from round to round."""
        return self.rows.of(value) or WHOLE

    def get(self, value: Value, state: State, builder: Builder, node: Node) -> Value:
        """What stands for a value that lies so."""
        now = self.states.get(value)
        if now == state:
            return self.local[value]
        if now is WHOLE and isinstance(state, Axis):
            return builder.emit(Take(self.rows.axis), self.rows.apart(builder, self.local[value], state, node), self.at)
        raise self.refused(node)

    def refused(self, node: Node) -> AttnError:
        return self.rows.refused(f"`{node.op.name}` takes the rows of a batch together", node)

    def nodes(self, region: Region, builder: Builder) -> None:
        """Write the nodes of a body."""
        for node in region.nodes:
            builder.scope, builder.span, builder.site = node.scope, node.span, node.site
            if all(value in self.local for value in node.outputs):
                continue  # it stands outside
            inner = {value for body in node.regions for value in captured(body)}
            if not self.late.isdisjoint({*node.inputs, *inner}):
                self._leave(node)
            elif node.regions:
                self._loop(node, builder)
            elif node.op.draws:
                self._drawn(node, builder)
            elif isinstance(node.op, Parameter):
                self.made(node.output, builder.emit(node.op, names=node.output.names), WHOLE)
            else:
                self._operation(node, builder)

    def _leave(self, node: Node) -> None:
        self.later[node] = None
        self.late.update(node.outputs)

    def _operation(self, node: Node, builder: Builder) -> None:
        channel = self._channel(node)
        if channel is None:
            if all(self.states[value] in (PARTIAL, WHOLE) for value in node.inputs):
                return self._leave(node)
            raise self.refused(node)
        inputs = [self.get(v, s, builder, node) for v, s in zip(node.inputs, channel.operands, strict=True)]
        placement = Placement(self.mesh, (channel.result,))
        emitter = DeviceEmitter(self.mesh, [], builder, ONE)
        local = on_parts(node, tuple(inputs), (channel,), placement, emitter, differentiated=False)
        return self.made(node.output, called(local, node.output), channel.result)

    def _channel(self, node: Node) -> Channel | None:
        """How it is computed without what other microbatches have; None where it cannot be."""
        partial = [i for i, value in enumerate(node.inputs) if self.states[value] is PARTIAL]
        possible = [*linear_channels(node, partial, ()), *channels(node)[1:], channels(node)[0]]
        fitting = (c for c in possible if self._fits(node, c))
        rows = self.rows.of(node.output)
        return min(fitting, key=lambda channel: channel.result != rows, default=None)

    def _fits(self, node: Node, channel: Channel) -> bool:
        if channel.own is not None and not isinstance(node.op, Mean):
            return False
        if isinstance(channel.result, Axis) and channel.result != self.rows.of(node.output):
            return False
        for value, state in zip(node.inputs, channel.operands, strict=True):
            now = self.states[value]
            cut = now is WHOLE and isinstance(state, Axis) and state == self.rows.of(value)
            if now != state and not cut:
                return False
        return True

    def _drawn(self, node: Node, builder: Builder) -> None:
        """What was drawn for all rows, of which these are some."""
        state = self.wanted(node.output)
        self.made(node.output, self.drawn.taken(node, self.index, builder), WHOLE)
        local = self.get(node.output, state, builder, node)
        inputs = [self.get(value, state, builder, node) for value in node.inputs[:1]]
        self.made(node.output, called(self.drawn.applied(node, inputs, local, builder), node.output), state)

    def _loop(self, node: Node, builder: Builder) -> None:
        """A loop in the body."""
        along = getattr(node.op, "axis", None)
        inputs = tuple([self.get(value, self.wanted(value), builder, node) for value in node.inputs])
        regions = []
        for region in node.regions:
            if any(along == self.rows.of(value) for value in (*region.parameters, *captured(region)) if along):
                raise self.refused(node)
            inner = Builder(outer=builder)
            given = [inner.parameter(Value(self.rows.part(value), value.names)) for value in region.parameters]
            for value, local in zip(region.parameters, given, strict=True):
                self.made(value, local, self.wanted(value))
            before = len(self.later)
            self.nodes(region, inner)
            if len(self.later) > before:
                raise self.refused(list(self.later)[before])
            results = [self.get(value, self.wanted(value), inner, node) for value in region.results]
            regions.append(inner.region(tuple(given), tuple(results)))
        types = tuple(map(self.rows.part, node.outputs))
        builder.scope, builder.span, builder.site = node.scope, node.span, node.site
        for value, local in zip(
            node.outputs, builder.emit_regions(node.op, inputs, tuple(regions), types), strict=True
        ):
            self.made(value, called(local, value), self.wanted(value))
