"""Sums of products along shared axes: every matrix product of the language, and what undoes one with a triangle."""

from __future__ import annotations

from attndsl.lazy import Array, np
from attndsl.ops import rules
from attndsl.ops.arrays import as_float, contract, places
from attndsl.ops.base import OUTPUT, Call, Mismatch, Op, the_others
from attndsl.sizes import Size
from attndsl.types import Axis, Type


class Dot(Op):
    """The sum over the axes `over` of left * right. Other axes that both have stay, the rest pair up. The result has
    left's axes in left's order, then those that only right has in right's order."""

    name = "dot"
    combines = "sum"
    linear = ((0,), (1,))
    operands = ("left", "right")
    contracts = True
    noun = "product"
    over: tuple[Axis, ...]

    @property
    def summed(self) -> tuple[Axis, ...]:
        return self.over

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


class SolveTriangular(Op):
    """The x along `over` with x[i] = right[i] - the sum over j < i of left[i, j] * x[j], where j goes along left's axis
    `earlier`: what the lower triangular matrix with ones on its diagonal, and left below it, takes to right. Left's
    other elements do not count. Its other axes are right's too; the result has right's axes."""

    name = "solve_triangular"
    operands = ("left", "right")
    linear = ((1,),)
    contracts = True
    by_rows = True
    keeps = (0, OUTPUT)
    noun = "solved"
    over: Axis
    earlier: Axis

    def infer(self, left: Type, right: Type) -> Type:
        found = Type(rules.promoted(left, right, self.name), right.axes).floating()
        rules.has(left, (self.over, self.earlier), 0, self.name)
        rules.has(right, (self.over,), 1, self.name)
        rules.fits(self.over.size, self.earlier.size, f"`{self.name}` takes a matrix with as many rows as columns")
        rules.within(left.without(self.earlier), right, 0, self.name, "matrix")
        return found

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        left, right = self._as_matrices(call, *arrays)
        x = right.copy()
        _substitute(left, x)
        return self._as_right(call, x, arrays[1])

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        """Right's comes by the transposed matrix, from the last place to the first."""
        left, coming = self._as_matrices(call, arrays[0], upstream)
        turned = np.flip(left, (-2, -1)).swapaxes(-2, -1)
        found = np.flip(coming, -2).copy()
        _substitute(turned, found)
        found, slope = np.flip(found, -2), None
        if call.needs(0):
            _, x = self._as_matrices(call, arrays[0], output)
            axes = (*self._batch(call), self.over, self.earlier)
            slope = -np.tril(found @ x.swapaxes(-2, -1), -1).transpose(places(axes, call.inputs[0].axes))
        return slope, self._as_right(call, found, upstream) if call.needs(1) else None

    def flops(self, output: Type, *inputs: Type) -> Size:
        return output.elements * self.over.size

    def _batch(self, call: Call) -> tuple[Axis, ...]:
        return call.inputs[0].without(self.over, self.earlier).axes

    def _columns(self, call: Call) -> tuple[Axis, ...]:
        return call.inputs[1].without(self.over, *self._batch(call)).axes

    def _as_matrices(self, call: Call, left: Array, right: Array) -> tuple[Array, Array]:
        """Left as `[*batch, over, earlier]`, and right as `[*batch, over, columns]`."""
        batch, (first, second) = self._batch(call), call.inputs
        order = (*batch, self.over, *self._columns(call))
        left = as_float(call, left).transpose(places(first.axes, (*batch, self.over, self.earlier)))
        right = as_float(call, right).transpose(places(second.axes, order))
        columns = int(np.prod(right.shape[len(batch) + 1 :]))
        return left, right.reshape(*right.shape[: len(batch) + 1], columns)

    def _as_right(self, call: Call, matrices: Array, right: Array) -> Array:
        """Such an array laid out as right."""
        axes, order = call.output.axes, (*self._batch(call), self.over, *self._columns(call))
        shape = [right.shape[at] for at in places(axes, order)]
        return matrices.reshape(shape).transpose(places(order, axes))


def _substitute(left: Array, x: Array) -> None:
    """Make of x, which is right at first, what it is to be: its first half, and then the second of what is left."""
    length = x.shape[-2]
    if length > 1:
        half = length // 2
        _substitute(left[..., :half, :half], x[..., :half, :])
        x[..., half:, :] -= left[..., half:, :half] @ x[..., :half, :]
        _substitute(left[..., half:, half:], x[..., half:, :])
