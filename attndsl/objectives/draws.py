"""Random choices for batches: each is a function of what it is for, the seed, the step and the part of the step."""

from __future__ import annotations

import math
from functools import lru_cache

from attndsl.data.counter import words
from attndsl.lazy import Array, np

TRAINING, EVALUATION, EPOCH, CAPTION = 0x7472, 0x6576, 0x6570, 0x6361
_BLOCK = 4096


class Draws:
    """The stream that `keys` name, taken piece by piece in an order that the code fixes."""

    def __init__(self, *keys: int) -> None:
        self.keys = keys
        self.blocks = self.at = 0
        self.block: Array = np.zeros(0, dtype=np.uint64)

    def words(self, count: int) -> Array:
        """`count` fresh 64-bit words. They are made a block at a time: a text takes a few here and a few there."""
        if self.at + count > len(self.block):
            self.blocks += 1
            self.block, self.at = words(*self.keys, self.blocks, count=max(count, _BLOCK)), 0
        self.at += count
        return self.block[self.at - count : self.at]

    def uniform(self, *shape: int) -> Array:
        """Numbers in [0, 1), of 53 bits."""
        drawn = self.words(math.prod(shape)) >> np.uint64(11)
        return (drawn * 2.0**-53).reshape(shape)

    def integers(self, below: int, count: int) -> Array:
        """Integers in `[0, below)`."""
        return (self.words(count) % np.uint64(below)).astype(np.int64)


def choose(weights: Array, allowed: Array, counts: Array) -> Array:
    """A bool array `[rows, places]`: in each row `counts` of the places that are `allowed`, those with the least of the
    random `weights`."""
    keys = np.where(allowed, weights, 2.0)
    order = np.argsort(keys, axis=-1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.broadcast_to(np.arange(keys.shape[-1]), keys.shape), axis=-1)
    return (ranks < np.asarray(counts)[..., None]) & allowed


def poisson(uniform: Array, mean: float) -> Array:
    """Poisson numbers with this mean, from uniform ones, by the inverse of the distribution function."""
    return np.searchsorted(_distribution(mean), uniform, side="right").astype(np.int64)


@lru_cache(maxsize=16)
def _distribution(mean: float) -> Array:
    highest = int(mean + 12 * math.sqrt(mean) + 12)
    return np.cumsum([math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(highest)])
