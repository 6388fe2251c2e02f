"""Reading tables: JSON lines, CSV, TSV, NumPy archives, folders of pictures by class, and what Python has."""

from __future__ import annotations

import csv
import glob
import io
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from attndsl.data.columns import MISSING, Table
from attndsl.data.images import SUFFIXES as PICTURES
from attndsl.data.images import read_classes
from attndsl.data.sources import EXAMPLE, beside
from attndsl.diagnostics import AttnError, error
from attndsl.lazy import Array, np
from attndsl.storage.arrays import ArrayFile
from attndsl.storage.refusals import file_errors

if TYPE_CHECKING:
    Column = Union[Sequence[Any], Array]
    Data = Union[str, os.PathLike[str], Table, Mapping[str, Any], Iterable[Any]]
    Row = dict[str, Any]

_FORMS = "`.jsonl` (one JSON object a line), `.csv` or `.tsv` (with a header), `.npz`, or a folder of pictures by class"


def read_table(data: Data, names: Sequence[str] = ()) -> Table:
    """The rows of `data`: a path, several, a folder, a glob, `example:NAME`, a mapping from columns to arrays or
    lists, or any iterable of mappings or tuples; `names` are the columns of tuples.

    Files of several kinds may come together, and their rows follow one another. Raises E0701 (nothing there), E0703 (no
    text), E0705 (cannot be read), E0711 to E0719.
    """
    if isinstance(data, Table):
        return data
    if isinstance(data, (str, os.PathLike)):
        return _read_paths([os.fspath(data)])
    if isinstance(data, Mapping):
        return _of_columns(data, "the data")
    if hasattr(data, "columns") and hasattr(data, "to_dict"):  # a data frame
        return _of_columns({str(name): list(data[name]) for name in data.columns}, "the data")  # type: ignore[index]
    rows = iter(data)
    first = list(itertools.islice(rows, 1))
    if first and isinstance(first[0], (str, os.PathLike)):
        return _read_paths([os.fspath(path) for path in itertools.chain(first, rows)])
    return _of_rows(itertools.chain(first, rows), names)


# ---------------------------------------------------------------------------------------------- what Python has


def _of_rows(rows: Iterable[Any], names: Sequence[str]) -> Table:
    records: list[Row] = []
    for number, row in enumerate(rows):
        if isinstance(row, Mapping):
            records.append({str(name): value for name, value in row.items()})
        elif isinstance(row, (tuple, list)):
            known = names or [str(place) for place in range(len(row))]
            if len(row) != len(known):
                raise error(
                    "E0712",
                    f"row {number} of the data has {len(row)} values, but there are {len(known)} columns",
                    note=f"the columns are {', '.join(known)}",
                    help="give every row one value for each column, or rows as `{…}` with names",
                )
            records.append(dict(zip(known, row, strict=True)))
        else:
            raise _no_row(row, number, names)
    if not records:
        raise error("E0713", "the data have no rows", help="an iterator can be read only once: make a list of it")
    return Table(_gather(records), "the data")


def _no_row(row: Any, number: int, names: Sequence[str]) -> AttnError:
    shape = getattr(row, "shape", ())
    shown = f"an array of the shape {list(shape)}" if shape else f"`{str(row)[:60]}` ({type(row).__name__})"
    columns = ", ".join(f'"{name}": …' for name in names) or '"text": …, "label": …'
    ways = [f"give rows as `{{{columns}}}` or as `({', '.join(names) or 'text, label'})`"]
    if shape:
        ways.append(f"whole columns are a mapping: `{{{columns}}}` with an array for each")
    return error(
        "E0712", f"row {number} of the data is neither a mapping nor a tuple", note=f"it is {shown}", help=ways
    )


def _of_columns(columns: Mapping[Any, Any], origin: str) -> Table:
    """Columns as they are given, once their lengths agree."""
    found = {str(name): value if hasattr(value, "dtype") else list(value) for name, value in columns.items()}
    return _checked(found, origin)


def _checked(columns: dict[str, Column], origin: str, files: tuple[str, ...] = ()) -> Table:
    scalar = next((name for name, column in columns.items() if getattr(column, "ndim", 1) == 0), None)
    lengths = {name: len(column) for name, column in columns.items() if name != scalar}
    if scalar is not None or len(set(lengths.values())) > 1:
        listed = ", ".join(f"`{name}`: {length:,}" for name, length in lengths.items())
        what = f"`{scalar}` is a single value" if scalar is not None else "the columns are of different lengths"
        raise error(
            "E0718",
            f"{origin} is not a table: {what}",
            note=listed or (),
            help="every column has one entry for each row, along its first axis",
        )
    if not sum(lengths.values()):
        raise error("E0713", f"{origin} has no rows", help="give at least two: one to train on, and one to hold out")
    return Table({name: _straight(column) for name, column in columns.items()}, origin, files)


def _straight(column: Any) -> Column:
    """Texts as a list; pictures with their channels last (three or four of them, in bytes) with them first."""
    if not hasattr(column, "dtype"):
        if len(column) and all(hasattr(value, "dtype") and getattr(value, "ndim", 0) for value in column):
            shapes = {(value.shape, value.dtype.str) for value in column}
            return _straight(np.stack(list(column))) if len(shapes) == 1 else column
        values: Column = column
        return values
    if column.dtype.kind in "USO":
        return list(column.tolist())
    if column.ndim == 4 and column.dtype == np.uint8 and column.shape[-1] in (1, 3, 4) and column.shape[1] > 4:
        return np.ascontiguousarray(np.moveaxis(column, -1, 1))
    array: Array = column
    return array


def _gather(records: Sequence[Row]) -> dict[str, Column]:
    names = dict.fromkeys(name for record in records for name in record)
    return {name: _straight([record.get(name, MISSING) for record in records]) for name in names}


# ---------------------------------------------------------------------------------------------- paths


def _read_paths(paths: Sequence[str]) -> Table:
    tables = [table for path in paths for table in _at(path)]
    return _joined(tables, ", ".join(f"`{path}`" for path in paths))


def _at(path: str) -> Iterator[Table]:
    if path.startswith(EXAMPLE):
        from attndsl.data.examples import example_table

        yield example_table(path)
        return
    if not path:
        raise error("E0701", "the path to the data is empty", help=f"give a file, a folder or a glob: {_FORMS}")
    place = Path(path).expanduser()
    if place.is_dir():
        yield from _folder(place, path)
    elif place.exists():
        yield _file(place)
    elif glob.has_magic(path):
        found = [Path(name) for name in sorted(glob.glob(str(place), recursive=True)) if Path(name).is_file()]
        if not found:
            raise error(
                "E0701", f"no file matches `{path}`", help="quote the pattern; `**` stands for any number of folders"
            )
        pictures = [file for file in found if file.suffix.lower() in PICTURES]
        if pictures:
            yield _classes(pictures, [file.parent.name for file in pictures], path)
        yield from (_file(file) for file in found if file.suffix.lower() not in PICTURES)
    else:
        raise error("E0701", f"there is no file or folder `{path}`", help=beside(place, f"give {_FORMS}"))


def _folder(place: Path, path: str) -> Iterator[Table]:
    """The tables in a folder at any depth, and its pictures, whose class is the first folder on the way to them."""
    files: list[Path] = []
    with file_errors("read", path):
        for folder, folders, names in os.walk(place):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            files += [Path(folder, name) for name in sorted(names) if not name.startswith(".")]
    tables = [file for file in files if file.suffix.lower() in _READERS]
    pictures = [file for file in files if file.suffix.lower() in PICTURES]
    if not tables and not pictures:
        raise error("E0713", f"there are no records in the folder `{path}`", help=f"records come as {_FORMS}")
    yield from (_file(file) for file in tables)
    if pictures:
        yield _classes(pictures, [file.relative_to(place).parts[0] for file in pictures], path)


def _classes(pictures: Sequence[Path], labels: Sequence[str], path: str) -> Table:
    loose = next((file for file, label in zip(pictures, labels, strict=True) if label in (file.name, "")), None)
    if loose is not None:
        raise error(
            "E0718",
            f"the picture `{loose}` does not belong to a class",
            note=f"the class of a picture is the folder in `{path}` that holds it",
            help=f"put it into one: `{path}/cats/{loose.name}`",
        )
    files = tuple(map(str, pictures))
    places = np.stack([np.arange(len(files)), np.zeros(len(files), dtype=np.int64)], axis=1)
    return Table({"image": read_classes(pictures), "label": list(labels)}, f"`{path}`", files, places)


def _file(path: Path) -> Table:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        what = "is one picture" if path.suffix.lower() in PICTURES else "is not a table that can be read"
        raise error("E0718", f"`{path}` {what}", help=f"records come as {_FORMS}")
    with file_errors("read", path):
        return reader(path)


def _joined(tables: Sequence[Table], origin: str) -> Table:
    """The rows of several tables, one after the other."""
    if len(tables) == 1:
        return tables[0]
    columns: dict[str, Column] = {}
    for name in dict.fromkeys(name for table in tables for name in table.columns):
        parts = [table.columns.get(name, [MISSING] * len(table)) for table in tables]
        if all(hasattr(part, "dtype") for part in parts):
            columns[name] = _stacked(name, parts, tables)
        else:
            columns[name] = [value for part in parts for value in (part.tolist() if hasattr(part, "tolist") else part)]
    files = tuple(file for table in tables for file in (table.files or (table.origin.strip("`"),)))
    places, first = [], 0
    for table in tables:
        own = np.zeros((len(table), 2), dtype=np.int64) if table.places is None else table.places
        places.append(own + np.array([first, 0]))
        first += max(1, len(table.files))
    return Table(columns, origin, files, np.concatenate(places))


def _stacked(name: str, parts: Sequence[Any], tables: Sequence[Table]) -> Array:
    for part, table in zip(parts, tables, strict=True):
        if part.shape[1:] != parts[0].shape[1:] or (part.dtype != parts[0].dtype and part.ndim > 1):
            one, other = (f"{list(p.shape[1:])} of {p.dtype}" for p in (parts[0], part))
            raise error(
                "E0715",
                f"the column `{name}` is {one} in {tables[0].origin} and {other} in {table.origin}",
                help="convert all pictures to the same size and kind first",
            )
    return np.concatenate(parts)


# ---------------------------------------------------------------------------------------------- files


def _text(path: Path) -> str:
    """All of a text file. Raises E0703 where it is not one."""
    content = path.read_bytes()
    try:
        if b"\0" not in content:
            return content.decode("utf-8-sig")
        reason = "it has zero bytes"
    except UnicodeDecodeError as problem:
        reason = f"byte {problem.start:,}, in line {content.count(10, 0, problem.start) + 1:,}, is not UTF-8"
    raise error(
        "E0703",
        f"`{path}` is not a text file: {reason}",
        help=f"convert it first, for example `iconv -f latin1 -t utf-8 {path.name}`",
    )


def _json_lines(path: Path) -> Table:
    records: list[Row] = []
    lines: list[int] = []
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as problem:
            reason = problem.msg if isinstance(problem, json.JSONDecodeError) else str(problem)
            raise _bad_line(path, number, line, f"is not JSON: {reason}") from None
        if not isinstance(record, dict):
            raise _bad_line(path, number, line, "is not a JSON object")
        records.append(record)
        lines.append(number)
    return _of_lines(path, _gather(records), lines)


def _bad_line(path: Path, number: int, line: str, what: str) -> AttnError:
    start = line.strip()
    return error(
        "E0712",
        f"{path}:{number} {what}",
        note=f"it begins with `{start[:60]}`" if start else (),
        help='every line is an object with the columns by name: `{"text": "…", "label": "…"}`',
    )


def _of_lines(path: Path, columns: dict[str, Column], lines: Sequence[int]) -> Table:
    if not lines:
        raise error("E0713", f"`{path}` has no rows", help="give at least two: one to train on, and one to hold out")
    numbers = np.array(lines, dtype=np.int64)
    return Table(columns, f"`{path}`", (str(path),), np.stack([np.zeros_like(numbers), numbers], axis=1))


def _commas(path: Path) -> Table:
    return _separated(path, delimiter=",", strict=True)


def _tabs(path: Path) -> Table:
    """Between tabs everything is text, quotes too."""
    return _separated(path, delimiter="\t", quoting=csv.QUOTE_NONE)


def _separated(path: Path, **form: Any) -> Table:
    limit = csv.field_size_limit((1 << 31) - 1)  # a text may be long
    try:
        return _separated_rows(path, csv.reader(io.StringIO(_text(path), newline=""), **form))
    finally:
        csv.field_size_limit(limit)


def _separated_rows(path: Path, reader: Any) -> Table:
    header: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as problem:
            raise error(
                "E0712", f"{path}:{line} cannot be read: {problem}",
                help='a value with a comma, a quote or a new line goes in quotes: `"he said ""yes"""`',
            ) from None  # fmt: skip
        if row is None:
            break
        if not row or (row == [""] and len(header) != 1):
            continue
        if not header:
            header = [name.strip() for name in row]
            twice = next((name for place, name in enumerate(header) if name in header[:place]), None)
            if twice is not None or "" in header:
                what = "a column without a name" if "" in header else f"two columns `{twice}`"
                raise error("E0712", f"{path}:{line} names {what}", help="the first line names every column once")
        elif len(row) != len(header):
            raise error(
                "E0712",
                f"{path}:{line} has {_values(len(row))}, but the header names {_columns(len(header))}",
                note=f"the columns are {', '.join(header)}; the line begins with `{row[0][:60]}`",
                help="give every row a value for each column; it may be empty",
            )
        else:
            rows.append(row)
            lines.append(line)
    return _of_lines(path, {name: [row[place] for row in rows] for place, name in enumerate(header)}, lines)


def _values(count: int) -> str:
    return "1 value" if count == 1 else f"{count} values"


def _columns(count: int) -> str:
    return "1 column" if count == 1 else f"{count} columns"


def _archive(path: Path) -> Table:
    try:
        file = ArrayFile(str(path))
        columns: dict[str, Column] = {name: file.read(name) for name in file.stated}
    except AttnError as problem:
        raise error(
            "E0718",
            f"`{path}` is not an archive of arrays that can be read",
            note=problem.diagnostics[0].message,
            help="write it with `numpy.savez(path, image=…, label=…)`; arrays of Python objects are not read",
        ) from None
    return _checked(columns, f"`{path}`")


_READERS: Mapping[str, Callable[[Path], Table]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".csv": _commas,
    ".tsv": _tabs,
    ".npz": _archive,
}
