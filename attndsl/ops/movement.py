"""Primitives that rename, regroup, reorder, pick and join: no element is computed, only its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attndsl.diagnostics import error
from attndsl.lazy import np
from attndsl.ops import rules
from attndsl.ops.arrays import collect, places, scatter_add, spread
from attndsl.ops.base import Call, Mismatch, Op
from attndsl.records import dataclass
from attndsl.sizes import Size
from attndsl.types import INT, Axis, Type

if TYPE_CHECKING:
    from attndsl.ops.base import Array

ZERO, ONE = Size.of(0), Size.of(1)


@dataclass(frozen=True, slots=True)
class Rename(Op):
    """The axis `old` goes by another name (and origin)."""

    name = "rename"
    operands = ("x",)
    keeps = ()
    view = True
    moves = True
    role = "none"
    old: Axis
    new: Axis

    def infer(self, x: Type) -> Type:
        rules.has(x, (self.old,), 0, self.name)
        rules.fits(self.old.size, self.new.size, f"`{self.old.name}` cannot be renamed to `{self.new.name}`")
        return rules.unique(x.dtype, rules.replaced(x.axes, self.old, (self.new,)), self.name)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        return arrays[0]

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        return (upstream if call.needs(0) else None,)


@dataclass(frozen=True, slots=True)
class Unflatten(Op):
    """An axis is taken apart into `parts`, which stand in its place; the last part varies fastest."""

    name = "unflatten"
    operands = ("x",)
    keeps = ()
    view = True
    moves = True
    role = "none"
    axis: Axis
    parts: tuple[Axis, ...]

    def infer(self, x: Type) -> Type:
        rules.has(x, (self.axis,), 0, self.name)
        message = f"`{self.axis.name}` does not split into {rules.names(self.parts)}"
        rules.fits(self.axis.size, rules.product(self.parts), message)
        return rules.unique(x.dtype, rules.replaced(x.axes, self.axis, self.parts), self.name)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        return arrays[0].reshape(call.shape(call.output))

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        return (upstream.reshape(arrays[0].shape) if call.needs(0) else None,)


@dataclass(frozen=True, slots=True)
class Flatten(Op):
    """The axes `parts` become one, in which the last part varies fastest. It stands where the first of them stood; they
    need not be neighbours."""

    name = "flatten"
    operands = ("x",)
    keeps = ()
    view = True
    moves = True
    role = "none"
    parts: tuple[Axis, ...]
    axis: Axis

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

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        return arrays[0].transpose(self._order(call.inputs[0])).reshape(call.shape(call.output))

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        if not call.needs(0):
            return (None,)
        order = self._order(call.inputs[0])
        shape = tuple(arrays[0].shape[i] for i in order)
        return (upstream.reshape(shape).transpose(np.argsort(order)),)


@dataclass(frozen=True, slots=True)
class Transpose(Op):
    """The same axes in another order."""

    name = "transpose"
    operands = ("x",)
    keeps = ()
    view = True
    moves = True
    role = "none"
    axes: tuple[Axis, ...]

    def infer(self, x: Type) -> Type:
        rules.has(x, self.axes, 0, self.name)
        missing = [axis for axis in x.axes if axis not in self.axes]
        if missing:
            raise Mismatch("E0203", f"`{x}` has {rules.names(missing)}, which the new order lacks", (0,))
        return rules.unique(x.dtype, self.axes, self.name)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        return arrays[0].transpose(places(call.inputs[0].axes, self.axes))

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        return (upstream.transpose(places(self.axes, call.inputs[0].axes)) if call.needs(0) else None,)


@dataclass(frozen=True, slots=True)
class Broadcast(Op):
    """x repeated along the axes that it lacks, in the given order."""

    name = "broadcast"
    operands = ("x",)
    keeps = ()
    view = True
    moves = True
    role = "none"
    axes: tuple[Axis, ...]

    def infer(self, x: Type) -> Type:
        rules.within(x, Type(x.dtype, self.axes), 0, self.name, "operand")
        return rules.unique(x.dtype, self.axes, self.name)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        return np.broadcast_to(spread(arrays[0], call.inputs[0].axes, self.axes), call.shape(call.output))

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        return (collect(upstream, self.axes, call.inputs[0].axes) if call.needs(0) else None,)


@dataclass(frozen=True, slots=True)
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
            if type.dtype != first.dtype:
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
        return rules.unique(first.dtype, rules.replaced(first.axes, self.axes[0], (self.target,)), self.name)

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


@dataclass(frozen=True, slots=True)
class Slice(Op):
    """The elements from `start` on along `axis`, as many as `target` is long."""

    name = "slice"
    operands = ("x",)
    keeps = ()
    view = True
    moves = True
    axis: Axis
    start: Size
    target: Axis

    @property
    def caption(self) -> str:
        return f"{self.axis.name} from {self.start}"

    def infer(self, x: Type) -> Type:
        rules.has(x, (self.axis,), 0, self.name)
        left, beyond = self.start.constant, (self.axis.size - self.start - self.target.size).constant
        if (left is not None and left < 0) or (beyond is not None and beyond < 0):
            end = self.start + self.target.size
            message = f"`{self.start}:{end}` is not within `{self.axis.name}`, which is `{self.axis.size}` long"
            raise Mismatch("E0206", message, (0,))
        return rules.unique(x.dtype, rules.replaced(x.axes, self.axis, (self.target,)), self.name)

    def part(self, call: Call, *arrays: Array) -> tuple[slice | int, ...]:
        start, length, whole = call.length(self.start), call.length(self.target.size), call.length(self.axis.size)
        if start < 0 or start + length > whole:
            message = f"`{self.start}:{self.start + self.target.size}` ({start}:{start + length})"
            raise error("E0206", f"{message} is not within `{self.axis.name}`, which is {whole} long")
        return (*[slice(None)] * call.inputs[0].index(self.axis), slice(start, start + length))

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        return arrays[0][self.part(call)]

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        return (_placed(upstream, arrays[0], self.part(call)) if call.needs(0) else None,)


@dataclass(frozen=True, slots=True)
class Select(Op):
    """The elements at place `at` along `axis`, which the result lacks."""

    name = "select"
    operands = ("x",)
    keeps = ()
    view = True
    moves = True
    axis: Axis
    at: Size

    @property
    def caption(self) -> str:
        return f"{self.axis.name} = {self.at}"

    def infer(self, x: Type) -> Type:
        rules.has(x, (self.axis,), 0, self.name)
        left, beyond = self.at.constant, (self.axis.size - self.at - 1).constant
        if (left is not None and left < 0) or (beyond is not None and beyond < 0):
            message = f"there is no element {self.at} along `{self.axis.name}`, which is `{self.axis.size}` long"
            raise Mismatch("E0206", message, (0,))
        return x.without(self.axis)

    def part(self, call: Call, *arrays: Array) -> tuple[slice | int, ...]:
        at, whole = call.length(self.at), call.length(self.axis.size)
        if not 0 <= at < whole:
            raise error("E0206", f"there is no element {at} along `{self.axis.name}`, which is {whole} long")
        return (*[slice(None)] * call.inputs[0].index(self.axis), at)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        return arrays[0][self.part(call)]

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        return (_placed(upstream, arrays[0], self.part(call)) if call.needs(0) else None,)


def _placed(upstream: Array, x: Array, index: tuple[slice | int, ...]) -> Array:
    """Zeros like x but for `upstream` at `index`."""
    result = np.zeros(x.shape, upstream.dtype)
    result[index] = upstream
    return result


@dataclass(frozen=True, slots=True)
class Take(Op):
    """The table's elements at `index` along `over`. Axes of the index that the rest of the table has too are aligned (a
    gather per place), the others are new and stand where `over` stood. An index that is negative or too large is an
    error, never a wrap."""

    name = "take"
    operands = ("table", "index")
    keeps = (1,)
    noun = "taken"
    over: Axis

    def infer(self, table: Type, index: Type) -> Type:
        if index.dtype != INT:
            raise Mismatch("E0204", f"an index is an int, and this is `{index}`", (1,), help="convert it: `int(…)`")
        rules.has(table, (self.over,), 0, self.name)
        rest = table.without(self.over)
        rules.combined(rest, index, self.name)
        new = tuple(axis for axis in index.axes if axis not in rest.axes)
        return rules.unique(table.dtype, rules.replaced(table.axes, self.over, new), self.name, (0, 1))

    def _plan(self, call: Call) -> tuple[tuple[Axis, ...], tuple[Axis, ...], tuple[Axis, ...]]:
        """The axes that both have, those that the index brings, and the table's others."""
        rest = call.inputs[0].without(self.over).axes
        shared = tuple(axis for axis in rest if axis in call.inputs[1].axes)
        new = tuple(axis for axis in call.inputs[1].axes if axis not in rest)
        return shared, new, tuple(axis for axis in rest if axis not in shared)

    def part(self, call: Call, *arrays: Array) -> tuple[slice | int, ...] | None:
        index = arrays[1]
        return None if index.ndim else (*[slice(None)] * call.inputs[0].index(self.over), int(index))

    def _rows(self, call: Call, index: Array) -> Array:
        """The index as row numbers of the table laid out as [shared and `over`, others], in the order [shared, new]."""
        length = call.length(self.over.size)
        in_range(index, length, self.over)
        shared, new, _ = self._plan(call)
        ordered = index.transpose(places(call.inputs[1].axes, shared + new))
        groups = _count(call, shared)
        return (ordered.reshape(groups, _count(call, new)) + np.arange(groups)[:, None] * length).reshape(-1)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        table, index = arrays
        shared, new, others = self._plan(call)
        if not shared:
            in_range(index, call.length(self.over.size), self.over)
            return np.take(table, index, axis=call.inputs[0].index(self.over))
        rows = self._rows(call, index)
        ordered = table.transpose(places(call.inputs[0].axes, (*shared, self.over, *others)))
        taken = ordered.reshape(_count(call, (*shared, self.over)), _count(call, others))[rows]
        axes = shared + new + others
        return taken.reshape([call.length(a.size) for a in axes]).transpose(places(axes, call.output.axes))

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        if not call.needs(0):
            return (None, None)
        shared, new, others = self._plan(call)
        ordered = upstream.transpose(places(call.output.axes, shared + new + others))
        values = ordered.reshape(_count(call, shared + new), _count(call, others))
        table = scatter_add(_count(call, (*shared, self.over)), self._rows(call, arrays[1]), values)
        axes = (*shared, self.over, *others)
        return (table.reshape([call.length(a.size) for a in axes]).transpose(places(axes, call.inputs[0].axes)), None)


@dataclass(frozen=True, slots=True)
class ScatterAdd(Op):
    """What stands along the axes `over` is added up at the places along `target` that `index` says, which all of `over`
    is made of; further axes of the index are aligned (a scatter per place). It is the transpose of `Take`. A place that
    nothing goes to is 0; an index that is negative or too large is an error, never a wrap."""

    name = "scatter_add"
    operands = ("values", "index")
    keeps = (1,)
    noun = "total"
    over: tuple[Axis, ...]
    target: Axis

    @property
    def caption(self) -> str:
        return f"scatter add to {self.target.name}"

    def infer(self, values: Type, index: Type) -> Type:
        rules.number(values, 0, self.name)
        if index.dtype != INT:
            raise Mismatch("E0204", f"an index is an int, and this is `{index}`", (1,), help="convert it: `int(…)`")
        rules.has(values, self.over, 0, self.name)
        rules.has(index, self.over, 1, self.name)
        rules.within(index, values, 1, self.name, "index")
        first, *others = self.over
        axes = rules.replaced(values.without(*others).axes, first, (self.target,))
        return rules.unique(values.dtype, axes, self.name)

    def _plan(self, call: Call) -> tuple[tuple[Axis, ...], tuple[Axis, ...]]:
        """The axes that the index is aligned along, and those that it lacks."""
        rest = call.inputs[0].without(*self.over).axes
        shared = tuple(axis for axis in rest if axis in call.inputs[1].axes)
        return shared, tuple(axis for axis in rest if axis not in shared)

    def _rows(self, call: Call, index: Array) -> Array:
        """For each element of the index the row of the result, whose axes are the shared ones and `target`."""
        length = call.length(self.target.size)
        in_range(index, length, self.target)
        shared, _ = self._plan(call)
        moved = index.transpose(places(call.inputs[1].axes, (*shared, *self.over))).reshape(_count(call, shared), -1)
        return (moved + length * np.arange(len(moved))[:, None]).reshape(-1)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        shared, others = self._plan(call)
        ordered = arrays[0].transpose(places(call.inputs[0].axes, (*shared, *self.over, *others)))
        values = ordered.reshape(_count(call, (*shared, *self.over)), _count(call, others))
        table = scatter_add(_count(call, (*shared, self.target)), self._rows(call, arrays[1]), values)
        axes = (*shared, self.target, *others)
        return table.reshape([call.length(a.size) for a in axes]).transpose(places(axes, call.output.axes))

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        """What stands at the place that an element went to."""
        if not call.needs(0):
            return (None, None)
        shared, others = self._plan(call)
        ordered = upstream.transpose(places(call.output.axes, (*shared, self.target, *others)))
        rows = ordered.reshape(_count(call, (*shared, self.target)), _count(call, others))
        taken, axes = rows[self._rows(call, arrays[1])], (*shared, *self.over, *others)
        return (taken.reshape([call.length(a.size) for a in axes]).transpose(places(axes, call.inputs[0].axes)), None)


def _count(call: Call, axes: tuple[Axis, ...]) -> int:
    total = 1
    for axis in axes:
        total *= call.length(axis.size)
    return total


def in_range(index: Array, length: int, axis: Axis) -> None:
    """Raises E0801 unless every index is one of `axis`, which has `length` elements."""
    if not index.size:
        return
    low, high = int(index.min()), int(index.max())
    if low < 0 or high >= length:
        limit = f"`{axis.name}`" if str(length) == axis.name else f"`{axis.name}` ({length})"
        wrong = low if low < 0 else high
        raise error("E0801", f"the index {wrong} is out of range: {limit} has the elements 0 to {length - 1}")


@dataclass(frozen=True, slots=True)
class Windows(Op):
    """Windows along `axis`, padded with `before` and `after` zeros: element [p, o] of the result is
    x[p * stride + o * dilation - before]. `positions` and `offsets` stand in the axis's place."""

    name = "windows"
    operands = ("x",)
    keeps = ()
    moves = True
    axis: Axis
    positions: Axis
    offsets: Axis
    stride: Size = ONE
    dilation: Size = ONE
    before: Size = ZERO
    after: Size = ZERO

    @staticmethod
    def count(length: Size, size: Size, stride: Size, dilation: Size, before: Size, after: Size) -> Size:
        """How many windows of `size` elements there are in `length`."""
        return (length + before + after - (size - 1) * dilation - 1) // stride + 1

    def infer(self, x: Type) -> Type:
        rules.has(x, (self.axis,), 0, self.name)
        known = [part.constant for part in (self.stride - 1, self.dilation - 1, self.before, self.after)]
        if any(part is not None and part < 0 for part in known):
            raise Mismatch("E0206", "the stride and dilation of `windows` are at least 1, its padding at least 0", (0,))
        count = self.count(self.axis.size, self.offsets.size, self.stride, self.dilation, self.before, self.after)
        if self.stride == ONE or (count - self.positions.size).constant not in (None, 0):
            rules.fits(count, self.positions.size, f"`windows` over `{self.axis.name}` gives another number of places")
        return rules.unique(x.dtype, rules.replaced(x.axes, self.axis, (self.positions, self.offsets)), self.name)

    def _spans(self, call: Call) -> tuple[int, tuple[int, int], list[slice]]:
        """The place of the axis, its padding, and which padded elements each offset reads."""
        length, places, size = (call.length(axis.size) for axis in (self.axis, self.positions, self.offsets))
        stride, dilation, before, after = map(call.length, (self.stride, self.dilation, self.before, self.after))
        count = (length + before + after - (size - 1) * dilation - 1) // stride + 1
        if count != places:
            message = f"`windows` over `{self.axis.name}` gives {count} places, not `{self.positions}` ({places})"
            raise error("E0206", message)
        reach = (places - 1) * stride + 1 if places else 0
        starts = [offset * dilation for offset in range(size)]
        return call.inputs[0].index(self.axis), (before, after), [slice(i, i + reach, stride) for i in starts]

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        at, pad, spans = self._spans(call)
        padding = [(0, 0)] * arrays[0].ndim
        padding[at] = pad
        padded = np.pad(arrays[0], padding) if any(pad) else arrays[0]
        before = (slice(None),) * at
        return np.stack([padded[(*before, span)] for span in spans], at + 1)

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        if not call.needs(0):
            return (None,)
        at, pad, spans = self._spans(call)
        shape = list(arrays[0].shape)
        shape[at] += sum(pad)
        padded = np.zeros(shape, upstream.dtype)
        before = (slice(None),) * at
        for offset, span in enumerate(spans):
            padded[(*before, span)] += upstream.take(offset, at + 1)
        return (padded[(*before, slice(pad[0], shape[at] - pad[1]))],)


@dataclass(frozen=True, slots=True)
class Flip(Op):
    """The elements along `over` in reverse."""

    name = "flip"
    operands = ("x",)
    keeps = ()
    called = True
    moves = True
    over: Axis

    def infer(self, x: Type) -> Type:
        rules.has(x, (self.over,), 0, self.name)
        return x

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        return np.flip(arrays[0], call.inputs[0].index(self.over))

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        return (np.flip(upstream, call.inputs[0].index(self.over)) if call.needs(0) else None,)
