"""Sums of products of tensors, in the order that makes the smallest ones on the way."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from attndsl.graph import Axis, Value
from attndsl.graph.builder import Builder
from attndsl.ops import Cast, Dot, Mul, Rename, SizeOf, Sum


def contracted(out: Builder, values: Sequence[Value], sums: Collection[Axis], order: Sequence[Axis] = ()) -> Value:
    """The product of `values`, of which there is one at least, summed over the axes `sums`, whether they have these or
    not: as soon as may be, first over the axes that the fewest have. Of those that only one side of a product of
    matrices has, the first ones in `order` are its rows."""
    left = list(values)
    waiting = {axis for axis in sums if any(axis in value.type.axes for value in left)}
    for axis in sorted(sums, key=str):
        if axis not in waiting:  # all are alike along it
            left.append(out.emit(Cast(left[0].type.dtype), out.emit(SizeOf(axis.size))))
    while waiting:
        label = min(waiting, key=lambda axis: (sum(axis in v.type.axes for v in left), axis.name))
        group = [value for value in left if label in value.type.axes]
        rest = [value for value in left if label not in value.type.axes]
        elsewhere = {axis for value in rest for axis in value.type.axes}
        left = [*rest, _reduced(out, group, waiting - elsewhere, order)]
        waiting = {axis for axis in waiting if any(axis in value.type.axes for value in left)}
    return _joined(out, left, 1)[0]


def _reduced(out: Builder, group: list[Value], sums: set[Axis], order: Sequence[Axis]) -> Value:
    """The product of values, summed over what no others have."""
    pair = _joined(out, group, 2)
    if len(pair) == 1:
        return out.emit(Sum(tuple(axis for axis in pair[0].type.axes if axis in sums)), pair[0])
    for i, value in enumerate(pair):  # what only one of the two has is summed over before
        alone = tuple(axis for axis in value.type.axes if axis in sums and axis not in pair[1 - i].type.axes)
        pair[i] = out.emit(Sum(alone), value) if alone else value
    ranks = {axis: rank for rank, axis in reversed(list(enumerate(order)))}
    first, second = (
        min((ranks.get(axis, len(ranks)) for axis in {*one.type.axes} - {*other.type.axes}), default=len(ranks))
        for one, other in (pair, pair[::-1])
    )
    if second < first:
        pair.reverse()
    return out.emit(Dot(tuple(axis for axis in pair[0].type.axes if axis in sums)), *pair)


def _joined(out: Builder, values: list[Value], most: int) -> list[Value]:
    """Multiplied with one another until at most so many are left, those first of which one has the other's axes."""
    values = list(values)
    while len(values) > most:
        pairs = [(i, j) for i in range(len(values)) for j in range(i)]
        i, j = min(pairs, key=lambda pair: _growth(values[pair[0]], values[pair[1]]))
        one, other = values.pop(i), values.pop(j)
        if one.type.rank > other.type.rank:
            one, other = other, one
        values.append(out.emit(Mul(), other, one))
    return values


def _growth(one: Value, other: Value) -> tuple[int, int]:
    both = len({*one.type.axes, *other.type.axes})
    return both - max(one.type.rank, other.type.rank), both


def renamed(out: Builder, value: Value, labels: Sequence[Axis]) -> Value:
    """The value with its axes called so, in their order."""
    for old, new in zip(value.type.axes, labels, strict=True):
        value = value if old == new else out.emit(Rename(old, new), value)
    return value
