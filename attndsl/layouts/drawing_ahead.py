"""Random numbers of layers in stages: drawn before, in the order and for the rows of all, so that each device has the
same ones as a device that has all layers."""

from __future__ import annotations

from collections.abc import Sequence

from attndsl.diagnostics import AttnError
from attndsl.graph import Node, Region, Value
from attndsl.graph.builder import Builder
from attndsl.layouts.core import PlacementRule
from attndsl.layouts.placements import part_of
from attndsl.layouts.staged_loop import no_stages
from attndsl.ops import (
    Add,
    Broadcast,
    Constant,
    Dropout,
    Mul,
    Parameter,
    Range,
    Rank,
    Repeat,
    Scan,
    SizeOf,
    StopGradient,
    Take,
)
from attndsl.ops.control import stacked_types
from attndsl.types import INT, Axis, Type


class DrawnAhead:
    """Writes a loop over `axis`, that of all layers, which draws for the nodes of a repeat's body, before it; each
    device keeps what is of its layers."""

    def __init__(
        self, before: Builder, inside: Builder, loop: Node, axis: Axis, stages: int, rule: PlacementRule
    ) -> None:
        self.loop, self.rule, self.own = loop, rule, part_of(axis, stages)
        self.stacks: dict[Node, Value] = {}
        draws = {node: region for region in loop.regions for node in region.nodes if node.op.draws}
        for node in (node for region in loop.regions for node in region.walk()):
            if node.op.draws and node not in draws:
                raise self._refused(node, "is not drawn once in each layer")
        if not draws:
            return
        inner = Builder(loop.scope, loop.span, loop.site, before)
        number = inner.parameter(Value(Type(INT)))
        self._copies = {region.parameters[0]: number for region in loop.regions}
        made = [self._draw(node, region, inner) for node, region in draws.items()]
        assert isinstance(loop.op, Repeat)
        scan = Scan(f"{loop.op.path}.drawn", axis, 0, stacked=(axis,) * len(made))
        types = stacked_types([value.type for value in made], scan.stacked)
        stacks = before.emit_regions(scan, (), (inner.region((number,), tuple(made)),), types)
        first = inside.emit(Mul(), inside.emit(Rank(rule.dimension)), inside.emit(SizeOf(self.own.size)))
        layers = inside.emit(Add(), inside.emit(Range(self.own)), first)
        for node, stack in zip(draws, stacks, strict=True):
            self.stacks[node] = inside.emit(Take(axis), before.emit(StopGradient(), stack), layers)

    def taken(self, node: Node, index: Value, builder: Builder) -> Value:
        """What was drawn for a node in the device's layer `index`: what its operand is multiplied with, or the numbers
        themselves."""
        return builder.emit(Take(self.own), self.stacks[node], index)

    @staticmethod
    def applied(node: Node, inputs: Sequence[Value], drawn: Value, builder: Builder) -> Value:
        """What a node gives by what was drawn for it."""
        return builder.emit(Mul(), inputs[0], drawn) if isinstance(node.op, Dropout) else drawn

    def _draw(self, node: Node, region: Region, inner: Builder) -> Value:
        if not isinstance(node.op, Dropout):
            return inner.emit(node.op)
        ones = inner.emit(Broadcast(node.output.type.axes), inner.emit(Constant(1.0)))
        return inner.emit(node.op, ones, *(self._copied(value, region, inner, node) for value in node.inputs[1:]))

    def _copied(self, value: Value, region: Region, inner: Builder, node: Node) -> Value:
        """What the probability of a node in a body is made of, computed ahead, too."""
        maker = next((node for node in region.nodes if value in node.outputs), None)
        if value in self._copies:
            return self._copies[value]
        if maker is None and value not in region.parameters:
            return value
        if maker is None or maker.regions or maker.op.draws or isinstance(maker.op, Parameter):
            raise self._refused(node, "is known only in its layer")
        inputs = [self._copied(each, region, inner, node) for each in maker.inputs]
        self._copies[value] = inner.emit(maker.op, *inputs)
        return self._copies[value]

    def _refused(self, node: Node, why: str) -> AttnError:
        message = f"what `{node.op.name}` draws, or draws by, {why}, and layers in stages draw ahead"
        return no_stages(self.rule, node, message, "draw outside of inner loops, or leave the repeat whole")
