"""Where weights come from: one safetensors file, a folder that `save_pretrained` wrote, or one in several parts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attndsl.diagnostics import did_you_mean, error, first_of, quoted
from attndsl.lazy import Array
from attndsl.storage.safetensors import TensorEntry, TensorFile, parse_json, pickled, unreadable
from attndsl.storage.shards import INDEX, MOVING, WHOLE

NAMES = (WHOLE, INDEX, "weights.safetensors")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
LARGEST_JSON = 50_000_000
DOWNLOAD = "download the folder again, or write it again with `save_pretrained`"


class WeightsSource:
    """Open files, as one table of tensors. They are closed at the end of a `with`, or when nobody has it any more.
    `config` is the path of a `config.json` beside them."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Raises E0601 to E0604 where a file is missing, damaged or a pickle, E0611 where an index and its parts
        disagree."""
        self.path = Path(path)
        self.files: list[TensorFile] = []
        self.place: dict[str, TensorFile] = {}
        location = _locate(self.path)
        try:
            for part in _parts(location):
                self._open(part)
            if location.name.endswith(".index.json"):
                self._compare_with(weight_map(location), location)
        except BaseException:
            self.close()
            raise
        config = location.parent / "config.json"
        self.config = config if config.is_file() else None

    def _open(self, part: Path) -> None:
        file = TensorFile(part)
        self.files.append(file)
        for name in file.entries:
            if name in self.place:
                other = self.place[name].path
                message = f"{quoted(name)} is in two parts: {other.name} and {part.name}"
                raise error("E0611", message, help=DOWNLOAD)
            self.place[name] = file

    def _compare_with(self, index: Mapping[str, str], location: Path) -> None:
        for name, part in index.items():
            if name not in self.place or self.place[name].path.name != part:
                message = f"{location} says that {quoted(name)} is in {part}, but it is not there"
                raise error("E0611", message, help=DOWNLOAD)
        extra = sorted(self.place.keys() - index.keys())
        if extra:
            message = f"{self.place[extra[0]].path} has {quoted(extra[0])}, which {location.name} does not list"
            raise error("E0611", message, help=DOWNLOAD)

    def __enter__(self) -> WeightsSource:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        for file in self.files:
            file.close()

    @property
    def metadata(self) -> dict[str, str]:
        """What all files say of themselves."""
        first, *others = self.files
        return first.metadata if all(file.metadata == first.metadata for file in others) else {}

    @property
    def names(self) -> list[str]:
        return list(self.place)

    def entry(self, name: str) -> TensorEntry:
        return self.place[name].entries[name]

    def read(self, name: str) -> Array:
        return self.place[name].read(name)

    def stated(self, name: str) -> Array:
        """What `read` would give, of zeros that take no memory."""
        return self.place[name].stated(name)


def _locate(path: Path) -> Path:
    """The file to open first: a safetensors file, or the index of several."""
    try:
        if path.is_file():
            if path.suffix in PICKLES and path.stat().st_size and not _looks_safe(path):
                raise pickled(path)
            return path
        if not path.is_dir():
            beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
            helps = did_you_mean(path.name, beside) or "give a safetensors file, a run's folder, or a published folder"
            raise error("E0601", f"there are no weights at {path}: no such file or folder", help=helps)
        names = sorted(p.name for p in path.iterdir() if p.is_file())
    except (OSError, ValueError) as problem:
        raise unreadable(path, str(problem)) from None
    if MOVING in names and not {WHOLE, INDEX} & set(names):  # what else is there may have another's config
        help = "export into it again; what it was made from is as it was"
        raise error("E0601", f"an export into {path} was interrupted, and its files are of two exports", help=help)
    for name in NAMES:
        if name in names:
            return path / name
    single = [name for name in names if name.endswith(".safetensors")]
    if len(single) == 1:
        return path / single[0]
    if single:
        raise error(
            "E0601",
            f"{path} has several safetensors files and no {INDEX}",
            note=f"they are {first_of(single, 4)}",
            help=f"name one of them: {path / single[0]}",
        )
    for name in names:
        if name.endswith(PICKLES) and name != "training_args.bin":
            raise pickled(path / name)
    raise error("E0601", f"{path} has no weights in it", help=f"a folder of weights has {WHOLE} or {INDEX}")


def _looks_safe(path: Path) -> bool:
    with open(path, "rb") as stream:
        return stream.read(9)[8:] == b"{"


def _parts(location: Path) -> list[Path]:
    if not location.name.endswith(".index.json"):
        return [location]
    return [location.parent / name for name in sorted(set(weight_map(location).values()))]


def weight_map(location: Path) -> dict[str, str]:
    """Which file has which tensor, as an index says. Raises E0611."""
    index = read_json(location, "E0611")
    table = index.get("weight_map")
    if not isinstance(table, dict) or not table:
        raise error("E0611", f"{location} has no `weight_map`", help=DOWNLOAD)
    for name, part in table.items():
        if not isinstance(part, str) or Path(part).name != part or part in ("", ".", ".."):
            message = f"{location} does not say which file beside it has {quoted(name)}"
            raise error("E0611", message, help=DOWNLOAD)
        if not (location.parent / part).is_file():
            raise error("E0611", f"{part} is missing: {location.name} lists it", help=DOWNLOAD)
    return table


def read_json(path: Path, code: str) -> dict[str, Any]:
    """The object that a JSON file holds; a diagnostic with `code` where it cannot be read or holds something else."""
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise error(code, f"{path} is too large: more than {LARGEST_JSON // 1_000_000} MB", help=DOWNLOAD)
        value = parse_json(path.read_bytes())
    except OSError as problem:
        raise unreadable(path, problem.strerror, code) from None
    except ValueError as problem:
        raise error(code, f"{path} is not JSON: {str(problem)[:200]}", help=DOWNLOAD) from None
    if not isinstance(value, dict):
        raise error(code, f"{path} does not hold a JSON object", help=DOWNLOAD)
    return value
