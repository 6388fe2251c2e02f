"""Forms: what stands on the right of a mapping, ready to compute, each with its inverse.

A form computes the published tensor from the parameters (`evaluate`) or the parameters from the published tensor
(`invert`). `attndsl.weights.binding` makes forms from expressions of the language.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attndsl.graph import Axis, ParameterInfo
from attndsl.lazy import Array, np
from attndsl.records import Frozen

Read = Callable[[str], Array]

POINTWISE = {"exp": "log", "log": "exp"}
"""The functions of one tensor that a mapping may use, each with its inverse."""


class Form(Frozen):
    """A bound expression: its axes in order, and their lengths."""

    axes: tuple[Axis, ...]
    shape: tuple[int, ...]

    def leaves(self) -> Iterator[tuple[str, ParameterInfo]]:
        """The parameters that it is made of, by concrete address."""
        raise NotImplementedError

    def evaluate(self, read: Read) -> Array:
        raise NotImplementedError

    def invert(self, array: Array) -> Iterator[tuple[str, Array]]:
        """Each parameter's array (a view, where that will do) if the expression's value is `array`."""
        raise NotImplementedError


class Leaf(Form):
    address: str
    info: ParameterInfo

    def leaves(self) -> Iterator[tuple[str, ParameterInfo]]:
        yield self.address, self.info

    def evaluate(self, read: Read) -> Array:
        return read(self.address)

    def invert(self, array: Array) -> Iterator[tuple[str, Array]]:
        yield self.address, array


class Filled(Form):
    """The same number everywhere. Without axes stated (`shape` empty) it says nothing about the tensor's shape."""

    value: float

    def leaves(self) -> Iterator[tuple[str, ParameterInfo]]:
        return iter(())

    def evaluate(self, read: Read) -> Array:
        return np.full(self.shape, self.value, np.float32)

    def invert(self, array: Array) -> Iterator[tuple[str, Array]]:
        return iter(())


class Joined(Form):
    """`concat`: the parts one after another along `place`; `orders[i]` takes part i to the order of the result."""

    parts: tuple[Form, ...]
    orders: tuple[tuple[int, ...], ...]
    place: int
    lengths: tuple[int, ...]
    lacking: bool  # the parts lack the joined axis: each counts as one element of it

    def leaves(self) -> Iterator[tuple[str, ParameterInfo]]:
        for part in self.parts:
            yield from part.leaves()

    def evaluate(self, read: Read) -> Array:
        arrays = [part.evaluate(read).transpose(order) for part, order in zip(self.parts, self.orders, strict=True)]
        return np.stack(arrays, self.place) if self.lacking else np.concatenate(arrays, self.place)

    def invert(self, array: Array) -> Iterator[tuple[str, Array]]:
        start = 0
        for part, order, length in zip(self.parts, self.orders, self.lengths, strict=True):
            piece = (
                array.take(start, self.place)
                if self.lacking
                else array[(slice(None),) * self.place + (slice(start, start + length),)]
            )
            start += length
            yield from part.invert(piece.transpose(inverse_order(order)))


class Changed(Form):
    """Made of one other form."""

    inner: Form

    def leaves(self) -> Iterator[tuple[str, ParameterInfo]]:
        return self.inner.leaves()


class Rearranged(Changed):
    """Splits axes, reorders, merges: `rearrange`, and a transposition where nothing is split."""

    split: tuple[int, ...]
    order: tuple[int, ...]

    def evaluate(self, read: Read) -> Array:
        return self.inner.evaluate(read).reshape(self.split).transpose(self.order).reshape(self.shape)

    def invert(self, array: Array) -> Iterator[tuple[str, Array]]:
        apart = array.reshape(tuple(self.split[i] for i in self.order))
        return self.inner.invert(apart.transpose(inverse_order(self.order)).reshape(self.inner.shape))


class Scaled(Changed):
    """`x * factor + shift` on every element."""

    factor: float
    shift: float

    def evaluate(self, read: Read) -> Array:
        return self.inner.evaluate(read) * self.factor + self.shift

    def invert(self, array: Array) -> Iterator[tuple[str, Array]]:
        return self.inner.invert((array - self.shift) / self.factor)


class Pointwise(Changed):
    function: str

    def evaluate(self, read: Read) -> Array:
        found: Array = getattr(np, self.function)(self.inner.evaluate(read))
        return found

    def invert(self, array: Array) -> Iterator[tuple[str, Array]]:
        return self.inner.invert(getattr(np, POINTWISE[self.function])(array))


def inverse_order(order: tuple[int, ...]) -> tuple[int, ...]:
    back = [0] * len(order)
    for place, axis in enumerate(order):
        back[axis] = place
    return tuple(back)
