"""Which axes of which values are the same dimension of the data: the heads of queries are part of the weight that makes
them, whatever that weight's axis is called."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from attndsl.graph import Graph, Node, Region, Value
from attndsl.ops import Parameter, Range, Repeat, Scan, Take
from attndsl.types import Axis

Place = tuple[Value | str, Axis]
"""An axis of a value, or of the parameter at an address."""


class AxisClasses:
    """A partition of all axes of all values of a graph. Those of an operation's operands and results are the same
    where they are equal or `corresponding`; those of a loop's values where they are carried, and a parameter's wherever
    it is read."""

    def __init__(self, graph: Graph) -> None:
        self._above: dict[Place, Place] = {}
        self._ranges: set[Value] = set()
        for info in graph.parameters:
            for axis in info.type.axes:
                self.find((info.address, axis))
        for given in graph.inputs:
            self._all(given.value)
        self._region(graph.body)
        for state in graph.states:
            before = next(it.value for it in graph.inputs if it.name == state.name)
            after = next(it.value for it in graph.outputs if it.name == state.name)
            self._alike(before, after)

    def find(self, place: Place) -> Place:
        """What stands for all that are the same as this one."""
        above = self._above.setdefault(place, place)
        while above != place:
            self._above[place] = self._above[above]
            place, above = above, self._above[above]
        return place

    def members(self) -> dict[Place, list[Place]]:
        """The classes."""
        found: dict[Place, list[Place]] = {}
        for place in list(self._above):
            found.setdefault(self.find(place), []).append(place)
        return found

    def _join(self, left: Place, right: Place) -> None:
        self._above[self.find(right)] = self.find(left)

    def _all(self, value: Value) -> None:
        for axis in value.type.axes:
            self.find((value, axis))

    def _alike(self, left: Value, right: Value) -> None:
        """Two values of one type, or one with another's axes among its own."""
        for axis in left.type.axes:
            if axis in right.type.axes:
                self._join((left, axis), (right, axis))

    def _region(self, region: Region) -> None:
        for value in region.parameters:
            self._all(value)
        for node in region.nodes:
            for value in node.outputs:
                self._all(value)
            if node.regions:
                self._loop(node)
            else:
                self._node(node)

    def _node(self, node: Node) -> None:
        if isinstance(node.op, Parameter):
            for axis in node.output.type.axes:
                self._join((node.op.address, axis), (node.output, axis))
        for left, right, axis in _equal(node):
            self._join((left, axis), (right, axis))
        if isinstance(node.op, Range):
            self._ranges.add(node.output)
        if is_whole_take(node, self._ranges):
            self._alike(node.inputs[0], node.output)
        for own, new in node.op.corresponding:
            self._join((node.inputs[0], own), (node.output, new))

    def _loop(self, node: Node) -> None:
        op = node.op
        assert isinstance(op, Repeat | Scan)
        for body in node.regions:
            self._region(body)
            for given, inner, result, output in zip(
                node.starts, body.parameters[1:], body.results, node.outputs, strict=False
            ):
                for value in (inner, result, output):
                    self._alike(given, value)
            for result, output in zip(body.results[op.carried :], node.outputs[op.carried :], strict=True):
                self._alike(result, output)


def is_whole_take(node: Node, ranges: Collection[Value]) -> bool:
    """Whether a node takes every element of its operand in turn: its index is one of `ranges`, that of the axis."""
    return isinstance(node.op, Take) and node.inputs[1] in ranges and node.inputs[1].type.axes == (node.op.over,)


def _equal(node: Node) -> Iterator[tuple[Value, Value, Axis]]:
    """Pairs of operands and results that have one axis. What an index picks is in the order of the index."""
    values: Sequence[Value] = (*node.inputs, node.output)
    apart = {node.op.over: node.inputs[0]} if isinstance(node.op, Take) else {}
    first: dict[Axis, Value] = {}
    for value in values:
        for axis in value.type.axes:
            if apart.get(axis) is value:
                continue
            known = first.setdefault(axis, value)
            if known is not value:
                yield known, value, axis
