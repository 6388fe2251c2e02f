"""Primitives that pick elements by place, in a row, by index or in windows, and that add or write what is put there."""

from __future__ import annotations

from attndsl.diagnostics import error
from attndsl.lazy import Array, np
from attndsl.ops import rules
from attndsl.ops.arrays import places, scatter_add
from attndsl.ops.base import Call, Mismatch, Op, Single
from attndsl.sizes import ONE, ZERO, Size
from attndsl.types import INT, Axis, Type


class Picked(Single):
    """What stands in one place of its operand."""

    linear = ((0,),)
    keeps = ()
    view = True
    moves = True

    def part(self, call: Call, *arrays: Array) -> tuple[slice | int, ...]:
        raise NotImplementedError(type(self).__name__)

    def forward(self, call: Call, x: Array) -> Array:
        return x[self.part(call)]

    def backward(self, call: Call, upstream: Array, y: Array, x: Array) -> Array:
        result = np.zeros(x.shape, upstream.dtype)
        result[self.part(call)] = upstream
        return result


class Slice(Picked):
    """The elements from `start` on along `axis`, as many as `target` is long."""

    name = "slice"
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


class Select(Picked):
    """The elements at place `at` along `axis`, which the result lacks."""

    name = "select"
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


class Take(Op):
    """The table's elements at `index` along `over`. Axes of the index that the rest of the table has too are aligned (a
    gather per place), the others are new and stand where `over` stood. An index that is negative or too large is an
    error; it never wraps around."""

    name = "take"
    linear = ((0,),)
    fails = True
    operands = ("table", "index")
    keeps = (1,)
    noun = "taken"
    over: Axis

    def infer(self, table: Type, index: Type) -> Type:
        if index.dtype != INT:
            raise Mismatch(
                "E0204", f"an index must be an int, but this is `{index}`", (1,), help="convert it: `int(…)`"
            )
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
            part = self.part(call, table, index)  # `np.take` would copy the whole table first, unless it lies in order
            return np.take(table, index, axis=call.inputs[0].index(self.over)) if part is None else table[part].copy()
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


class ScatterAdd(Op):
    """What stands along the axes `over` is added up at the places along `target` that `index` says, which all of `over`
    is made of; further axes of the index are aligned (a scatter per place). It is the transpose of `Take`. A place that
    nothing goes to is 0; an index that is negative or too large is an error; it never wraps around."""

    name = "scatter_add"
    linear = ((0,),)
    combines = "sum"
    fails = True
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
            raise Mismatch(
                "E0204", f"an index must be an int, but this is `{index}`", (1,), help="convert it: `int(…)`"
            )
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
        moved = index.transpose(places(call.inputs[1].axes, (*shared, *self.over)))
        moved = moved.reshape(_count(call, shared), _count(call, self.over))
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


class Windows(Single):
    """Windows along `axis`, padded with `before` and `after` zeros: element [p, o] of the result is
    x[p * stride + o * dilation - before]. `positions` and `offsets` stand in the axis's place."""

    name = "windows"
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
            rules.fits(count, self.positions.size, f"`windows` over `{self.axis.name}` gives another number of windows")
        return rules.unique(x.dtype, rules.replaced(x.axes, self.axis, (self.positions, self.offsets)), self.name)

    def _spans(self, call: Call) -> tuple[int, tuple[int, int], list[slice]]:
        """The place of the axis, its padding, and which padded elements each offset reads."""
        length, places, size = (call.length(axis.size) for axis in (self.axis, self.positions, self.offsets))
        stride, dilation, before, after = map(call.length, (self.stride, self.dilation, self.before, self.after))
        count = (length + before + after - (size - 1) * dilation - 1) // stride + 1
        if count != places:
            message = f"`windows` over `{self.axis.name}` gives {count} windows, not `{self.positions}` ({places})"
            raise error("E0206", message)
        reach = (places - 1) * stride + 1 if places else 0
        starts = [offset * dilation for offset in range(size)]
        return call.inputs[0].index(self.axis), (before, after), [slice(i, i + reach, stride) for i in starts]

    def forward(self, call: Call, x: Array) -> Array:
        """The windows as they lie in the padded array: what they share is there once."""
        at, pad, spans = self._spans(call)
        padding = [(0, 0)] * x.ndim
        padding[at] = pad
        padded = np.pad(x, padding) if any(pad) else x
        if not spans or not call.length(self.positions.size):
            return np.zeros(call.shape(call.output), x.dtype)
        before, step = (slice(None),) * at, padded.strides[at]
        first = padded[(*before, spans[0])]
        shape = (*first.shape[: at + 1], len(spans), *first.shape[at + 1 :])
        strides = (*first.strides[: at + 1], step * call.length(self.dilation), *first.strides[at + 1 :])
        return np.lib.stride_tricks.as_strided(first, shape, strides, writeable=False)

    def backward(self, call: Call, upstream: Array, y: Array, x: Array) -> Array:
        at, pad, spans = self._spans(call)
        shape = list(x.shape)
        shape[at] += sum(pad)
        padded = np.zeros(shape, upstream.dtype)
        before = (slice(None),) * at
        for offset, span in enumerate(spans):
            padded[(*before, span)] += upstream.take(offset, at + 1)
        return padded[(*before, slice(pad[0], shape[at] - pad[1]))]


class Write(Op):
    """The memory with `values` at the places along `over` that `index` says; elsewhere it is as it was. Axes of the
    index that the memory has too are aligned (places for each row), the others are those of what is written. It gives
    what `Take` with the same index gives back. Where several go to one place, one of them is kept; an index that is
    negative or too large is an error (E0801); it never wraps around."""

    name = "write"
    fails = True
    operands = ("memory", "values", "index")
    keeps = (2,)
    noun = "memory"
    role = "none"
    over: Axis

    @property
    def caption(self) -> str:
        return f"write along {self.over.name}"

    def infer(self, memory: Type, values: Type, index: Type) -> Type:
        taken = Take(self.over).infer(memory, index)
        if values.dtype != memory.dtype or set(values.axes) != set(taken.axes):
            raise Mismatch("E0203", f"`{self.name}` puts `{values}` where `{taken}` stands", (1, 0))
        return memory

    def _plan(self, call: Call) -> tuple[tuple[Axis, ...], tuple[Axis, ...], tuple[Axis, ...]]:
        """The axes that memory and index share, those that the index brings, and the memory's others."""
        rest, index = call.inputs[0].without(self.over).axes, call.inputs[2].axes
        shared = tuple(axis for axis in rest if axis in index)
        return shared, tuple(axis for axis in index if axis not in shared), tuple(a for a in rest if a not in shared)

    def _places(self, call: Call, memory: Array, index: Array) -> tuple[Array, tuple[Array, ...]]:
        """The memory laid out as [shared, over, others], and the index of what is written in it."""
        in_range(index, call.length(self.over.size), self.over)
        shared, new, others = self._plan(call)
        ordered = memory.transpose(places(call.inputs[0].axes, (*shared, self.over, *others)))
        at = index.transpose(places(call.inputs[2].axes, (*shared, *new)))
        rows = np.indices(at.shape, sparse=True)[: len(shared)]
        return ordered, (*rows, at)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        memory, values, index = arrays
        shared, new, others = self._plan(call)
        result = memory.copy()
        ordered, at = self._places(call, result, index)
        ordered[at] = values.transpose(places(call.inputs[1].axes, (*shared, *new, *others)))
        return result

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        """Of the memory where nothing was written, of the values where they are (as if each was kept)."""
        shared, new, others = self._plan(call)
        for_memory = upstream.copy()
        ordered, at = self._places(call, for_memory, arrays[2])
        axes = (*shared, *new, *others)
        for_values = ordered[at].transpose(places(axes, call.inputs[1].axes)) if call.needs(1) else None
        ordered[at] = 0
        return (for_memory if call.needs(0) else None, for_values, None)
