"""Which axes of a graph's values are one dimension of the data, and which of these a plan can divide over devices.

An axis that operand and result have in common is the same dimension; a rename, a split of an axis into parts and a
loop's boundary carry it on. What stands between two layers (the axes of what a repeat carries) is whole on every device
of a tensor-parallel group, except along the tokens; what a product with a parameter makes inside of a layer is divided
(Shoeybi et al., 2019, section 3; Korthikanti et al., 2022, section 4.2).
"""

from __future__ import annotations

from collections.abc import Iterable

from attndsl.graph import Axis, Graph, Node, Region, Value
from attndsl.layouts import Layout
from attndsl.ops import (
    Attention,
    Dot,
    Flatten,
    GroupedDot,
    LogSoftmax,
    Parameter,
    Rename,
    Repeat,
    Scan,
    Sum,
    Take,
    Unflatten,
)
from attndsl.sizes import ONE

Place = tuple[Value, Axis]
_PASSING = (Rename, Unflatten, Flatten, Dot, GroupedDot, Sum, Attention)  # what may take a divided axis away
_OVER_VOCABULARY = (LogSoftmax, Take)  # over a divided vocabulary, they need a number for each row from other devices


class Dimensions:
    """Classes of axes, by a representative. `inner` are those inside of layers, of a layout those that its rules
    name."""

    def __init__(self, graph: Graph, layout: Layout | None = None) -> None:
        self._parent: dict[Place, Place] = {}
        for info in graph.inputs:
            self._touch(info.value)
        self._region(graph.body)
        inputs = [info.value for info in graph.inputs if info.value.type.axes]
        self.batch = self.find(inputs[0], inputs[0].type.axes[0]) if inputs else None
        tokens = next((value for value in inputs if value.type.rank == 2), None)
        self.tokens = self.find(tokens, tokens.type.axes[1]) if tokens is not None else None
        outside = {self.batch, self.tokens}
        loops = [node for node in graph.body.walk() if isinstance(node.op, (Repeat, Scan))]
        self.stream = {self.find(v, axis) for node in loops for v in node.inputs for axis in v.type.axes} - outside
        nodes = tuple(graph.body.walk())
        self.experts = {self.find(node.inputs[1], node.op.group) for node in nodes if isinstance(node.op, GroupedDot)}
        self.inner = self._inside_of_layers(nodes) - self.stream - self.experts - outside
        if layout is not None:
            patterns = [pattern for rule in layout.rules for pattern in rule.axes]
            self.inner &= {self.find(*at) for at in self.places() if any(it.matches(at[1]) for it in patterns)}

    def find(self, value: Value, axis: Axis) -> Place:
        place = (value, axis)
        root = place
        while (above := self._parent.setdefault(root, root)) != root:
            root = above
        while place != root:
            self._parent[place], place = root, self._parent[place]
        return root

    def places(self) -> tuple[Place, ...]:
        """Every axis of every value."""
        return tuple(self._parent)

    def of(self, value: Value) -> tuple[Place, ...]:
        """The dimension of each axis of a value."""
        return tuple(self.find(value, axis) for axis in value.type.axes)

    def _join(self, first: Place, second: Place) -> None:
        self._parent[self.find(*first)] = self.find(*second)

    def _touch(self, value: Value) -> None:
        for axis in value.type.axes:
            self._parent.setdefault((value, axis), (value, axis))

    def _same(self, one: Value, other: Value) -> None:
        for axis in one.type.axes:
            if axis in other.type.axes:
                self._join((one, axis), (other, axis))

    def _region(self, region: Region) -> None:
        for node in region.nodes:
            for inner in node.regions:
                self._body(node, inner)
            for output in node.outputs:
                for value in node.inputs:
                    self._same(output, value)
            self._changed(node)

    def _body(self, node: Node, region: Region) -> None:
        carried = len(node.inputs)
        inside = region.parameters[len(region.parameters) - carried :]
        for parameter, given, result, output in zip(
            inside, node.inputs, region.results[:carried], node.outputs, strict=False
        ):
            for each in (given, result, output):
                self._same(parameter, each)
        self._region(region)

    def _changed(self, node: Node) -> None:
        """Join the axes that an op gives another name, and those over which it sums products."""
        op = node.op
        if isinstance(op, Rename):
            self._join((node.inputs[0], op.old), (node.output, op.new))
        elif isinstance(op, Unflatten):
            self._join((node.inputs[0], op.axis), (node.output, _major(op.parts)))
        elif isinstance(op, Flatten):
            self._join((node.inputs[0], _major(op.parts)), (node.output, op.axis))
        elif isinstance(op, (Dot, GroupedDot)):
            for axis in op.over:
                self._join((node.inputs[0], axis), (node.inputs[1], axis))
        elif isinstance(op, Attention):
            q, k, v, *_ = node.inputs
            for axis in op.contract:
                self._join((q, axis), (k, axis))
            self._same(k, v)

    def _inside_of_layers(self, nodes: Iterable[Node]) -> set[Place]:
        """The dimensions of parameters that products read, apart from those along which something works that would have
        to see all of them (a norm, a softmax, a concatenation)."""
        nodes = tuple(nodes)
        parameters = {node.output for node in nodes if isinstance(node.op, Parameter)}
        found = {
            dimension
            for node in nodes
            if isinstance(node.op, (Dot, GroupedDot, Take))
            for value in node.inputs
            if value in parameters
            for dimension in self.of(value)
        }
        for node in nodes:
            if node.regions or isinstance(node.op, _PASSING):
                continue
            kept = {axis for output in node.outputs for axis in output.type.axes}
            over = () if isinstance(node.op, _OVER_VOCABULARY) else node.op.goes_over
            for value in node.inputs:
                gone = [axis for axis in value.type.axes if axis in over or axis not in kept]
                if not isinstance(node.op, _OVER_VOCABULARY):
                    found.difference_update(self.find(value, axis) for axis in gone)
        return found


def _major(parts: tuple[Axis, ...]) -> Axis:
    return next((axis for axis in parts if axis.size != ONE), parts[0])
