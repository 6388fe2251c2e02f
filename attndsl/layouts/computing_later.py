"""What layers in stages make of a sum over all rows of a batch, once all microbatches have been there: how busy each
expert was, say. Nothing in the layers waits for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from attndsl.addresses import loops_of
from attndsl.graph import Node, Region, Value
from attndsl.graph.builder import Builder
from attndsl.graph.core import captured
from attndsl.layouts.drawing_ahead import DrawnAhead
from attndsl.layouts.parts import called
from attndsl.ops import Add, Parameter, Repeat, Take
from attndsl.ops.control import stacked_types
from attndsl.records import Frozen
from attndsl.types import INT, Axis, Type


class ComputedLater(Frozen):
    """The nodes of a body that make the `results`, in order, and what of the body they read (`given`)."""

    region: Region
    nodes: tuple[Node, ...]
    results: tuple[Value, ...]
    given: tuple[Value, ...]

    @staticmethod
    def of(region: Region, later: Collection[Node], results: tuple[Value, ...]) -> ComputedLater:
        """Of the nodes that could be computed later those that the results need, and the parameters that these read."""
        needed, nodes = set(results), list[Node]()
        reads = {node: bool(loops_of(node.op.address)) for node in region.nodes if isinstance(node.op, Parameter)}
        for node in reversed(region.nodes):
            if (node in later or reads.get(node)) and not needed.isdisjoint(node.outputs):
                needed.update(_read(node))
                nodes.insert(0, node)
        made = {value for node in nodes for value in node.outputs}
        inside = (node for node in region.nodes if reads.get(node, True))  # parameters of all layers are read outside
        own = {*region.parameters[1:], *(value for node in inside for value in node.outputs)}
        given = (value for node in nodes for value in _read(node) if value in own and value not in made)
        return ComputedLater(region, tuple(nodes), results, tuple(dict.fromkeys(given)))

    def write(
        self, builder: Builder, path: str, axis: Axis, first: Value, own: Mapping[Value, Value], drawn: DrawnAhead
    ) -> list[Value]:
        """Write another loop over the device's layers, as many as `axis` is long, of which the first has the number
        `first`. `own` has for each given value those of all its layers. What is given back is stacked along the axis.
        """
        inner = Builder(builder.scope, builder.span, builder.site, builder)
        index = inner.parameter(Value(Type(INT)))
        local = {self.region.parameters[0]: inner.emit(Add(), first, index)}
        local |= {value: inner.emit(Take(axis), stack, index) for value, stack in own.items()}
        for node in self.nodes:
            inner.scope, inner.span, inner.site = node.scope, node.span, node.site
            inputs = tuple([local.get(value, value) for value in node.inputs])
            if node.regions:
                types = tuple(value.type for value in node.outputs)
                made = inner.emit_regions(node.op, inputs, tuple(_with(body, local) for body in node.regions), types)
            elif node.op.draws:
                made = (drawn.applied(node, inputs, drawn.taken(node, index, inner), inner),)
            else:
                made = (inner.emit(node.op, *inputs, type=node.output.type),)
            local |= {value: called(found, value) for value, found in zip(node.outputs, made, strict=True)}
        results = tuple(local[value] for value in self.results)
        op = Repeat(path, axis.size, None, 0, (axis,) * len(results))
        stacks = stacked_types([value.type for value in results], op.stacked)
        return list(builder.emit_regions(op, (), (inner.region((index,), results),), stacks))


def sooner(body: Region) -> Region:
    """The body without parameters that it does not read: those of what is computed later."""
    read = {*body.results, *(value for node in body.nodes for value in _read(node))}
    nodes = (node for node in body.nodes if not isinstance(node.op, Parameter) or node.output in read)
    return Region(body.parameters, tuple(nodes), body.results)


def _read(node: Node) -> tuple[Value, ...]:
    """What a node reads, its bodies with it."""
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
