"""What a run learns from: running text as token files, or a table of rows, with the tokenizer and the classes in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attndsl.data.dataset import Dataset, load_dataset, open_dataset
from attndsl.data.tokenizers import Tokenizer, TokenizerChoice, make_tokenizer
from attndsl.diagnostics import error
from attndsl.objectives.base import Known
from attndsl.objectives.choice import OBJECTIVES
from attndsl.objectives.roles import Data
from attndsl.recipe.recipe import Recipe
from attndsl.records import Frozen

CACHE = ".attndsl-tokens"  # beside the run, so that runs on the same text share it


class TrainingData(Frozen, eq=False):
    """`train` and `held_out` are what an objective's `prepare` takes: tokens in a row, or tables. `key` names the
    contents, `paths` where they came from (None: from Python), `facts` says in `run.json` what they are."""

    train: Any
    held_out: Any
    tokenizer: Tokenizer | None
    labels: tuple[str, ...] | None
    key: str
    known: Known
    paths: tuple[str, ...] | None
    facts: Mapping[str, Any]
    dataset: Dataset | None = None


def load_data(
    data: Any,
    recipe: Recipe,
    cache: Path,
    say: Callable[[str], None] = lambda text: None,
    tokenizer: Tokenizer | None = None,
) -> TrainingData:
    """Read the data that the recipe's objective takes, split them, make the tokenizer (unless one is given) and find
    the classes.

    `data` are paths, `example:NAME`, or for tables what Python has (`attndsl.data.table.read_table`). Raises E0701 to
    E0709, what reading a table raises, and E0711 (a column that is not there).
    """
    if recipe.objective.about.data == Data.TEXT:
        return _text(data, recipe, cache, say, tokenizer)
    return _table(data, recipe, say, tokenizer)


def _several(data: Data) -> str:
    """The objectives that learn from such data."""
    *others, last = (f"`{name}`" for name, about in OBJECTIVES.items() if about.data == data)
    return f"{', '.join(others)} and {last}"


def open_data(key: str, recipe: Recipe, cache: Path, paths: Sequence[str] | None) -> TrainingData | None:
    """The text that `load_data` kept under `key`; None where it is not there any more, or is not text."""
    found = open_dataset(cache, key)
    return _of_dataset(found, recipe, paths) if found is not None else None


def _text(
    data: Any, recipe: Recipe, cache: Path, say: Callable[[str], None], tokenizer: Tokenizer | None
) -> TrainingData:
    if not isinstance(data, (str, os.PathLike)) and not _are_paths(data):
        raise error(
            "E0758",
            f"`{recipe.objective.kind}` learns from running text, and {_described(data)} is given",
            help=f"give a file, a folder or a glob; a table is for {_several(Data.RECORDS)}",
        )
    paths = _paths(data)
    choice = tokenizer or TokenizerChoice.parse(recipe.tokenizer, recipe.special)
    found = load_dataset(paths, choice, recipe.held_out, cache, say)
    return _of_dataset(found, recipe, paths)


def _of_dataset(found: Dataset, recipe: Recipe, paths: Sequence[str] | None) -> TrainingData:
    objective = recipe.objective
    labels = objective.about.labels_in(objective, found.train.tokens, found.tokenizer)
    facts = {
        "train": {"tokens": len(found.train.tokens), "bytes": found.train.bytes},
        "held_out": {"tokens": len(found.held_out.tokens), "bytes": found.held_out.bytes},
        "split_by": found.split_by,
        "documents": found.documents,
        "held_out_documents": found.held_out_documents,
        "unigram_entropy": found.unigram_entropy,
    }
    known = Known(found.held_out.bytes_per_token, found.unigram_entropy)
    return TrainingData(
        found.train.tokens, found.held_out.tokens, found.tokenizer, labels, found.key, known,
        tuple(paths) if paths is not None else None, facts, found,
    )  # fmt: skip


def _table(data: Any, recipe: Recipe, say: Callable[[str], None], tokenizer: Tokenizer | None) -> TrainingData:
    from attndsl.data.table import read_table, split_table

    choice = recipe.objective
    table = read_table(data, choice.about.columns(choice))
    classes = choice.about.labels_of(choice, table)
    train, held_out = split_table(table, recipe.held_out)
    if not len(train):
        raise error("E0704", f"{table.origin} has no rows to train on", help="give more rows")
    if tokenizer is None and choice.about.reads_texts():
        parsed = TokenizerChoice.parse(recipe.tokenizer, recipe.special)
        tokenizer = make_tokenizer(parsed, choice.about.texts_of(choice, train))
    held = f"{len(train):,} rows to train on, {len(held_out):,} held out"
    say(held if tokenizer is None else f"{held}; {tokenizer.vocab:,} tokens ({tokenizer.kind})")
    facts: dict[str, Any] = {"train": {"rows": len(train)}, "held_out": {"rows": len(held_out)}, "split_by": "rows"}
    paths = tuple(_paths(data)) if isinstance(data, (str, os.PathLike)) or _are_paths(data) else None
    return TrainingData(train, held_out, tokenizer, classes, table.digest, Known(), paths, facts)


def shown(data: Any) -> str:
    """The data, as a message names them."""
    if isinstance(data, (str, os.PathLike)) or _are_paths(data):
        return ", ".join(f"`{path}`" for path in _paths(data))
    return _described(data)


def _are_paths(data: Any) -> bool:
    return isinstance(data, (list, tuple)) and bool(data) and all(isinstance(p, (str, os.PathLike)) for p in data)


def _paths(data: Any) -> list[str]:
    return [os.fspath(data)] if isinstance(data, (str, os.PathLike)) else [os.fspath(path) for path in data]


def _described(data: Any) -> str:
    origin = getattr(data, "origin", None)
    return str(origin) if isinstance(origin, str) else f"a Python {type(data).__name__}"


def absolute(paths: Sequence[str] | None) -> list[str] | None:
    """Paths that mean the same from any folder."""
    if paths is None:
        return None
    return [str(Path(path).absolute()) if Path(path).exists() else path for path in paths]
