"""Sweeps: one spec trained with several settings, and each of them with several seeds.

Given values for settings; gives a `Sweep`, a plan of runs that is known to be right before the first of them starts.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attndsl.diagnostics import AttnError, Diagnostic, error
from attndsl.elaborate import Spec, elaborate, open_spec
from attndsl.elaborate.settings import Setting
from attndsl.graph import Graph
from attndsl.lints import lint
from attndsl.records import Frozen, replace
from attndsl.running import backends
from attndsl.runs.record import SPEC, copy_spec
from attndsl.storage.refusals import file_errors
from attndsl.storage.whole import new_folder, write_json
from attndsl.training.body import TrainedBody, open_body
from attndsl.training.bounds import Configured, configure
from attndsl.training.console import Console
from attndsl.training.data import CACHE, load_data
from attndsl.training.grid import MOST, combinations, is_range, require_apart
from attndsl.training.logs import require_logs
from attndsl.training.session import check_chosen, require_new

PLAN = "sweep.json"
FORMAT = 1


class PlannedRun(Frozen, eq=False):
    """`name` is its folder in that of the sweep; `settings` what it has beside those that all have."""

    name: str
    settings: Mapping[str, str]


class Sweep(Frozen):
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


def default_folder(spec: str) -> Path:
    """Where a sweep of the spec of this name is written."""
    return Path("runs") / f"{spec.replace(':', '-').rpartition('/')[2].removesuffix('.attn')}-sweep"


def plan(
    spec: str | Spec,
    data: Any,
    folder: Path,
    values: Mapping[str, Sequence[str]],
    *,
    seeds: int = 1,
    tries: int | None = None,
    weights: str | os.PathLike[str] | None = None,
    backend: str | None = None,
    device: str | None = None,
    compile: bool = False,
    logs: Sequence[str] = (),
    console: Console,
) -> Sweep:
    """Make the folder of a new sweep: of files of `data`, since each run is a process of its own. All combinations are
    checked first: names, values, the model that they give, its recipe, the weights to begin from, the data. Raises what
    is wrong with any of them, E0726, E0731; nothing is written then."""
    _require_no_sweep(folder)
    require_new(folder)
    require_logs(logs)
    files = [data] if isinstance(data, (str, os.PathLike)) else list(data)
    if not all(isinstance(each, (str, os.PathLike)) for each in files):
        raise error(
            "E0726", "a sweep reads its data from files, and these are Python's",
            help="write them to a table, .jsonl or .npz, and give its path: each run is a process of its own",
        )  # fmt: skip
    if backend is not None or device is not None or compile:
        backends.chosen(backend).require(device=device, compile=compile)
    require_apart(values)
    common = {name: its[0] for name, its in values.items() if len(its) == 1 and not is_range(its[0])}
    axes = {name: its for name, its in values.items() if name not in common}
    if seeds > 1 and "seed" in values:
        raise error(
            "E0726", "`--seeds` and `--set seed=…` both say which seeds there are", help="leave one of them out"
        )
    found = combinations(axes, tries)
    if len(found) * seeds > MOST:
        raise error("E0726", f"these are {len(found) * seeds:,} runs", help=f"a sweep has {MOST:,} at most")
    opened = spec if isinstance(spec, Spec) else open_spec(spec)
    made = check_all(opened, common, found, weights)
    first = {**common, **found[0]}
    recipe, tokenizer = _body(weights, opened, first).tokenizer_for(made[0].recipe, first)
    with file_errors("create", folder), new_folder(folder) as staging:
        paths = [os.fspath(each) for each in files]
        load_data(paths, recipe, staging / CACHE, console.say, tokenizer)  # which the runs find there
        kept = copy_spec(opened, staging / SPEC)
        options = _options(weights, backend, device, compile, logs)
        sweep = Sweep(folder, _kept(folder, kept), paths, common, axes, seeds, _runs(found, seeds), options)
        write_json(staging / PLAN, _to_json(sweep, kept))
    return sweep


def _require_no_sweep(folder: Path) -> None:
    if (folder / PLAN).is_file():
        raise error(
            "E0731", f"`{folder}` already holds a sweep",
            help=(f"resume it: `attndsl sweep --resume {folder}`", "or start another with a different `--out`"),
        )  # fmt: skip


def _options(
    weights: str | os.PathLike[str] | None, backend: str | None, device: str | None, compile: bool, logs: Sequence[str]
) -> list[str]:
    """What each run is told beside its data and settings."""
    options = [f"--{name}={value}" for name, value in (("backend", backend), ("device", device)) if value is not None]
    options += [f"--weights={Path(weights).absolute()}"] if weights is not None else []
    options += [f"--log={form}" for form in logs]
    return [*options, "--compile"] if compile else options


def _body(weights: str | os.PathLike[str] | None, spec: Spec, settings: Mapping[str, Setting]) -> TrainedBody:
    return open_body(weights, spec, settings) if weights is not None else TrainedBody()


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


def check_all(
    spec: Spec,
    common: Mapping[str, str],
    found: Sequence[Mapping[str, str]],
    weights: str | os.PathLike[str] | None = None,
) -> list[Configured]:
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
            given = {**common, **settings}
            configured = configure(spec, given, _body(weights, spec, given).settings, elaborated)
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
