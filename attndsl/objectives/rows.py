"""Rows of a table in batches: their order, a new one in every pass through the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

from attndsl.data.counter import words
from attndsl.lazy import Array, np
from attndsl.objectives.base import Batching
from attndsl.objectives.draws import EPOCH


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, rows: int) -> Array:
    return np.argsort(words(EPOCH, seed, epoch, count=rows), kind="stable")


def drawn(recipe: Batching, rows: int, step: int, part: int) -> Array:
    """The rows of a batch: each pass through the data has every row once, in an order of its own."""
    first = (step * recipe.accumulate + part) * recipe.batch
    places = np.arange(first, first + recipe.batch)
    found = np.empty(recipe.batch, dtype=np.int64)
    for epoch in range(first // rows, (first + recipe.batch - 1) // rows + 1):
        inside = places // rows == epoch
        found[inside] = _order(recipe.seed, epoch, rows)[places[inside] - epoch * rows]
    return found


def spread(recipe: Batching, rows: int, batches: int) -> Iterator[Array]:
    """The rows of the batches of an evaluation: all, or as many as fit, spread evenly."""
    count = min(rows, batches * recipe.batch)
    chosen = np.arange(count) * rows // max(count, 1)
    for number in range(0, count, recipe.batch):
        yield chosen[number : number + recipe.batch]


def tell_cut(
    say: Callable[[str], None], cut: int, rows: int, length: int, what: str = "texts", unit: str = "tokens"
) -> None:
    """Say how many rows were longer than the recipe allows."""
    if cut:
        say(f"{cut:,} of {rows:,} {what} are longer than {length:,} {unit}: their ends are cut off")
