"""Real data that a machine has anyway, by name: `--data example:dates`.

Given a name; gives text files or a `Table`, the same on every machine that has the same library. Nothing is downloaded,
nothing is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from attndsl.data.columns import Table
from attndsl.data.examples.captions import captions_table
from attndsl.data.examples.dates import MOST, dates_table
from attndsl.data.examples.digits import digits_table
from attndsl.data.examples.library import docstrings_table, sources
from attndsl.data.examples.names import names_table
from attndsl.data.examples.questions import questions_table
from attndsl.diagnostics import AttnError, did_you_mean, error
from attndsl.records import Frozen

PREFIX = "example:"


class Example(Frozen):
    """What there is under a name: `kind` is `text`, `records` or `images`, `columns` those of a table, `rows` how many
    rows there are where that can be chosen (`example:dates:5000`)."""

    kind: str
    doc: str
    columns: tuple[str, ...] = ()
    rows: int = 0


EXAMPLES: Mapping[str, Example] = {
    "stdlib": Example("text", "the sources of Python's standard library, without its tests"),
    "docstrings": Example(
        "records", "docstrings of the standard library, and the group of modules they are from", ("text", "label")
    ),
    "questions": Example(
        "records",
        "questions about arguments, and where a docstring describes them; `example:questions:5000` has so many rows",
        ("question", "context", "answer", "start"),
        12_000,
    ),
    "dates": Example(
        "records",
        "dates written in twenty ways, and in ISO 8601; `example:dates:5000` has so many rows",
        ("source", "target"),
        20_000,
    ),
    "names": Example(
        "records",
        "statements of the standard library, and what each of their words is there; `example:names:5000` has so many "
        "rows",
        ("tokens", "tags"),
        20_000,
    ),
    "digits": Example("images", "scikit-learn's handwritten digits, 8 × 8", ("image", "label")),
    "captions": Example(
        "images",
        "these digits, thick or thin and shifted, with captions that say so; `example:captions:5000` has so many rows",
        ("image", "caption", "label"),
        12_000,
    ),
}
_TABLES: Mapping[str, Callable[[int], Table]] = {
    "docstrings": lambda rows: docstrings_table(),
    "questions": questions_table,
    "dates": dates_table,
    "names": names_table,
    "digits": lambda rows: digits_table(),
    "captions": captions_table,
}


def example_table(name: str) -> Table:
    """The table of `example:NAME`. Raises E0719 (there is none of that name, or it is text), E0708."""
    known, rows = _read(name)
    if known not in _TABLES:
        tables = ", ".join(f"`{PREFIX}{other}`" for other in _TABLES)
        raise error(
            "E0719", f"`{name}` is running text and has no columns", help=f"the examples with records are {tables}"
        )
    return _TABLES[known](rows)


def example_files(name: str) -> list[tuple[Path, str]]:
    """The text files of `example:NAME`, with the names they go by. Raises E0719 (there is none, or it is a table)."""
    known, _ = _read(name)
    if known != "stdlib":
        columns = " and ".join(f"`{column}`" for column in EXAMPLES[known].columns)
        raise error(
            "E0719",
            f"`{name}` has records, with the columns {columns}, and is not running text",
            help=f"the example with running text is `{PREFIX}stdlib`",
        )
    return sources()


def _read(name: str) -> tuple[str, int]:
    known, colon, number = name.removeprefix(PREFIX).partition(":")
    example = EXAMPLES.get(known)
    if example is None:
        raise _unknown(name, known)
    if not colon:
        return known, example.rows
    if not example.rows or not number.isdecimal() or not 2 <= int(number) <= MOST:
        raise error(
            "E0719",
            f"`{name}` is not an example: `{number}` is not a number of rows",
            help=f"write `{PREFIX}{known}:{example.rows}`, a number from 2 to {MOST:,}"
            if example.rows
            else f"write `{PREFIX}{known}`, which has all rows that there are",
        )
    return known, int(number)


def _unknown(name: str, known: str) -> AttnError:
    near = did_you_mean(known, EXAMPLES)
    listed = "; ".join(f"`{PREFIX}{other}`: {example.doc}" for other, example in EXAMPLES.items())
    return error(
        "E0719", f"there is no example `{name}`", note=f"there are {listed}", help=near or "choose one of these"
    )


__all__ = ["EXAMPLES", "Example", "example_files", "example_table"]
