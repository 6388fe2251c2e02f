"""The backward pass of a model's parts, operator by operator: which gradients are there at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from attndsl.graph import Node, Value
from attndsl.planning.work import Backstep, Extent, Segment
from attndsl.types import BYTES

Read = tuple[tuple[Value, int], ...]
"""Values that gradients read again, with the bytes of an element."""


class GoingBack:
    """Collects the nodes of segments. `trains` says whether a gradient flows into a value."""

    def __init__(self, trains: Callable[[Value], bool]) -> None:
        self.trains = trains
        self._nodes: dict[Segment, list[tuple[Node, Read]]] = {}

    def note(self, segment: Segment, node: Node, read: Read) -> None:
        """The next node of a segment, and what its gradient is the last to read."""
        if not node.regions and self.trains(node.output):
            self._nodes.setdefault(segment, []).append((node, read))

    def steps(
        self, segment: Segment, extent: Callable[[Value], Extent], parameter: Callable[[Value], bool]
    ) -> list[Backstep]:
        """What each of them does, the last first. `parameter` says whether a value is one, or a view of one."""
        return _Gradients(self.trains, extent, parameter).steps(self._nodes.get(segment, ()))


class _Gradients:
    """The gradients at hand, each of one value or of several that hand it on."""

    def __init__(
        self, trains: Callable[[Value], bool], extent: Callable[[Value], Extent], parameter: Callable[[Value], bool]
    ) -> None:
        self.trains, self.extent, self.parameter = trains, extent, parameter
        self.of: dict[Value, int] = {}
        self.extents: list[Extent] = []
        self.holders: Counter[int] = Counter()
        self.made: list[Extent] = []
        self.done: list[Extent] = []

    def steps(self, nodes: Sequence[tuple[Node, Read]]) -> list[Backstep]:
        found = []
        for node, read in reversed(nodes):
            self.made, self.done, parameters = [], [], []
            own = self.of.pop(node.output, None)
            own = self._new(node.output) if own is None else own
            for operand in node.inputs:
                if self.parameter(operand):
                    parameters.append(self.extent(operand))
                elif self.trains(operand):
                    self._add(operand, own, node)
            self._release(own)
            again = [(self.extent(value), size) for value, size in read if not self.parameter(value)]
            again += [(self.extent(node.output), BYTES[node.output.type.dtype])] * node.op.keeps_beside
            found.append(Backstep(tuple(self.made), tuple(self.done), tuple(again), tuple(parameters)))
        return found

    def _add(self, operand: Value, own: int, node: Node) -> None:
        """Make the gradient of an operand, and add it to what others have made."""
        there, op = self.of.get(operand), node.op
        handed = (op.hands_on or op.view) and operand.type.elements == node.output.type.elements
        if there is None and handed:
            self.of[operand] = own
            self.holders[own] += 1
        elif there is None:
            self.of[operand] = self._new(operand)
        elif self.holders[there] > 1:  # others have it, too, and go on with what it is
            self.of[operand] = self._new(operand)
            self._release(there)
        elif not handed:
            self.made.append(self.extent(operand))
            self.done.append(self.extent(operand))

    def _new(self, value: Value) -> int:
        self.extents.append(self.extent(value))
        self.made.append(self.extents[-1])
        self.holders[len(self.extents) - 1] = 1
        return len(self.extents) - 1

    def _release(self, gradient: int) -> None:
        self.holders[gradient] -= 1
        if not self.holders[gradient]:
            self.done.append(self.extents[gradient])
