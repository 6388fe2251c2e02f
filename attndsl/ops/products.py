"""Products that are not made whole: those of rows with one of several matrices each, which the experts of a mixture
compute, and those with a matrix of many classes whose cross entropy alone is asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from attndsl.lazy import Array, np
from attndsl.ops.arithmetic import Add, Div, Mul, Sub, Where
from attndsl.ops.arrays import as_float, contract, places
from attndsl.ops.base import Call, Op
from attndsl.ops.comparison import And, Ge, Lt
from attndsl.ops.contraction import Dot
from attndsl.ops.elementwise import Neg, Tanh
from attndsl.ops.fused import Emitter, Fused, V
from attndsl.ops.generators import Constant, SizeOf
from attndsl.ops.pieces import Take, in_range
from attndsl.ops.reductions import LogSoftmax, Mean, Sum
from attndsl.sizes import Size
from attndsl.types import FLOAT, Axis, Type

if TYPE_CHECKING:
    from attndsl.ops.chunks import Walk

_ROW = Axis("row", Size.symbol("row"))  # the axes of the index as one


class GroupedDot(Fused):
    """dot(x, take(table, index, over=group), over=over) for an index whose axes are all axes of x, and of nothing else
    in the table: the elements of x that go with one entry of the table are multiplied with it together, and nothing is
    copied for each element (grouped matrix products; Gale et al., 2023, MegaBlocks). `ordered`: the index has one axis
    and ascends along it, so that these elements lie together already. It is what is known of the index, for those who
    write code for it, and changes no value. If `partial`, the index may name entries that the table does not have: what
    goes with these is 0, and is not computed."""

    name = "grouped_dot"
    operands = ("x", "table", "index")
    contracts = True
    fails = True
    noun = "product"
    over: tuple[Axis, ...]
    group: Axis
    ordered: bool = False
    partial: bool = False

    @property
    def summed(self) -> tuple[Axis, ...]:
        return self.over

    @property
    def caption(self) -> str:
        return f"dot over {', '.join(axis.name for axis in self.over)} by {self.group.name}"

    def infer(self, x: Type, table: Type, index: Type) -> Type:
        return Dot(self.over).infer(x, Take(self.group).infer(table, index)).with_dtype(FLOAT)

    def expand(self, builder: Emitter[V], *values: V) -> V:
        x, table, index = values
        if not self.partial:
            return builder.emit(Dot(self.over), x, builder.emit(Take(self.group), table, index))
        nothing, length = builder.emit(Constant(0)), builder.emit(SizeOf(self.group.size))
        here = builder.emit(And(), builder.emit(Ge(), index, nothing), builder.emit(Lt(), index, length))
        zero, entry = builder.emit(Constant(0.0)), Take(self.group)
        taken = builder.emit(
            Where(), here, builder.emit(entry, table, builder.emit(Where(), here, index, nothing)), zero
        )
        return builder.emit(Where(), here, builder.emit(Dot(self.over), x, taken), zero)

    def kept(self, needed: tuple[bool, ...]) -> tuple[int, ...]:
        """x for the gradient of the table, and the table for that of x; the index for both."""
        x, table, *_ = needed
        return (*((0,) if table else ()), *((1,) if x else ()), *((2,) if x or table else ()))

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        x, table, index = (as_float(call, arrays[0]), as_float(call, arrays[1]), arrays[2])
        rows, inside = self._rows(call, call.inputs[0], x)
        empty = np.zeros if self.partial else np.empty
        made, outside = self._rows(call, call.output, empty(call.shape(call.output), call.float_dtype))
        entries, within = self._entries(call, table)
        for entry, chosen in self._groups(call, index):
            _set(made, chosen, rows[chosen], inside, entries[entry], within, outside)
        return self._whole(call, call.output, made)

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        x, table, index = (as_float(call, arrays[0]), as_float(call, arrays[1]), arrays[2])
        rows, inside = self._rows(call, call.inputs[0], x)
        coming, outside = self._rows(call, call.output, upstream)
        entries, within = self._entries(call, table)
        empty = np.zeros if self.partial else np.empty
        for_rows = empty(rows.shape, rows.dtype) if call.needs(0) else None
        for_table = np.zeros(entries.shape, entries.dtype) if call.needs(1) else None
        for entry, chosen in self._groups(call, index):
            if for_rows is not None:
                _set(for_rows, chosen, coming[chosen], outside, entries[entry], within, inside)
            if for_table is not None:
                _set(for_table, entry, rows[chosen], inside, coming[chosen], outside, within)
        if for_table is not None:
            for_table = np.moveaxis(for_table, 0, call.inputs[1].index(self.group))
        return (None if for_rows is None else self._whole(call, call.inputs[0], for_rows), for_table, None)

    # ------------------------------------------------------------ laid out by rows

    def _row_first(self, call: Call, type: Type) -> tuple[Axis, ...]:
        """The axes of x or of the result with those of the index in front, in its order."""
        index = call.inputs[2].axes
        return (*index, *(axis for axis in type.axes if axis not in index))

    def _rows(self, call: Call, type: Type, array: Array) -> tuple[Array, tuple[Axis, ...]]:
        """An array of `type` with one row for each element of the index, and its axes then."""
        axes, leading = self._row_first(call, type), call.inputs[2].rank
        shape = call.shape(Type(FLOAT, axes))
        rows = array.transpose(places(type.axes, axes)).reshape(math.prod(shape[:leading]), *shape[leading:])
        return rows, (_ROW, *axes[leading:])

    def _whole(self, call: Call, type: Type, rows: Array) -> Array:
        """The inverse of `_rows`."""
        axes = self._row_first(call, type)
        return rows.reshape(call.shape(Type(FLOAT, axes))).transpose(places(axes, type.axes))

    def _entries(self, call: Call, table: Array) -> tuple[Array, tuple[Axis, ...]]:
        """The table with its groups in front, and the axes of an entry."""
        rest = call.inputs[1].without(self.group).axes
        return table.transpose(places(call.inputs[1].axes, (self.group, *rest))), rest

    def _groups(self, call: Call, index: Array) -> Iterator[tuple[int, Array | slice]]:
        """Each entry that the index names, with the rows that go with it. Raises E0801 for an index out of range."""
        length = call.length(self.group.size)
        if not self.partial:
            in_range(index, length, self.group)
        flat = np.clip(index.reshape(-1), -1, length)  # before all entries, or behind them
        order = None if self.ordered else np.argsort(flat, kind="stable")
        ends = np.bincount(flat + 1, minlength=length + 2).cumsum()[: length + 1].tolist()
        for entry, (start, end) in enumerate(pairwise(ends)):
            if start < end:
                yield entry, slice(start, end) if order is None else order[start:end]


def _set(
    target: Array,
    at: int | slice | Array,
    left: Array,
    left_axes: tuple[Axis, ...],
    right: Array,
    right_axes: tuple[Axis, ...],
    out: tuple[Axis, ...],
) -> None:
    """Write a product to a part of `target`, without a copy where that part lies together."""
    if isinstance(at, (int, slice)):
        contract(left, left_axes, right, right_axes, out, into=target[at])
    else:
        target[at] = contract(left, left_axes, right, right_axes, out)


def matches(dot: Dot, x: Type, take: Op, table: Type, index: Type) -> str | None:
    """Why the product of x with what `take` gives is no `GroupedDot`; "" where that is nothing like one; None where it
    is one."""
    if not isinstance(take, Take) or not index.axes:
        return ""
    shared = [axis for axis in index.axes if axis in x.axes and axis not in dot.over]
    own = table.without(take.over, *dot.over)
    if len(shared) < len(index.axes):
        return ""
    if any(axis in table.axes for axis in index.axes):
        return "the index has an axis of the table, of which another part is taken at each place then"
    if both := [axis.name for axis in own.axes if axis in x.axes]:
        return f"both sides have `{both[0]}`, over which the product does not go"
    return None if own.axes else "what is taken is a vector: no matrix is shared by several rows"


class LinearCrossEntropy(Fused):
    """The cross entropy of classes whose logits are products with a matrix, added up over all rows (along the axes of
    `target`):

        -sum(share * take(log_softmax(cap * tanh((dot(x, matrix, over=contract) + bias) / cap), over=over), target))

    over the rows where `counted` is true. `bias` [over], `share` and `counted` are operands if `biased`, `weighted`,
    `masked`; a `cap` of 0 is none. With `smoothing` s the target distribution is mixed with the uniform one: each row
    counts (1 - s) times what it has above and s times the mean of its log-probabilities (Szegedy et al., 2016).

    The logits are never there for all rows at once: a chunk of rows goes through loss and gradients before the next
    one, so that backward nothing is left to do but to scale these (Hsu et al., 2024, Liger kernels; Wijmans et al.,
    2024, cut cross-entropy). Rows that are not counted are left out."""

    name = "linear_cross_entropy"
    operands = ("x", "matrix", "target", "bias?", "share?", "counted?")
    contracts = True
    fails = True
    noun = "lost"
    keeps = (0, 1, 2, 3, 4, 5)
    ahead = (0, 1)
    contract: Axis
    over: Axis
    along: tuple[Axis, ...]
    smoothing: float = 0.0
    cap: float = 0.0
    biased: bool = False
    weighted: bool = False
    masked: bool = False

    @property
    def summed(self) -> tuple[Axis, ...]:
        return (self.contract,)

    def extra(self, *extra: V) -> tuple[V | None, V | None, V | None]:
        """`bias`, `share` and `counted` among the operands after the target, None where there is none."""
        rest = iter(extra)
        bias, share, counted = (next(rest) if there else None for there in (self.biased, self.weighted, self.masked))
        return bias, share, counted

    def expand(self, builder: Emitter[V], *values: V) -> V:
        x, matrix, target, *extra = values
        bias, share, counted = self.extra(*extra)
        logits = builder.emit(Dot((self.contract,)), x, matrix)
        if bias is not None:
            logits = builder.emit(Add(), logits, bias)
        if self.cap:
            cap = builder.emit(Constant(self.cap))
            logits = builder.emit(Mul(), builder.emit(Tanh(), builder.emit(Div(), logits, cap)), cap)
        likely = builder.emit(LogSoftmax((self.over,)), logits)
        lost = builder.emit(Neg(), builder.emit(Take(self.over), likely, target))
        if self.smoothing:
            lost = builder.emit(Mul(), lost, builder.emit(Constant(1 - self.smoothing)))
            mean = builder.emit(Mean((self.over,)), likely)
            lost = builder.emit(Sub(), lost, builder.emit(Mul(), mean, builder.emit(Constant(self.smoothing))))
        if share is not None:
            lost = builder.emit(Mul(), lost, share)
        if counted is not None:
            lost = builder.emit(Where(), counted, lost, builder.emit(Constant(0)))
        return builder.emit(Sum(self.along), lost)

    def evaluate(self, call: Call, *arrays: Array) -> Array:
        """The loss. What its gradients are where that of the loss is 1 comes from the same walk over the chunks."""
        if not _finite(arrays):
            return Fused.evaluate(self, call, *arrays)
        walk = call.aside["walk"] = self._walk(call, arrays)
        return walk.loss()

    def gradient(self, call: Call, upstream: Array, output: Array, *arrays: Array) -> tuple[Array | None, ...]:
        """That of the parts where a number is not finite: in a row that is not counted, it is NaN there."""
        if "walk" not in call.aside and not _finite(arrays):
            return Fused.gradient(self, call, upstream, output, *arrays)
        walk: Walk = call.aside.pop("walk", None) or self._walk(call, arrays)
        return walk.gradients(upstream)

    def _walk(self, call: Call, arrays: Sequence[Array]) -> Walk:
        from attndsl.ops.chunks import Walk

        in_range(arrays[2], call.length(self.over.size), self.over)
        return Walk(self, call, arrays)


def _finite(arrays: Sequence[Array]) -> bool:
    return all(array.dtype.kind != "f" or bool(np.isfinite(array).all()) for array in arrays)


__all__ = ["GroupedDot", "LinearCrossEntropy", "matches"]
