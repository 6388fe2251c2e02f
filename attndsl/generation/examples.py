"""Examples for a trained model: what a user typed, or the rows of a file, as the run's objective takes them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attndsl.diagnostics import AttnError, error
from attndsl.lazy import Array, np
from attndsl.storage.arrays import ArrayFile

if TYPE_CHECKING:
    from attndsl.runs.run import Run

_TABLES = (".jsonl", ".ndjson", ".csv", ".tsv", ".npz")


def takes_pictures(run: Run) -> bool:
    return run.recipe.objective.about.sees()


def typed_examples(run: Run, texts: Sequence[str], pair: str | None = None) -> list[Any]:
    """Texts; with `pair` (the second text), one pair. Raises E0749 where the run's model takes something else."""
    if not run.recipe.objective.about.reads_texts():
        raise error(
            "E0749",
            "this model takes pictures, not texts",
            help="give a file: `--image FILE`, or several with `--data`",
        )
    if pair is None:
        return list(texts)
    objective = run.recipe.objective
    if not objective.about.takes_pairs:
        raise error(
            "E0749",
            f"a model that was trained with `{objective.kind}` takes one text, not a pair",
            help="leave out --pair",
        )
    if len(texts) != 1:
        raise error("E0749", f"there is one --pair, and {len(texts)} texts", help="give one --text with it, or --data")
    return [(texts[0], pair)]


def pictures(run: Run, paths: Sequence[str | os.PathLike[str]]) -> list[Array]:
    """Pictures from files, `[channels, height, width]` each: a PNG, JPEG, …, brought to the model's channels, or one or
    several arrays in an .npz under the name `image`. Raises E0749 where the run's model takes no pictures, and what
    `read_image` raises."""
    if not takes_pictures(run):
        raise error("E0749", "this model takes texts, not pictures", help='give a text: `--text "…"`')
    found: list[Array] = []
    for path in paths:
        if Path(path).suffix.lower() == ".npz":
            found += _archived(run, path)
        else:
            found.append(_picture(run, path))
    return found


def _picture(run: Run, path: str | os.PathLike[str]) -> Array:
    from attndsl.data.images import read_image

    channels = next(i for i in run.graph.inputs if i.name == run.recipe.objective.roles["image"]).value.type.axes[1]
    mode = {1: "L", 3: "RGB", 4: "RGBA"}.get(int(channels.size.known(run.graph.sizes) or 0))
    return read_image(path, mode)


def _archived(run: Run, path: str | os.PathLike[str]) -> list[Array]:
    from attndsl.data.table import read_table

    column = str(run.recipe.objective.options["image"])
    try:
        table = read_table(path)
    except AttnError as problem:
        single = _single(path, column)  # `label=3` beside one picture is not a table
        if single is None:
            raise problem
        return [single]
    array = np.asarray(table.require(column))
    return [array] if array.ndim == 2 or (array.ndim == 3 and _is_channels(run, len(array))) else list(array)


def _single(path: str | os.PathLike[str], column: str) -> Array | None:
    file = ArrayFile(os.fspath(path))
    return file.read(column) if column in file.stated and file.stated[column].ndim in (2, 3) else None


def _is_channels(run: Run, count: int) -> bool:
    """Whether the first axis of a picture may be that of its channels."""
    channels = next(i for i in run.graph.inputs if i.name == run.recipe.objective.roles["image"]).value.type.axes[1]
    return channels.size.known(run.graph.sizes) == count


def read_examples(run: Run, path: str) -> list[Any]:
    """The examples in a file: each line of a text, or each row of a table (`.jsonl`, `.csv`, `.tsv`, `.npz`, a folder
    of pictures by class, `example:NAME`), of which the columns are taken that the run was trained on. Raises what
    `read_table` raises: E0701, E0703, E0711 (a column is missing) to E0719."""
    if path.startswith("example:") or Path(path).is_dir() or Path(path).suffix.lower() in _TABLES:
        return _rows(run, path)
    if takes_pictures(run):
        return list(pictures(run, [path]))
    place = Path(path)
    if not place.exists():
        from attndsl.data.sources import beside

        raise error("E0701", f"there is no file `{path}`", help=beside(place, "give a text, or a table"))
    from attndsl.storage.refusals import file_errors

    with file_errors("read", place):
        content = place.read_bytes()
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as problem:
        raise error(
            "E0703", f"`{path}` is not a text file: byte {problem.start:,} is not UTF-8",
            help=f"convert it first, for example `iconv -f latin1 -t utf-8 {place.name}`",
        ) from None  # fmt: skip
    found = [line for line in lines if line.strip()]
    if not found:
        raise error("E0702", f"`{path}` has no line with text", help="write one example on each line")
    return found


def _rows(run: Run, path: str) -> list[Any]:
    from attndsl.data.table import read_table

    objective = run.recipe.objective
    return objective.about.examples_of(objective, read_table(path))
