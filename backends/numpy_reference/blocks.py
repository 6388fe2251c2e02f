"""Large arrays are worked on in blocks of rows: what is computed of a block is still in the cache when it is read
again, and every processor takes one block after the other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np

from attndsl.graph import Axis
from attndsl.ops.base import Call, Op
from attndsl.running.trainer import processor_threads

Array = np.ndarray[Any, Any]
Block = Mapping[Axis, slice]
"""A part along some axes, and everything along the others."""

BLOCK = 1 << 17
"""Elements of a block. With fewer, threads wait for Python's lock more than they compute; more do not stay in the cache
(measured: twenty ufuncs one after the other take two threads 1.7 times as long at 2^15)."""


def blocks(call: Call, axes: Sequence[Axis], elements: int) -> list[Block]:
    """What has `elements` elements, cut along `axes`, the first of its axes; one block where it is not large."""
    if elements < 2 * BLOCK:
        return [{}]
    return list(_blocks([(axis, call.length(axis.size)) for axis in axes], elements))


def _blocks(axes: list[tuple[Axis, int]], elements: int) -> Iterator[Block]:
    if not axes or elements <= BLOCK:
        yield {}
        return
    (axis, length), *others = axes
    inner = elements // length
    step = max(1, BLOCK // inner)
    for start in range(0, length, step):
        for rest in _blocks(others, min(step, length - start) * inner) if step == 1 else ({},):
            yield {axis: slice(start, min(start + step, length)), **rest}


def at(block: Block, axes: Sequence[Axis]) -> tuple[Any, ...]:
    """The index of a block in an array that is laid out as `axes`."""
    return (*[block.get(axis, slice(None)) for axis in axes], ...)


def for_each(pieces: Sequence[Block], work: Callable[[int, Block], None]) -> None:
    """Call `work` with each block and its number, on as many threads as NumPy's matrix products use."""
    pending = iter(list(enumerate(pieces)))

    def take() -> None:
        with np.errstate(all="ignore"):
            for number, block in pending:
                work(number, block)

    others = [_pool().submit(take) for _ in range(min(processor_threads(), len(pieces)) - 1)]
    try:
        take()
    finally:
        for other in others:
            if not other.cancel():
                other.result()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, processor_threads() - 1), "attndsl-numpy")


os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork


def evaluate(
    compute: Callable[[Sequence[Array], Block], Array], call: Call, pieces: Sequence[Block], arrays: Sequence[Array]
) -> Array:
    """What `compute` gives for parts of the operands, put together."""
    if len(pieces) == 1:
        return compute(arrays, {})
    result = np.empty(call.shape(call.output), call.dtype(call.output.dtype))

    def work(number: int, block: Block) -> None:
        parts = [array[at(block, type.axes)] for array, type in zip(arrays, call.inputs, strict=True)]
        result[at(block, call.output.axes)] = compute(parts, block)

    for_each(pieces, work)
    return result


def gradient(
    op: Op, call: Call, pieces: Sequence[Block], upstream: Array, output: Array, arrays: Sequence[Array]
) -> list[Array | None]:
    """`op.gradient`, block by block. What is a sum over the blocks is added up in their order, whichever thread was the
    quicker one."""
    cut = pieces[0].keys()
    spans = [cut <= set(type.axes) for type in call.inputs]
    whole: dict[int, Array] = {}
    summands: dict[int, dict[int, Array]] = {i: {} for i, spanned in enumerate(spans) if not spanned}

    def work(number: int, block: Block) -> None:
        index = at(block, call.output.axes)
        parts = [array[at(block, type.axes)] for array, type in zip(arrays, call.inputs, strict=True)]
        for i, share in enumerate(op.gradient(call, upstream[index], output[index], *parts)):
            if share is None:
                continue
            if not spans[i]:
                summands[i][number] = share
                continue
            if i not in whole:
                whole.setdefault(i, np.empty(arrays[i].shape, share.dtype))
            whole[i][at(block, call.inputs[i].axes)] = share

    for_each(pieces, work)
    for i, found in summands.items():
        for number, block in enumerate(pieces if found else ()):
            if i not in whole:
                whole[i] = np.zeros(arrays[i].shape, found[number].dtype)
            whole[i][at(block, call.inputs[i].axes)] += found[number]
    return [whole.get(i) for i in range(len(arrays))]


def hollow(array: Array) -> Array:
    """An array of this shape and dtype that takes no memory, for who looks at nothing else."""
    return np.broadcast_to(np.zeros((), array.dtype), array.shape)
