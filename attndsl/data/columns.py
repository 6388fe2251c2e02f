"""Records: rows with named columns, of texts, labels, tags or pictures, wherever they came from.

A column is a list (of texts, numbers, lists of words) or a NumPy array whose first axis is the row. Nothing is checked
before a column is asked for, so a file may hold more than a recipe needs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Union

from attndsl.diagnostics import AttnError, did_you_mean, error, first_of
from attndsl.lazy import Array, np
from attndsl.records import dataclass, field

if TYPE_CHECKING:
    Column = Union[Sequence[Any], Array]

MOST_LABELS = 100_000


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


MISSING = _Missing()  # what a row has in a column that only others have


@dataclass(frozen=True)
class Table:
    """`columns` are of one length. `origin` says where the rows came from; `files` and `places` (int `[rows, 2]`: the
    file's number, the line's, both from 0 and 1) say it for each row, where they were read from files."""

    columns: Mapping[str, Column]
    origin: str
    files: tuple[str, ...] = ()
    places: Array | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    def take(self, rows: Sequence[int] | Array) -> Table:
        """Some of the rows, in the order of `rows`."""
        rows = np.asarray(rows, dtype=np.int64)
        return Table(
            {name: _taken(column, rows) for name, column in self.columns.items()},
            self.origin,
            self.files,
            None if self.places is None else self.places[rows],
        )

    def place(self, row: int) -> str:
        """Where a row stands, for a message: `data.jsonl:12`, or `row 11 of <origin>`."""
        if self.places is None:
            return f"row {row} of {self.origin}"
        file, line = self.places[row].tolist()
        return f"{self.files[file]}:{line}" if line else self.files[file]

    # ------------------------------------------------------------------------------------------ columns

    def require(self, column: str) -> Column:
        """A column that every row has. Raises E0711 where there is none, or where a row lacks it."""
        if column not in self.columns:
            raise error(
                "E0711",
                f"{self.origin} has no column `{column}`",
                note=f"its columns: {', '.join(f'`{name}`' for name in self.columns)}" if self.columns else (),
                help=(*did_you_mean(column, self.columns), "say in `batches = …` which column is meant"),
            )
        found = self.columns[column]
        row = next((number for number, value in enumerate(found) if value is MISSING), None)
        if row is not None:
            raise error(
                "E0711",
                f"{self.place(row)} has no `{column}`",
                note=f"it has {', '.join(f'`{n}`' for n in self.columns if self.value(n, row) is not MISSING)}; "
                f"other rows have a `{column}`",
                help="give every row the column, or leave those rows out",
            )
        return found

    def value(self, column: str, row: int) -> Any:
        """What a row has in a column (`MISSING`, where it has nothing)."""
        return self.columns[column][row]

    def texts(self, column: str) -> list[str]:
        """A column of texts. Raises E0711, E0716 (a value that is not text)."""
        found = self.require(column)
        texts = found.tolist() if hasattr(found, "tolist") else found
        for row, text in enumerate(texts):
            if not isinstance(text, str):
                raise self._no(row, column, text, "a text", 'write it in quotes: `"…"`')
        return list(texts)

    def captions(self, column: str) -> list[list[str]]:
        """A column with a text, or with several, for each row. Raises E0711, E0716 (neither, or none)."""
        found: list[list[str]] = []
        for row, value in enumerate(self.require(column)):
            several = [value] if isinstance(value, str) else value
            if not isinstance(several, (list, tuple)) or not several or not all(isinstance(it, str) for it in several):
                raise self._no(row, column, value, "a text, or several", 'write `"…"`, or `["…", "…"]`')
            found.append([str(text) for text in several])
        return found

    def words(self, column: str) -> list[list[str]]:
        """A column of words, or of a tag for each word: lists of texts, or texts that are split at spaces. Raises
        E0711, E0716."""
        lists: list[list[str]] = []
        for row, value in enumerate(self.require(column)):
            several = value.split() if isinstance(value, str) else value
            several = several.tolist() if isinstance(several, np.ndarray) else several
            if not isinstance(several, (list, tuple)) or not all(isinstance(word, str) for word in several):
                raise self._no(row, column, value, "a list of words", 'write `["…", "…"]`, or words between spaces')
            lists.append(list(several))
        return lists

    def images(self, column: str) -> Array:
        """Pictures as float32 `[rows, channels, height, width]`: bytes are scaled to 0..1, what is float already stays.
        A column `[rows, height, width]` has one channel. Raises E0711, E0715 (several sizes), E0716 (also floats that
        are NaN or infinite, or that have bytes' values)."""
        chosen = self.require(column)
        sizes = {np.shape(picture) for picture in chosen} if isinstance(chosen, list) else set()
        if len(sizes) > 1:
            shown = ", ".join(sorted(str(list(size)) for size in sizes)[:4])
            raise error(
                "E0715", f"the pictures in the column `{column}` of {self.origin} are of several sizes: {shown}",
                help="bring them to one size first",
            )  # fmt: skip
        pictures = np.asarray(chosen)
        if (pictures.dtype != np.uint8 and pictures.dtype.kind != "f") or pictures.ndim not in (3, 4):
            shown = f"{pictures.dtype} {list(pictures.shape[1:])}"
            raise error(
                "E0716",
                f"the column `{column}` of {self.origin} holds no pictures",
                note=f"a row of it is {shown}" if pictures.dtype != object else "its rows are of different kinds",
                help="pictures are uint8 or float, `[channels, height, width]` or `[height, width]`",
            )
        if pictures.ndim == 3:
            pictures = pictures[:, None]
        scaled = pictures.astype(np.float32)
        if pictures.dtype.kind == "f" and pictures.size:
            self._check_floats(column, float(scaled.min()), float(scaled.max()))
        return np.ascontiguousarray(scaled / np.float32(255) if pictures.dtype == np.uint8 else scaled)

    def _check_floats(self, column: str, least: float, most: float) -> None:
        """Raise E0716 where floats from `least` to `most` are not brightnesses: values that are never below 0 and leave
        0..1 are bytes, or counts, as floats. Values on both sides of 0 are centred on purpose."""
        what = f"the pictures in the column `{column}` of {self.origin}"
        if not np.isfinite(least + most):
            raise error("E0716", f"{what} hold NaN or infinite values", help="leave those pictures out, or repair them")
        if least >= 0 and most > 1:
            raise error(
                "E0716", f"{what} are floats up to {most:g}, and floats are taken as they are: 0 is black, 1 is white",
                help=f"divide them by {255 if most > 16 else f'{most:g}'}, or give bytes (uint8)",
            )  # fmt: skip

    # ------------------------------------------------------------------------------------------ labels

    def labels_of(self, column: str, several: bool = False) -> list[str]:
        """The labels that occur, each once: numbers by size, else by alphabet. With `several`, a row has a list of them
        (tags). Raises E0711, E0716."""
        found = {name for names in self._names(column, several) for name in names}
        if len(found) > MOST_LABELS:
            raise error(
                "E0716", f"`{column}` of {self.origin} has {len(found):,} different labels",
                help=f"is it the column with the class? its columns: {', '.join(self.columns)}",
            )  # fmt: skip
        return sorted(found, key=_label_key(found))

    def encode_labels(self, column: str, labels: Sequence[str], several: bool = False) -> Any:
        """The number of each row's label among `labels`: int64 `[rows]`, or with `several` a list of int64 arrays.
        Raises E0711, E0714 (a label that is none of them), E0716."""
        numbers = {name: number for number, name in enumerate(labels)}
        encoded: list[list[int]] = []
        for row, names in enumerate(self._names(column, several)):
            for name in names:
                if name not in numbers:
                    raise self._unknown_label(row, column, name, labels)
            encoded.append([numbers[name] for name in names])
        if several:
            return [np.array(each, dtype=np.int64) for each in encoded]
        return np.array([each[0] for each in encoded], dtype=np.int64)

    def _names(self, column: str, several: bool) -> Iterator[list[str]]:
        if several:
            yield from self.words(column)
            return
        found = self.require(column)
        for row, each in enumerate(found.tolist() if hasattr(found, "tolist") else found):
            label = each.item() if isinstance(each, np.generic) else each
            if isinstance(label, float) and label.is_integer():
                label = int(label)
            if not isinstance(label, (str, int)):  # bools are ints
                raise self._no(row, column, label, "a label", "a label is a text or a whole number")
            yield [label if isinstance(label, str) else str(label)]

    def _unknown_label(self, row: int, column: str, name: str, labels: Sequence[str]) -> AttnError:
        shown = first_of(labels, 12)
        return error(
            "E0714",
            f"{self.place(row)}: there is no label `{name}`",
            note=f"the labels are {shown} ({len(labels):,})",
            help=(*did_you_mean(name, labels), f"correct its `{column}`, or train on data in which the label occurs"),
        )

    def _no(self, row: int, column: str, value: object, wanted: str, way_out: str) -> AttnError:
        shown = "nothing" if value is None else f"`{str(value)[:60]}`"
        return error("E0716", f"{self.place(row)}: `{column}` is {shown} and not {wanted}", help=way_out)

    # ------------------------------------------------------------------------------------------ digests

    @cached_property
    def row_digests(self) -> list[bytes]:
        """The SHA-256 of each row's contents: columns by name, whatever their order and the file's format."""
        names = sorted(self.columns)
        return [row_digest([(name, self.columns[name][row]) for name in names]) for row in range(len(self))]

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of all rows in their order."""
        whole = hashlib.sha256(json.dumps(sorted(self.columns)).encode())
        for row in self.row_digests:
            whole.update(row)
        return whole.hexdigest()


def _taken(column: Column, rows: Array) -> Column:
    return column[rows] if hasattr(column, "dtype") else [column[row] for row in rows.tolist()]  # type: ignore[call-overload]


def row_digest(fields: list[tuple[str, Any]]) -> bytes:
    """The SHA-256 of names with their values."""
    digest = hashlib.sha256()
    for name, value in fields:
        if value is MISSING:
            continue
        digest.update(json.dumps(name).encode() + b"\0")
        if isinstance(value, np.ndarray) and value.ndim:
            digest.update(f"{value.dtype.str}{list(value.shape)}".encode() + value.tobytes())
        else:
            digest.update(
                json.dumps(value, sort_keys=True, ensure_ascii=False, default=_plain).encode("utf-8", "surrogatepass")
            )
        digest.update(b"\0")
    return digest.digest()


def _plain(value: object) -> object:
    """What JSON has no form for: NumPy's numbers as Python's, all else as text."""
    return value.item() if hasattr(value, "item") else str(value)


def _label_key(labels: set[str]) -> Any:
    """Numbers by size where all labels are numbers, else the text itself."""
    if all(label.removeprefix("-").isdecimal() for label in labels):
        return lambda label: (int(label), label)
    return lambda label: (0, label)
