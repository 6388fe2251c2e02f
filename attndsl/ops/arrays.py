"""What the NumPy meanings of several primitives share: alignment by axis, sums of products, softmax, scatter."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from attndsl.lazy import Array, np
from attndsl.types import Axis

if TYPE_CHECKING:
    import numpy

    from attndsl.ops.base import Call

Axes = tuple[Axis, ...]


def as_float(call: Call, array: Array) -> Array:
    """The array in the run's float dtype (itself where it is that already)."""
    return array.astype(call.float_dtype, copy=False)


def places(axes: Axes, chosen: Axes) -> tuple[int, ...]:
    return tuple(axes.index(axis) for axis in chosen)


# ---------------------------------------------------------------- alignment


@lru_cache(maxsize=4096)
def _spreading(axes: Axes, onto: Axes) -> tuple[tuple[int, ...] | None, tuple[slice | None, ...] | None]:
    """The transposition and then the index that lay `axes` out for broadcasting against `onto`."""
    order = tuple(axes.index(axis) for axis in onto if axis in axes)
    reordered = None if order == tuple(range(len(axes))) else order
    kept = tuple(axis for axis in onto if axis in axes)
    trailing = kept == onto[len(onto) - len(kept) :]
    return reordered, None if trailing else tuple(slice(None) if axis in axes else None for axis in onto)


def spread(array: Array, axes: Axes, onto: Axes) -> Array:
    """A view of `array` (laid out as `axes`) that broadcasts against arrays laid out as `onto`, a superset."""
    if axes == onto:
        return array
    order, index = _spreading(axes, onto)
    if order is not None:
        array = array.transpose(order)
    return array if index is None else array[index]


@lru_cache(maxsize=4096)
def _collecting(axes: Axes, onto: Axes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    summed = tuple(i for i, axis in enumerate(axes) if axis not in onto)
    left = tuple(axis for axis in axes if axis in onto)
    return summed, tuple(left.index(axis) for axis in onto)


def collect(gradient: Array, axes: Axes, onto: Axes) -> Array:
    """The adjoint of `spread`: a gradient laid out as `axes`, summed over the axes that `onto` lacks."""
    if axes == onto:
        return gradient
    summed, order = _collecting(axes, onto)
    if summed:
        gradient = gradient.sum(summed)
    return gradient if order == tuple(range(len(order))) else gradient.transpose(order)


# ---------------------------------------------------------------- sums of products


Places = tuple[int, ...]


@lru_cache(maxsize=4096)
def _contraction(left: Axes, right: Axes, out: Axes) -> tuple[Places, Places, int, int, int, Places]:
    """The transpositions of both sides, how many axes are batched, left's own and right's own, and the transposition
    of the product."""
    batch = tuple(a for a in left if a in right and a in out)
    summed = tuple(a for a in left if a in right and a not in out)
    rows = tuple(a for a in left if a not in right)
    columns = tuple(a for a in right if a not in left)
    product = batch + rows + columns
    return (
        places(left, batch + rows + summed),
        places(right, batch + summed + columns),
        len(batch),
        len(rows),
        len(columns),
        places(product, out),
    )


def contract(
    left: Array, left_axes: Axes, right: Array, right_axes: Axes, out: Axes, into: Array | None = None
) -> Array:
    """The sum of products over the axes that both sides have and `out` lacks, laid out as `out`: one batched matrix
    product. The result is a fresh array, transposed where the order asks for it, or `into`."""
    left_order, right_order, batch, rows, columns, out_order = _contraction(left_axes, right_axes, out)
    left, right = left.transpose(left_order), right.transpose(right_order)
    summed = left.ndim - batch - rows
    left_shape, right_shape = left.shape, right.shape
    batch_shape = left_shape[:batch]
    shape = left_shape[: batch + rows] + right_shape[batch + summed :]
    inner = _count(right_shape[batch : batch + summed])
    a = left.reshape(*batch_shape, _count(left_shape[batch : batch + rows]), inner)
    b = right.reshape(*batch_shape, inner, _count(right_shape[batch + summed :]))
    if into is not None and into.flags.c_contiguous and out_order == tuple(range(into.ndim)) and (rows or columns):
        np.matmul(_for_blas(a), _for_blas(b), out=into.reshape(*a.shape[:-1], b.shape[-1]))
        return into
    if batch and not rows and not columns:
        result = (a[..., 0, :] * b[..., 0]).sum(-1)  # a product of single rows is quicker without BLAS
    else:
        result = np.matmul(_for_blas(a), _for_blas(b))
    found: Array = result.reshape(shape).transpose(out_order)
    if into is None:
        return found
    into[...] = found
    return into


def _count(shape: tuple[int, ...]) -> int:
    total = 1
    for length in shape:
        total *= length
    return total


def _for_blas(array: Array) -> Array:
    """The array itself where NumPy hands its matrices to BLAS as they are, else a copy: without BLAS is far slower."""
    size = array.itemsize
    last, previous = array.strides[-1], array.strides[-2]
    by_rows = last == size and previous % size == 0 and previous >= size * array.shape[-1]
    by_columns = previous == size and last % size == 0 and last >= size * array.shape[-2]
    return array if by_rows or by_columns else np.ascontiguousarray(array)


# ---------------------------------------------------------------- softmax


def softmax(x: Array, over: Places, where: Array | None = None, sink: Array | None = None) -> Array:
    """Stable softmax along the axes at the places `over`, as `attndsl.ops.Softmax` says it. `where` and `sink` (of
    length 1 along `over`) are broadcast against x."""
    weight = x.copy(order="K") if where is None else np.where(where, x, np.array(-np.inf, x.dtype))
    highest = weight.max(axis=over, keepdims=True, initial=-np.inf)
    if sink is not None:
        highest = np.maximum(highest, sink)
    highest[highest == -np.inf] = 0  # nothing counts; +inf stays, and makes the row NaN
    weight -= highest
    np.exp(weight, out=weight)
    total = weight.sum(axis=over, keepdims=True)
    if sink is not None:
        total += np.exp(sink - highest)
    total[total == 0] = 1
    weight /= total
    return weight if where is None or not np.isnan(total).any() else _masked(weight, where)


def softmax_gradient(upstream: Array, weight: Array, over: Places, where: Array | None = None) -> Array:
    """The gradient for the operand of a softmax whose result is `weight`: none flows through where `where` is False or
    nothing in the row counts, whatever stands there."""
    product = upstream * weight
    total = product.sum(axis=over, keepdims=True)
    if np.isfinite(total).all():
        product -= weight * total
        return product
    counts = np.asarray(weight.any(axis=over, keepdims=True))
    if where is not None:
        counts = counts & where
    product = _masked(product, counts)
    product -= weight * product.sum(axis=over, keepdims=True)
    return _masked(product, counts)


def sunk_gradient(upstream: Array, x: Array, over: Places, where: Array | None, sink: Array) -> tuple[Array, Array]:
    """The gradients for x and for the sink (of length 1 along `over`) of a softmax with one: the sink is an element
    like the others, of whose weight nothing is made."""
    rows = x.ndim - len(over)
    sink = np.broadcast_to(sink, [1 if i in over else n for i, n in enumerate(x.shape)])

    def in_rows(array: Array) -> Array:
        moved = np.moveaxis(array, over, range(rows, x.ndim))
        return moved.reshape(*moved.shape[:rows], _count(moved.shape[rows:]))  # there may be no elements

    def joined(array: Array, last: Array) -> Array:
        return np.concatenate([in_rows(array), in_rows(last)], -1)

    mask = None if where is None else joined(np.broadcast_to(where, x.shape), np.ones(sink.shape, bool))
    weight = softmax(joined(x, sink), (rows,), mask)
    found = softmax_gradient(joined(upstream, np.zeros_like(sink)), weight, (rows,), mask)
    shape = [n for i, n in enumerate(x.shape) if i not in over] + [x.shape[i] for i in over]
    back = np.moveaxis(found[..., :-1].reshape(shape), range(rows, x.ndim), over)
    return back, np.expand_dims(found[..., -1], tuple(sorted(over)))


def _masked(array: Array, where: Array) -> Array:
    """The array with zeros where `where` is False."""
    return np.where(where, array, np.array(0, array.dtype))


# ---------------------------------------------------------------- scatter

_ROUND = 2048  # elements that `reduceat` adds in the time that one more round takes (measured)
_NARROW = 16  # columns up to which counting column by column is quicker than sorting (measured)


def scatter_add(rows: int, index: Array, values: Array) -> Array:
    """Zeros of `rows` rows, to which row i of `values` [n, columns] is added at `index[i]`. Where no place gets
    many, one row is added to each at a time."""
    columns = values.shape[1]
    result = np.zeros((rows, columns), values.dtype)
    if not index.size or not columns:
        return result
    if columns <= _NARROW:
        for column in range(columns):
            result[:, column] = np.bincount(index, values[:, column], rows)
        return result
    order = np.argsort(index, kind="stable")
    ordered = index[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    times = np.diff(starts, append=len(ordered))
    if (most := int(times.max())) * _ROUND > values.size:
        result[ordered[starts]] = np.add.reduceat(values[order], starts, axis=0)
        return result
    result[ordered[starts]] = values[order[starts]]
    for again in range(1, most):
        places = starts[times > again] + again
        result[ordered[places]] += values[order[places]]
    return result


# ---------------------------------------------------------------- random numbers


def generator(*key: object) -> numpy.random.Generator:
    """A counter-based generator (Philox; Salmon et al., 2011) for a key of ints and texts; the same everywhere. What is
    drawn depends on the key alone, never on what was drawn before."""
    import hashlib  # checking draws nothing

    digest = hashlib.blake2b(repr(key).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
