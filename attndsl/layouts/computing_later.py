"""What layers in stages make of a sum over all rows of a batch, once all microbatches have been there: how busy each
expert was, say. Nothing in the layers waits for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attndsl.graph import Node, Region, Value
from attndsl.graph.builder import Builder
from attndsl.graph.core import captured
from attndsl.layouts.drawing_ahead import DrawnAhead
from attndsl.layouts.parts import called
from attndsl.ops import Add, Scan, Take
from attndsl.ops.control import stacked_types
from attndsl.records import dataclass
from attndsl.types import INT, Axis, Type


@dataclass(frozen=True, slots=True)
class ComputedLater:
    """The nodes of a body that make the `results`, in order, and what of the body they read (`given`)."""

    region: Region
    nodes: tuple[Node, ...]
    results: tuple[Value, ...]
    given: tuple[Value, ...]

    @staticmethod
    def of(region: Region, later: Sequence[Node], results: tuple[Value, ...]) -> ComputedLater:
        """Of the nodes that could be computed later those that the results need."""
        needed, nodes = set(results), list[Node]()
        for node in reversed(later):
            if not needed.isdisjoint(node.outputs):
                needed.update(_read(node))
                nodes.insert(0, node)
        made = {value for node in nodes for value in node.outputs}
        own = {*region.parameters[1:], *(value for node in region.nodes for value in node.outputs)}
        given = (value for node in nodes for value in _read(node) if value in own and value not in made)
        return ComputedLater(region, tuple(nodes), results, tuple(dict.fromkeys(given)))

    def write(
        self, builder: Builder, path: str, axis: Axis, first: Value, own: Mapping[Value, Value], drawn: DrawnAhead
    ) -> list[Value]:
        """Write a loop over the device's layers, along `axis`, of which the first has the number `first`. `own` has
        for each given value those of all its layers. What is given back is stacked over the same axis."""
        inner = Builder(builder.scope, builder.span, builder.site, builder)
        index = drawn.index = inner.parameter(Value(Type(INT)))
        local = {self.region.parameters[0]: inner.emit(Add(), first, index)}
        local |= {value: inner.emit(Take(axis), stack, index) for value, stack in own.items()}
        for node in self.nodes:
            inner.scope, inner.span, inner.site = node.scope, node.span, node.site
            inputs = tuple([local.get(value, value) for value in node.inputs])
            if node.regions:
                types = tuple(value.type for value in node.outputs)
                made = inner.emit_regions(node.op, inputs, tuple(_with(body, local) for body in node.regions), types)
            elif node.op.draws:
                made = (drawn.applied(node, inputs, drawn.taken(node, inner), inner),)
            else:
                made = (inner.emit(node.op, *inputs, type=node.output.type),)
            local |= {value: called(found, value) for value, found in zip(node.outputs, made, strict=True)}
        results = tuple(local[value] for value in self.results)
        op = Scan(path, axis, 0, stacked=(axis,) * len(results))
        stacks = stacked_types([value.type for value in results], op.stacked)
        return list(builder.emit_regions(op, (), (inner.region((index,), results),), stacks))


def _read(node: Node) -> tuple[Value, ...]:
    return (*node.inputs, *(value for region in node.regions for value in captured(region)))


def _with(region: Region, local: Mapping[Value, Value]) -> Region:
    """A body that reads other values from around it."""
    builder, known = Builder(), dict(local)
    for node in region.nodes:
        builder.scope, builder.span, builder.site = node.scope, node.span, node.site
        inputs = tuple([known.get(value, value) for value in node.inputs])
        bodies = tuple(_with(body, known) for body in node.regions)
        builder.adopt([Node(node.op, inputs, node.outputs, bodies, node.scope, node.span, node.site)])
    return Region(region.parameters, tuple(builder.nodes), tuple(known.get(value, value) for value in region.results))
