"""Sweeps: one spec trained with several settings, and each of them with several seeds.

Given values for settings; gives a `Sweep`, a plan of runs that is known to be right before the first of them starts.
"""

from __future__ import annotations

import itertools
import json
import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attndsl.diagnostics import AttnError, Diagnostic, error
from attndsl.elaborate import Spec, elaborate, open_spec
from attndsl.elaborate.settings import Setting
from attndsl.graph import Graph
from attndsl.lints import lint
from attndsl.records import dataclass, replace
from attndsl.runs.record import SPEC, copy_spec
from attndsl.storage.refusals import file_errors
from attndsl.storage.whole import new_folder, write_json
from attndsl.training.bounds import Configured, configure
from attndsl.training.console import Console
from attndsl.training.data import CACHE, load_data
from attndsl.training.session import check_chosen, require_new

PLAN = "sweep.json"
FORMAT = 1
MOST = 10_000
"""Runs of a sweep: more is a mistake."""
_RANGE = re.compile(r"(log|uniform)\(\s*([^\s,]+)\s*,\s*([^\s,]+)\s*\)")


@dataclass(frozen=True, slots=True, eq=False)
class PlannedRun:
    """`name` is its folder in that of the sweep; `settings` what it has beside those that all have."""

    name: str
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Sweep:
    """`spec` is the copy that the runs are made of; `common` are settings of all; `axes` what varies, with its values
    as they are shown; `options` are further words of `attndsl train`."""

    folder: Path
    spec: str
    data: Sequence[str]
    common: Mapping[str, str]
    axes: Mapping[str, Sequence[str]]
    seeds: int
    runs: Sequence[PlannedRun]
    options: Sequence[str] = ()


def split_values(text: str) -> list[str]:
    """The values in `1e-3, 3e-4`; commas in brackets and quotes belong to a value (`[0.9, 0.95]`, `sgd(lr=1)`)."""
    values, depth, quote, begun = [], 0, "", 0
    for place, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == "," and depth == 0:
            values.append(text[begun:place].strip())
            begun = place + 1
    return [value for value in (*values, text[begun:].strip()) if value]


def combinations(values: Mapping[str, Sequence[str]], tries: int | None, seed: int = 0) -> list[dict[str, str]]:
    """Every combination of the values; or so many `tries`, drawn from them without repeating one. A value may be a
    range to draw from, `log(1e-4, 1e-2)` or `uniform(0, 0.5)`. Raises E0726 where nothing is to be drawn from a range,
    and for more than `MOST`."""
    ranged = [name for name, its in values.items() if any(map(_RANGE.fullmatch, its))]
    if tries is None:
        if ranged:
            raise error(
                "E0726", f"`{ranged[0]}` is a range, and a grid has no end of its values",
                help="say how many to draw: `--random 20`, or name the values",
            )  # fmt: skip
        count = math.prod(len(its) for its in values.values())
        if count > MOST:
            raise error("E0726", f"the grid has {count:,} combinations", help="draw some of them: `--random 20`")
        return [dict(zip(values, each, strict=True)) for each in itertools.product(*values.values())]
    draw, found = random.Random(seed), dict[tuple[str, ...], None]()
    for _ in range(20 * tries):  # a small grid may have no more than were drawn already
        if len(found) < tries:
            found.setdefault(tuple(_drawn(draw.choice(its), draw) for its in values.values()))
    return [dict(zip(values, each, strict=True)) for each in found]


def _drawn(value: str, draw: random.Random) -> str:
    match = _RANGE.fullmatch(value)
    if match is None:
        return value
    try:
        low, high = float(match[2]), float(match[3])
        logarithmic = match[1] == "log"
        if not low < high or (logarithmic and low <= 0):
            raise ValueError
    except ValueError:
        raise error(
            "E0726", f"`{value}` is not a range", help="write `log(1e-4, 1e-2)` (above zero) or `uniform(0, 0.5)`"
        ) from None
    drawn = math.exp(draw.uniform(math.log(low), math.log(high))) if logarithmic else draw.uniform(low, high)
    return f"{drawn:.3g}"


def plan(
    spec: str,
    data: Sequence[str],
    folder: Path,
    values: Mapping[str, Sequence[str]],
    *,
    seeds: int = 1,
    tries: int | None = None,
    options: Sequence[str] = (),
    console: Console,
) -> Sweep:
    """Make the folder of a new sweep. All combinations are checked first: names, values, the model that they give, its
    recipe, the data. Raises what is wrong with any of them, E0726, E0731; nothing is written then."""
    require_new(folder)
    common = {name: its[0] for name, its in values.items() if len(its) == 1 and not _RANGE.fullmatch(its[0])}
    axes = {name: its for name, its in values.items() if name not in common}
    if seeds > 1 and "seed" in values:
        raise error(
            "E0726", "`--seeds` and `--set seed=…` both say which seeds there are", help="leave one of them out"
        )
    found = combinations(axes, tries)
    if len(found) * seeds > MOST:
        raise error("E0726", f"these are {len(found) * seeds:,} runs", help=f"a sweep has {MOST:,} at most")
    opened = open_spec(spec)
    made = check_all(opened, common, found)
    with file_errors("create", folder), new_folder(folder) as staging:
        load_data(list(data), made[0].recipe, staging / CACHE, console.say)  # which the runs find there
        kept = copy_spec(opened, staging / SPEC)
        runs = _runs(found, seeds)
        sweep = Sweep(folder, _kept(folder, kept), list(data), common, axes, seeds, runs, list(options))
        write_json(staging / PLAN, _to_json(sweep, kept))
    return sweep


def _runs(found: Sequence[Mapping[str, str]], seeds: int) -> list[PlannedRun]:
    each = [{**settings, **({"seed": str(seed)} if seeds > 1 else {})} for settings in found for seed in range(seeds)]
    names: dict[str, int] = {}
    runs = []
    for settings in each:
        plain = "_".join(f"{name}={value}" for name, value in settings.items()) or "run"
        name = re.sub(r"[^\w.=+-]+", "-", re.sub(r"[\s\[\](){}'\"]", "", plain))[:100].strip("-.")
        names[name] = names.get(name, 0) + 1
        runs.append(PlannedRun(name if names[name] == 1 else f"{name}_{names[name]}", settings))
    return runs


def _kept(folder: Path, kept: Mapping[str, Any]) -> str:
    return f"{folder / SPEC / kept['file']}:{kept['variant'] or kept['model']}"


def check_all(spec: Spec, common: Mapping[str, str], found: Sequence[Mapping[str, str]]) -> list[Configured]:
    """The model and the recipe of each combination. Every mistake is told once, with the first combination that has it;
    raises `AttnError` with all of them."""
    graphs: dict[tuple[tuple[str, str], ...], Graph] = {}

    def elaborated(spec: Spec, settings: Mapping[str, Setting]) -> Graph:
        """Most combinations differ in their recipes alone."""
        key = tuple((name, str(value)) for name, value in sorted(settings.items()))
        if key not in graphs:
            graphs[key] = elaborate(spec, settings)
            lint(spec, graphs[key], settings)
        return graphs[key]

    made: list[Configured] = []
    problems: dict[tuple[str, str], tuple[Diagnostic, list[Mapping[str, str]]]] = {}
    for settings in found:
        try:
            configured = configure(spec, {**common, **settings}, elaborated=elaborated)
            check_chosen(spec, configured)
            made.append(configured)
        except AttnError as problem:
            for each in problem.diagnostics:
                problems.setdefault((each.code, each.message), (each, []))[1].append(settings)
    if problems:
        raise AttnError(*(_told(each, where, len(found)) for each, where in problems.values()))
    return made


def _told(problem: Diagnostic, where: Sequence[Mapping[str, str]], of: int) -> Diagnostic:
    first = ", ".join(f"{name}={value}" for name, value in where[0].items())
    if len(where) == of or not first:
        return problem
    others = f" and {len(where) - 1:,} of the other {of - 1:,} combinations" if len(where) > 1 else ""
    return replace(problem, notes=(*problem.notes, f"with {first}{others}"))


# ---------------------------------------------------------------------------------------------- the plan as a file


def _to_json(sweep: Sweep, kept: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "spec": dict(kept),
        "data": [each if each.startswith("example:") else str(Path(each).absolute()) for each in sweep.data],
        "common": dict(sweep.common),
        "axes": {name: list(values) for name, values in sweep.axes.items()},
        "seeds": sweep.seeds,
        "options": list(sweep.options),
        "runs": [{"name": run.name, "settings": dict(run.settings)} for run in sweep.runs],
    }


def open_sweep(folder: Path) -> Sweep:
    """The plan in the folder of a sweep. Raises E0732 where there is none, or it is damaged."""
    path = folder / PLAN
    if not path.is_file():
        raise error(
            "E0732", f"`{folder}` is not a sweep: it has no `{PLAN}`",
            help="`attndsl sweep SPEC --data PATH --set lr=1e-3,1e-4 --out FOLDER` makes one",
        )  # fmt: skip
    with file_errors("read", path):
        text = path.read_text(encoding="utf-8", errors="replace")
    try:
        plain = json.loads(text)
        if plain["format"] != FORMAT:
            raise ValueError
        runs = [PlannedRun(str(each["name"]), dict(each["settings"])) for each in plain["runs"]]
        spec = _kept(folder, plain["spec"])
        return Sweep(
            folder, spec, plain["data"], plain["common"], plain["axes"], int(plain["seeds"]), runs, plain["options"]
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise error(
            "E0732",
            f"`{path}` is damaged, or of another version",
            help="restore it from a copy, or start another sweep",
        ) from None


def commands(sweep: Sweep, run: PlannedRun) -> Iterator[str]:
    """What `attndsl train` is told to begin a run of the sweep."""
    yield from (sweep.spec, "--data", *sweep.data, "--out", str(sweep.folder / run.name), *sweep.options)
    for name, value in {**sweep.common, **run.settings}.items():
        yield from ("--set", f"{name}={value}")
