"""The runs that a path names: one, or all in a folder and the folders in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from attndsl.diagnostics import AttnError, Diagnostic, error
from attndsl.records import Frozen
from attndsl.runs.history import History, read_history
from attndsl.runs.log import FILE
from attndsl.runs.record import CHECKPOINTS, SPEC, WEIGHTS, is_run

DEEPEST = 4  # folders in folders
_LEFT = (CHECKPOINTS, FILE, SPEC, WEIGHTS)  # what tells the rest of a run from any other folder


class Unreadable(Frozen):
    """A folder that was a run once, and what is wrong with it."""

    folder: Path
    problem: Diagnostic


def find_runs(places: Sequence[str]) -> tuple[list[History], list[Unreadable]]:
    """The runs at the `places`, each a run or a folder with runs somewhere in it, each once and in the order of their
    names; and those that cannot be read. Raises E0732 for a place where there is neither."""
    histories: list[History] = []
    unreadable: list[Unreadable] = []
    seen: set[Path] = set()
    for place in places:
        found = [folder for folder in _folders(Path(place), DEEPEST) if folder.resolve() not in seen]
        if not found and Path(place).resolve() not in {each for one in seen for each in (one, *one.parents)}:
            what = "there are no training runs in it" if Path(place).is_dir() else "there is no such folder"
            if Path(place).is_file():
                what = "it is a file"
            raise error(
                "E0732", f"`{place}` has no runs to show: {what}",
                help=("name the folder of a run, or one with runs in it",
                      "`attndsl train SPEC --data PATH --out RUN` makes one"),
            )  # fmt: skip
        for folder in found:
            seen.add(folder.resolve())
            try:
                histories.append(read_history(folder))
            except AttnError as problem:
                unreadable.append(Unreadable(folder, problem.diagnostics[0]))
    return histories, unreadable


def _folders(place: Path, deep: int) -> Iterator[Path]:
    """The runs at a place, or in it; a run is not searched for others."""
    if is_run(place):
        yield place
        return
    if not place.is_dir():
        return
    inside = [each for each in place.iterdir() if each.is_dir() and not each.name.startswith(".")]
    if sum((place / name).exists() for name in _LEFT) > 1:
        yield place  # without its record
        return
    if deep:
        for each in sorted(inside, key=_natural):
            yield from _folders(each, deep - 1)


def _natural(path: Path) -> list[tuple[int, str]]:
    """For sorting: `run-2` before `run-10`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]
