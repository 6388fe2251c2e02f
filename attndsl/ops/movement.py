"""Primitives that rename, regroup, reorder, pick and join: no element is computed, only its place."""

from __future__ import annotations

from collections.abc import Collection
from itertools import takewhile

from attndsl.lazy import Array, np
from attndsl.ops import rules
from attndsl.ops.arrays import collect, places, spread
from attndsl.ops.base import Call, Mismatch, Op, Single
from attndsl.sizes import ONE, Size
from attndsl.types import Axis, Type, widest


class Moved(Single):
    """The elements of its operand, which the axes count in another way."""

    linear = ((0,),)
    keeps = ()
    view = True
    moves = True
    role = "none"


def _slowest(parts: tuple[Axis, ...]) -> tuple[Axis, ...]:
    """The part that varies slowest, as far as lengths are known: a piece of it is a piece of the axis that the parts
    make up."""
    return next(((part,) for part in parts if part.size != ONE), ())


class Rename(Moved):
    """The axis `old` goes by another name (and origin)."""

    name = "rename"
    old: Axis
    new: Axis

    @property
    def corresponding(self) -> tuple[tuple[Axis, Axis], ...]:
        return ((self.old, self.new),)

    def rows(self, output: Type, *, training: bool) -> tuple[Axis, ...]:
        return tuple(takewhile(lambda axis: axis != self.new, output.axes))

    def infer(self, x: Type) -> Type:
        rules.has(x, (self.old,), 0, self.name)
        return rules.unique(x.dtype, rules.replaced(x.axes, self.old, (self.new,)), self.name)

    def forward(self, call: Call, x: Array) -> Array:
        return x

    def backward(self, call: Call, upstream: Array, y: Array, x: Array) -> Array:
        return upstream


class Unflatten(Moved):
    """An axis is taken apart into `parts`, which stand in its place; the last part varies fastest."""

    name = "unflatten"
    axis: Axis
    parts: tuple[Axis, ...]

    @property
    def corresponding(self) -> tuple[tuple[Axis, Axis], ...]:
        return tuple((self.axis, part) for part in _slowest(self.parts))

    def infer(self, x: Type) -> Type:
        rules.has(x, (self.axis,), 0, self.name)
        message = f"`{self.axis.name}` does not split into {rules.names(self.parts)}"
        rules.fits(self.axis.size, rules.product(self.parts), message)
        return rules.unique(x.dtype, rules.replaced(x.axes, self.axis, self.parts), self.name)

    def forward(self, call: Call, x: Array) -> Array:
        return x.reshape(call.shape(call.output))

    def backward(self, call: Call, upstream: Array, y: Array, x: Array) -> Array:
        return upstream.reshape(x.shape)


class Flatten(Moved):
    """The axes `parts` become one, in which the last part varies fastest. It stands where the first of them stood; they
    need not be neighbours."""

    name = "flatten"
    parts: tuple[Axis, ...]
    axis: Axis

    @property
    def corresponding(self) -> tuple[tuple[Axis, Axis], ...]:
        return tuple((part, self.axis) for part in _slowest(self.parts))

    def infer(self, x: Type) -> Type:
        rules.has(x, self.parts, 0, self.name)
        message = f"{rules.names(self.parts)} do not make up `{self.axis.name}`"
        rules.fits(rules.product(self.parts), self.axis.size, message)
        at = min(x.index(part) for part in self.parts)
        axes = [axis for axis in x.axes if axis not in self.parts]
        axes.insert(at, self.axis)
        return rules.unique(x.dtype, tuple(axes), self.name)

    def _order(self, x: Type) -> tuple[int, ...]:
        """The places of x's axes with the parts brought together, in their order."""
        parts = places(x.axes, self.parts)
        others = [i for i in range(x.rank) if i not in parts]
        at = min(parts, default=0)
        return (*others[:at], *parts, *others[at:])

    def forward(self, call: Call, x: Array) -> Array:
        return x.transpose(self._order(call.inputs[0])).reshape(call.shape(call.output))

    def backward(self, call: Call, upstream: Array, y: Array, x: Array) -> Array:
        order = self._order(call.inputs[0])
        shape = tuple(x.shape[i] for i in order)
        return upstream.reshape(shape).transpose(np.argsort(order))


class Transpose(Moved):
    """The same axes in another order."""

    name = "transpose"
    works_along = ()
    axes: tuple[Axis, ...]

    def infer(self, x: Type) -> Type:
        rules.has(x, self.axes, 0, self.name)
        missing = [axis for axis in x.axes if axis not in self.axes]
        if missing:
            raise Mismatch("E0203", f"`{x}` has {rules.names(missing)}, which the new order lacks", (0,))
        return rules.unique(x.dtype, self.axes, self.name)

    def forward(self, call: Call, x: Array) -> Array:
        return x.transpose(places(call.inputs[0].axes, self.axes))

    def backward(self, call: Call, upstream: Array, y: Array, x: Array) -> Array:
        return upstream.transpose(places(self.axes, call.inputs[0].axes))


class Broadcast(Moved):
    """x repeated along the axes that it lacks, in the given order."""

    name = "broadcast"
    works_along = ()
    axes: tuple[Axis, ...]

    def infer(self, x: Type) -> Type:
        rules.within(x, Type(x.dtype, self.axes), 0, self.name, "operand")
        return rules.unique(x.dtype, self.axes, self.name)

    def forward(self, call: Call, x: Array) -> Array:
        return np.broadcast_to(spread(x, call.inputs[0].axes, self.axes), call.shape(call.output))

    def backward(self, call: Call, upstream: Array, y: Array, x: Array) -> Array:
        return collect(upstream, self.axes, call.inputs[0].axes)


class Concat(Op):
    """The operands one behind the other: operand i along `axes[i]`, joined as `target`. Their other axes are the same
    ones; the layout is the first operand's."""

    name = "concat"
    operands = ("parts*",)
    keeps = ()
    moves = True
    noun = "joined"
    axes: tuple[Axis, ...]
    target: Axis

    @property
    def caption(self) -> str:
        return f"concat to {self.target.name}"

    def infer(self, *inputs: Type) -> Type:
        if len(inputs) != len(self.axes):
            raise Mismatch("E0206", f"`concat` of {len(inputs)} operands over {len(self.axes)} axes", (0,))
        first = inputs[0]
        rest = set(first.without(self.axes[0]).axes)
        total = Size.of(0)
        for i, (type, axis) in enumerate(zip(inputs, self.axes, strict=True)):
            rules.has(type, (axis,), i, self.name)
            if type.dtype != first.dtype and not (type.is_float and first.is_float):
                raise Mismatch(
                    "E0204",
                    f"`concat` of `{first}` and `{type}`",
                    (i, 0),
                    help="convert one of them: `float(…)` or `int(…)`",
                )
            if set(type.without(axis).axes) != rest:
                message = f"`concat` of `{first}` and `{type}`: apart from what is joined, their axes differ"
                raise Mismatch("E0203", message, (i, 0))
            total = total + axis.size
        rules.fits(total, self.target.size, f"{rules.names(self.axes)} do not add up to `{self.target.name}`")
        dtype = widest(*(type.dtype for type in inputs)) if first.is_float else first.dtype
        return rules.unique(dtype, rules.replaced(first.axes, self.axes[0], (self.target,)), self.name)

    def is_linear(self, operands: Collection[int]) -> bool:
        return True

    def _orders(self, call: Call) -> list[tuple[int, ...]]:
        """For each operand the transposition into the result's layout."""
        layout = call.output.axes
        return [
            places(type.axes, tuple(own if axis == self.target else axis for axis in layout))
            for type, own in zip(call.inputs, self.axes, strict=True)
        ]

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        laid = [array.transpose(order) for array, order in zip(arrays, self._orders(call), strict=True)]
        return np.concatenate(laid, call.output.index(self.target))

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        at = call.output.index(self.target)
        ends = np.cumsum([call.length(axis.size) for axis in self.axes])[:-1]
        pieces = np.split(upstream, ends, at)
        orders = self._orders(call)
        return tuple(
            piece.transpose(np.argsort(orders[i])) if call.needs(i) else None for i, piece in enumerate(pieces)
        )


class Flip(Single):
    """The elements along `over` in reverse."""

    name = "flip"
    linear = ((0,),)
    keeps = ()
    called = True
    moves = True
    over: Axis

    def infer(self, x: Type) -> Type:
        rules.has(x, (self.over,), 0, self.name)
        return x

    def forward(self, call: Call, x: Array) -> Array:
        return np.flip(x, call.inputs[0].index(self.over))

    def backward(self, call: Call, upstream: Array, y: Array, x: Array) -> Array:
        return np.flip(upstream, call.inputs[0].index(self.over))
