"""Positions that change places and come back: what a mixture of experts does with the elements of a batch.

All positions of all rows are laid out in one axis, sorted by their experts, computed, and added up where they came
from. Each is computed by itself all the while, which is seen by following where the elements come from.
"""

from __future__ import annotations

from attndsl.graph import Axis, Node, Value
from attndsl.ops import ArgSort, Broadcast, Flatten, Mod, ScatterAdd, SizeOf, Take, Unflatten
from attndsl.passes.incremental.clock import Clock
from attndsl.sizes import ONE, Size

SORTS = "which elements stand where depends on other positions"
LENGTH = "it depends on how long the text is"


class Routes:
    """Of values along mixed axes: `order` has the permutation by which the elements stand (None: by their places)."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.order: dict[Value, Value | None] = {}
        self.parts: dict[Axis, tuple[Axis, ...]] = {}  # what a mixed axis was made of
        self.sources: dict[Value, tuple[Value, Axis]] = {}  # which element of an axis each comes from, by a permutation
        self.lengths: dict[Value, Size] = {}  # how long something is that grows with the text

    def concerns(self, node: Node) -> bool:
        """Whether a node reads or makes values along mixed axes, or lengths that depend on the text."""
        if any(value in self.lengths for value in node.inputs) or isinstance(node.op, SizeOf):
            return True
        return any(self.clock.is_mixed(axis) for value in (*node.inputs, *node.outputs) for axis in value.type.axes)

    def follow(self, node: Node) -> str | None:
        """Note where the elements of a node's result come from; the reason where they are not computed one by one."""
        op = node.op
        if isinstance(op, SizeOf):
            if self.clock.symbol in op.size.symbols:
                self.lengths[node.output] = op.size
            return None
        if isinstance(op, Mod) and node.inputs[1] in self.lengths:
            return self._source(node)
        if any(value in self.lengths for value in node.inputs):
            return LENGTH
        special = {Flatten: self._flatten, Unflatten: self._unflatten, ArgSort: self._sort, ScatterAdd: self._back}
        if type(op) in special and any(self._mixed(axis) for axis in self._axes(node)):
            return special[type(op)](node)
        if isinstance(op, Take) and self.clock.is_mixed(op.over):
            return self._take(node)
        return self._each(node)

    # ------------------------------------------------------------ what moves elements

    def _flatten(self, node: Node) -> str | None:
        op, x = node.op, node.inputs[0]
        assert isinstance(op, Flatten)
        if not self._mixed(op.axis):
            return LENGTH
        if self.order.get(x) is not None or self.parts.setdefault(op.axis, op.parts) != op.parts:
            return SORTS
        self.order[node.output] = None
        return None

    def _unflatten(self, node: Node) -> str | None:
        op, x = node.op, node.inputs[0]
        assert isinstance(op, Unflatten)
        if self.order.get(x) is not None or self.parts.get(op.axis) != op.parts:
            return SORTS
        self.order[node.output] = None
        return None

    def _sort(self, node: Node) -> str | None:
        assert isinstance(node.op, ArgSort)
        if self.order.get(node.inputs[0]) is not None or len(node.output.type.axes) > 1:
            return SORTS
        self.order[node.output] = node.output
        self.sources[node.output] = node.output, node.op.over
        return None

    def _source(self, node: Node) -> str | None:
        """The place within the last part of an axis, of a place along the whole of it."""
        found = self.sources.get(node.inputs[0])
        length = self.lengths[node.inputs[1]]
        last = self.parts.get(found[1], ())[-1:] if found else ()
        if found is None or not last or length not in (last[0].size, last[0].size.maximum(ONE)):
            return LENGTH
        self.order[node.output] = found[0]
        self.sources[node.output] = found[0], last[0]
        return None

    def _take(self, node: Node) -> str | None:
        table, index = node.inputs
        assert isinstance(node.op, Take)
        found = self.sources.get(index)
        if self.order.get(table) is not None or found is None or found[1] != node.op.over:
            return SORTS
        self.order[node.output] = found[0]
        return None

    def _back(self, node: Node) -> str | None:
        op, (values, index) = node.op, node.inputs
        assert isinstance(op, ScatterAdd)
        found = self.sources.get(index)
        if found is None or len(op.over) != 1 or found != (self.order.get(values), op.target):
            return SORTS
        self.order[node.output] = None
        return None

    def _each(self, node: Node) -> str | None:
        """What is done to each element by itself."""
        if not isinstance(node.op, Broadcast) and any(True for _ in self.clock.along(node.op)):
            return SORTS
        found = {self.order[value] for value in node.inputs if value in self.order}
        if len(found) > 1:
            return SORTS
        if found:
            self.order[node.output] = found.pop()
        return None

    # ------------------------------------------------------------ axes

    def _mixed(self, axis: Axis) -> bool:
        return self.clock.is_mixed(axis)

    def _axes(self, node: Node) -> tuple[Axis, ...]:
        return tuple(axis for value in (*node.inputs, *node.outputs) for axis in value.type.axes)
