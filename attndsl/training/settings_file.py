"""Settings from a file: TOML, with hyperparameters and the recipe's keys by the names that `--set` has for them, or the
record of a run, whose settings are given back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attndsl.diagnostics import error
from attndsl.elaborate.settings import Setting
from attndsl.recipe.flat import as_settings
from attndsl.runs.record import RECORD, is_run, open_record
from attndsl.storage.refusals import file_errors


def read_settings(path: str | Path) -> dict[str, Setting]:
    """The settings in a file, or those of the run in a folder or of its `run.json`; a table of TOML is a group of
    settings (`[batches]`, `share = 0.2`). Raises E0725 where there are none to read, E0732 for a damaged record."""
    place = Path(path)
    if place.name == RECORD:
        place = place.parent
    if is_run(place):
        record = open_record(place)
        given = record.facts.get("given", {})  # the others were decided by the data
        model = {name: value for name, value in record.settings.items() if name in given}
        recipe: dict[str, Any] = as_settings(record.facts["recipe"])
        return {**model, **recipe}
    return flat(read_toml(place), place)


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file says. Raises E0725 where it is none, E0705 where it cannot be read."""
    import tomllib

    if path.is_dir():
        raise error("E0725", f"`{path}` is a folder without a run", help="name a file, or the folder of a run")
    with file_errors("read", path):
        data = path.read_bytes()
    try:
        return tomllib.loads(data.decode("utf-8"))
    except ValueError as problem:
        raise error(
            "E0725", f"`{path}` is not TOML: {str(problem)[:1].lower()}{str(problem)[1:]}",
            help="a setting is a line `lr = 3e-4`; texts stand in quotes: `norm = \"rms_norm\"`",
        ) from None  # fmt: skip


def flat(table: Mapping[str, Any], path: Path) -> dict[str, Setting]:
    """The settings of a table and of the tables in it, each by its whole name. Raises E0725 for a value that no setting
    has."""
    return dict(_flat(table, path, ""))


def _flat(table: Mapping[str, Any], path: Path, before: str) -> Iterator[tuple[str, Setting]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, path, f"{before}{name}.")
        elif is_setting(value):
            yield before + name, value
        else:
            raise error(
                "E0725", f"`{before}{name}` in `{path}` is no setting: {value}",
                help="a setting is a number, a text in quotes, true, false, or a list of these",
            )  # fmt: skip


def is_setting(value: object) -> bool:
    if isinstance(value, list):
        return all(map(is_setting, value))
    return isinstance(value, (bool, int, float, str))
