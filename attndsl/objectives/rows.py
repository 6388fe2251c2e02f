"""Rows of a table: what an objective reads of them, and their order, a new one in every pass through the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from attndsl.data.counter import words
from attndsl.lazy import np
from attndsl.objectives.draws import EPOCH
from attndsl.recipe.objective import ObjectiveChoice
from attndsl.recipe.recipe import Recipe

if TYPE_CHECKING:
    import numpy

    from attndsl.data.table import Table

    Array = numpy.ndarray[Any, Any]


def columns_of(choice: ObjectiveChoice) -> list[str]:
    """The columns that an objective reads, in the order in which a row without names has them."""
    named = (choice.column(name) for name in ("from", "to", "image", "text", "pair", "label") if name in choice.options)
    return [name for name in named if name is not None]


def labels_of(choice: ObjectiveChoice, table: Table) -> tuple[str, ...] | None:
    """The names of the classes that a table has for an objective; None for one without classes. Raises E0711, E0716."""
    if "label" not in choice.options:
        return None
    return tuple(table.labels_of(str(choice.options["label"]), several=choice.kind == "tag"))


def texts_of(choice: ObjectiveChoice, table: Table) -> list[str]:
    """All texts that an objective shows a model, for a tokenizer to learn from. Raises E0711, E0716."""
    found: list[str] = []
    for name in ("text", "pair", "from", "to"):
        wanted = choice.column(name) if name in choice.options else None
        if wanted and choice.kind == "tag":
            found += (" ".join(words) for words in table.words(wanted))
        elif wanted:
            found += table.texts(wanted)
    return found


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, rows: int) -> Array:
    return np.argsort(words(EPOCH, seed, epoch, count=rows), kind="stable")


def drawn(recipe: Recipe, rows: int, step: int, part: int) -> Array:
    """The rows of a batch: each pass through the data has every row once, in an order of its own."""
    first = (step * recipe.accumulate + part) * recipe.batch
    places = np.arange(first, first + recipe.batch)
    found = np.empty(recipe.batch, dtype=np.int64)
    for epoch in range(first // rows, (first + recipe.batch - 1) // rows + 1):
        inside = places // rows == epoch
        found[inside] = _order(recipe.seed, epoch, rows)[places[inside] - epoch * rows]
    return found


def spread(recipe: Recipe, rows: int, batches: int) -> Iterator[Array]:
    """The rows of the batches of an evaluation: all, or as many as fit, spread evenly."""
    count = min(rows, batches * recipe.batch)
    chosen = np.arange(count) * rows // max(count, 1)
    for number in range(0, count, recipe.batch):
        yield chosen[number : number + recipe.batch]


def tell_cut(say: Callable[[str], None], cut: int, rows: int, length: int, what: str = "texts") -> None:
    """Say how many rows were longer than the recipe allows."""
    if cut:
        say(f"{cut:,} of {rows:,} {what} are longer than {length:,} tokens: their ends are cut off")
