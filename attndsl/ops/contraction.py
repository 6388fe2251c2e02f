"""The sum of products along shared axes: every matrix product of the language."""

from __future__ import annotations

from attndsl.lazy import Array
from attndsl.ops import rules
from attndsl.ops.arrays import as_float, contract
from attndsl.ops.base import Call, Mismatch, Op, the_others
from attndsl.records import dataclass
from attndsl.sizes import Size
from attndsl.types import Axis, Type


@dataclass(frozen=True, slots=True)
class Dot(Op):
    """The sum over the axes `over` of left * right. Other axes that both have stay, the rest pair up. The result has
    left's axes in left's order, then those that only right has in right's order."""

    name = "dot"
    linear = ((0,), (1,))
    operands = ("left", "right")
    contracts = True
    noun = "product"
    over: tuple[Axis, ...]

    def infer(self, left: Type, right: Type) -> Type:
        dtype = rules.promoted(left, right, self.name)
        rules.has(left, self.over, 0, self.name)
        rules.has(right, self.over, 1, self.name)
        if not self.over:
            raise Mismatch("E0203", "`dot` needs an axis to go over", help="`*` multiplies without a sum")
        rules.combined(left, right, self.name)
        kept = left.without(*self.over).axes
        new = tuple(axis for axis in right.axes if axis not in left.axes)
        return rules.unique(dtype, kept + new, self.name, (0, 1))

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        left, right = (as_float(call, array) for array in arrays) if call.output.is_float else arrays
        return contract(left, call.inputs[0].axes, right, call.inputs[1].axes, call.output.axes)

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        left, right = (as_float(call, array) for array in arrays)
        left_axes, right_axes, axes = call.inputs[0].axes, call.inputs[1].axes, call.output.axes
        return (
            contract(upstream, axes, right, right_axes, left_axes) if call.needs(0) else None,
            contract(left, left_axes, upstream, axes, right_axes) if call.needs(1) else None,
        )

    def kept(self, needed: tuple[bool, ...]) -> tuple[int, ...]:
        return the_others(needed)

    def flops(self, output: Type, *inputs: Type) -> Size:
        return output.elements * rules.product(self.over) * 2 if output.is_float else Size.of(0)
