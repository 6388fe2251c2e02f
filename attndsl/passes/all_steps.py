"""Values of a scan's body for all steps at once: computed before the scan, along its axis.

An op whose attributes do not name an axis does the same at each place along it, so most of a body is the same op on
whole sequences: `x[T=t]` is x, and a product of it with a matrix is one product for all steps.
"""

from __future__ import annotations

from collections.abc import Collection

from attndsl.graph import Axis, Node, Type, Value
from attndsl.graph.builder import Builder
from attndsl.ops import Broadcast, Concat, Mismatch, Op, Range, Scan, Take, Transpose
from attndsl.passes.base import Refusal
from attndsl.passes.hoist import may_fail
from attndsl.records import replace


class AllSteps:
    """Emits with `out` what values of the body of `scan` are in all steps. `known` has those that are known already,
    among them whatever is wanted of what is carried. If `in_front`, the axis of the steps is the first one, so that a
    step's part lies together."""

    def __init__(self, out: Builder, scan: Node, *, in_front: bool = False) -> None:
        assert isinstance(scan.op, Scan)
        self.in_front = in_front
        self.out, self.axis, (self.region,) = out, scan.op.axis, scan.regions
        self.index, *self.states = self.region.parameters
        self.makers = {value: node for node in self.region.nodes for value in node.outputs}
        self.inside = {*self.region.parameters, *self.makers}
        self.known: dict[Value, Value] = {}
        self.varying: set[Value] = {self.index}  # those of the body that have the axis where they are known

    def of(self, value: Value) -> Value:
        """The value with the axis of the steps, or as it is where it is the same in all of them. Raises `Refusal`."""
        if value not in self.inside:
            return value
        if value not in self.known:
            self.known[value] = self._made(value)
        return self.known[value]

    def give(self, value: Value, known: Value) -> None:
        """Say what a value is in all steps."""
        self.known[value] = known
        self.varying.add(value)

    def _made(self, value: Value) -> Value:
        if value is self.index:
            return self.out.emit(Range(self.axis))
        node = self.makers.get(value)
        if node is None:
            raise Refusal("what is carried is not known ahead")
        if node.regions or node.op.draws or may_fail(node):
            reads = isinstance(node.op, Take) and node.inputs[1] is self.index and node.op.over == self.axis
            if not reads:
                raise Refusal(f"`{node.op.name}` is not computed for all steps at once", node)
        operands = [self.of(operand) for operand in node.inputs]
        varies = [operand in self.varying for operand in node.inputs]
        taken = isinstance(node.op, Take) and node.op.over == self.axis and varies == [False, True]
        if taken and operands[1] is self.known.get(self.index):
            self.varying.add(value)
            return self._turned(operands[0])
        around = self.out.scope, self.out.span, self.out.site
        self.out.scope, self.out.span, self.out.site = node.scope, node.span, node.site
        try:
            if not any(varies):
                return self.out.emit(node.op, *operands)
            made = self._along(node, operands, varies)
        finally:
            self.out.scope, self.out.span, self.out.site = around
        self.varying.add(value)
        return made

    def _turned(self, whole: Value) -> Value:
        axes = (self.axis, *whole.type.without(self.axis).axes)
        if not self.in_front or whole.type.axes == axes:
            return whole
        return self.out.emit(Transpose(axes), whole)

    def _along(self, node: Node, operands: list[Value], varies: Collection[bool]) -> Value:
        """The op of a node, on operands some of which have the axis of the steps."""
        names = {axis.name for axis in node.output.type.axes}
        for operand, moves in zip(operands, varies, strict=True):
            names |= set() if moves else {axis.name for axis in operand.type.axes}
        if self.axis.name in names:
            raise Refusal(f"`{node.op.name}` reads other steps", node)
        wide = [set(o.type.axes) for o, moves in zip(operands, varies, strict=True) if moves]
        if len(wide) > 1 and all(len(each) <= node.output.type.rank for each in wide):
            raise Refusal(f"`{node.op.name}` makes more of its operands than can be kept for all steps", node)
        op: Op = node.op
        if isinstance(op, Transpose | Broadcast):
            op = replace(op, axes=with_axis(op.axes, self.axis, operands[0].type))
        if isinstance(op, Concat):
            operands = [
                operand if moves else self.out.emit(Broadcast((self.axis, *operand.type.axes)), operand)
                for operand, moves in zip(operands, varies, strict=True)
            ]
        try:
            made = self.out.emit(op, *operands)
        except Mismatch:
            raise Refusal(f"`{op.name}` is not computed for all steps at once", node) from None
        if set(made.type.axes) != {self.axis, *node.output.type.axes}:
            raise Refusal(f"`{op.name}` is not computed for all steps at once", node)
        return made


def with_axis(axes: tuple[Axis, ...], axis: Axis, like: Type) -> tuple[Axis, ...]:
    """`axes` with another one, where `like` has that."""
    at = min(like.index(axis), len(axes))
    return (*axes[:at], axis, *axes[at:])
