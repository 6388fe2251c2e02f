"""Attention on arrays by blocks of queries: queries times keys are never there as a whole, and keys that a block does
not see are left out.

Each query's result is computed by itself, so blocks give what the whole gives. A weight of 0 times a value that is not
finite is NaN, and so is its gradient: keys are left out only where no number is so large, or not finite.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from attndsl.lazy import Array, np
from attndsl.ops.base import Call
from attndsl.records import Frozen
from attndsl.types import Axis, Type

if TYPE_CHECKING:
    from attndsl.ops.fused import Attention

SCORES = 1 << 22  # of a block, at most: what the processor's caches hold of
SEEING = 256  # queries of a block, at most, where they do not all see the same keys
FEWEST = 64  # queries of a block: with fewer, products are slow


class QueryBlock(Frozen):
    """Some of the queries, and the keys that they may see."""

    queries: Axis
    keys: Axis
    rows: slice
    columns: slice

    def of(self, type: Type) -> tuple[slice, ...]:
        """The part of an array of this type that belongs to the block."""
        parts = {self.queries: self.rows, self.keys: self.columns}
        return tuple([parts.get(axis, slice(None)) for axis in type.axes])


def blocks(op: Attention, call: Call, arrays: tuple[Array, ...], upstream: Array | None = None) -> list[QueryBlock]:
    """The blocks of an attention; none where it is computed as a whole. With `upstream`, they are those of its
    gradient."""
    queries = _queries(op, call)
    if queries is None or (call.training and op.dropout):  # dropout draws for all elements at once
        return []
    count, keys = call.length(queries.size), call.length(op.over.size)
    where, _, _ = op.extra(*range(3, len(arrays)))
    types = call.inputs[:2]
    axes = {axis for type in types for axis in type.axes if axis not in (*op.contract, queries)}
    a_query = 1
    for axis in axes:
        a_query *= call.length(axis.size)
    differ = where is not None and queries in call.inputs[where].axes
    step = max(FEWEST, SCORES // max(a_query, 1))
    step = call.block or (min(step, SEEING) if differ else step)
    if count <= step:
        return []
    sees = where is not None and differ and op.over in call.inputs[where].axes and _small(op, call, arrays, upstream)
    found: list[QueryBlock] = []
    for start in range(0, count, step):
        block = QueryBlock(queries, op.over, slice(start, min(start + step, count)), slice(0, keys))
        if sees and where is not None:
            block = _seeing(block, arrays[where], call.inputs[where])
        found.append(block)
    return found


def _queries(op: Attention, call: Call) -> Axis | None:
    """The axis to take apart: the one along which the mask differs, else the last that only the queries have."""
    q, k = (type.axes for type in call.inputs[:2])
    own = [axis for axis in q if axis not in (*k, *op.contract) and axis in call.output.axes]
    return op.mask.queries if op.mask.queries in own else own[-1] if own else None


def _seeing(block: QueryBlock, where: Array, type: Type) -> QueryBlock:
    """The block with the keys from the first to the last that any of its queries sees."""
    others = tuple(i for i, axis in enumerate(type.axes) if axis != block.keys)
    seen = np.flatnonzero(where[block.of(type)].any(axis=others))
    columns = slice(int(seen[0]), int(seen[-1]) + 1) if seen.size else slice(0, min(1, block.columns.stop))
    return QueryBlock(block.queries, block.keys, block.rows, columns)


def _small(op: Attention, call: Call, arrays: tuple[Array, ...], upstream: Array | None) -> bool:
    """Whether all products of operands, and their sums, are finite."""
    if not arrays[0].size or not arrays[1].size or not arrays[2].size:
        return False
    q, k, v = (float(np.abs(array).max()) for array in arrays[:3])
    terms = 1
    for axis in (*op.contract, *call.inputs[2].axes):
        terms *= call.length(axis.size)
    g = 1.0 if upstream is None else float(np.abs(upstream).max(initial=0))
    most = max(q, 1.0) * max(k, 1.0) * max(v, 1.0) * max(g, 1.0) * terms
    return most < float(np.finfo(call.float_dtype).max) / max(abs(op.scale), 1.0)


def parts(block: QueryBlock, types: tuple[Type, ...], arrays: tuple[Array, ...]) -> Iterator[Array]:
    """What a block reads of each operand."""
    for type, array in zip(types, arrays, strict=True):
        yield array[block.of(type)]


__all__ = ["QueryBlock", "blocks", "parts"]
