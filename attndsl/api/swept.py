"""Sweeps as objects: what `Model.sweep` gives, and `attndsl.open_sweep` reads again."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attndsl.api.frames import Columns, as_frame
from attndsl.lazy import Array, np

if TYPE_CHECKING:
    from attndsl.api.trained import TrainedModel
    from attndsl.elaborate import Spec
    from attndsl.runs.history import History
    from attndsl.runs.spread import Seeds
    from attndsl.training.sweep import Sweep

    Path_ = str | os.PathLike[str]


def open_sweep(path: Path_) -> SweptModel:
    """The sweep in the folder at `path`, which `Model.sweep` or `attndsl sweep` began, with the runs that are finished.
    Raises E0732 where there is none."""
    from attndsl.training import sweep

    return SweptModel(sweep.open_sweep(Path(path)))


def sweep(
    spec: Spec,
    data: Any,
    out: Path_ | None,
    settings: Mapping[str, Any],
    *,
    seeds: int,
    random: int | None,
    jobs: int,
    weights: Path_ | None,
    backend: str | None,
    device: str | None,
    compile: bool,
    log: Sequence[str],
    quiet: bool,
) -> SweptModel:
    """See `Model.sweep`."""
    from attndsl.api.trained import console
    from attndsl.training.grid import as_values
    from attndsl.training.sweep import default_folder, plan

    values = {name: as_values(value) for name, value in settings.items()}
    made = plan(
        spec, data, Path(out) if out is not None else default_folder(spec.name), values, seeds=seeds, tries=random,
        weights=weights, backend=backend, device=device, compile=compile, logs=log, console=console(quiet),
    )  # fmt: skip
    return SweptModel(made).resume(jobs=jobs, quiet=quiet)


class SweptModel(Columns):
    """The runs of a sweep, those of one combination of settings taken together over their seeds: arrays of one length,
    a place for each combination. There is one for each setting that varies (`"lr"`: numbers as float64, all else as
    objects), `"runs"`, int64, the number of finished runs, and float64 for what was measured: `"last"`, the last loss
    on held-out data, `"best"`, `"tokens/s"`, each metric and all else that `attndsl sweep --json` has: the mean over
    the seeds, with their standard deviation as `"last.deviation"` (NaN for a single one). A notebook shows it as a
    table.
    """

    failed: Mapping[str, str]
    """The runs that failed when they were trained here, by their names, with the reasons."""

    def __init__(self, sweep: Sweep, failed: Mapping[str, str] | None = None) -> None:
        self._sweep = sweep
        self.failed = failed or {}

    @property
    def folder(self) -> Path:
        return self._sweep.folder

    @property
    def is_finished(self) -> bool:
        """Whether every run of it is; `resume` trains those that are not."""
        return len(self.histories) == len(self._sweep.runs)

    @cached_property
    def histories(self) -> list[History]:
        """The finished runs as they were recorded, in the order of the sweep."""
        from attndsl.training.sweeping import finished

        return finished(self._sweep)

    @cached_property
    def _groups(self) -> list[Seeds]:
        from attndsl.runs.spread import by_settings

        return by_settings(self.histories)

    def _made(self) -> dict[str, Array]:
        from attndsl.runs.spread import columns

        return {name: _array(name, values) for name, values in columns(self._groups).items()}

    @property
    def verdict(self) -> str:
        """Which settings are the best, and from which others they differ by more than the seeds do."""
        from attndsl.runs.spread import verdict

        return verdict(self._groups)

    def best(self) -> TrainedModel | None:
        """The model of the run with the lowest last loss on held-out data; None where no run has one."""
        from attndsl.api.trained import open_run

        measured = [each for each in self.histories if each.last is not None]
        return open_run(min(measured, key=lambda each: each.last or 0.0).folder) if measured else None

    def runs(self) -> list[TrainedModel]:
        """The models of all finished runs, in the order of the sweep."""
        from attndsl.api.trained import open_run

        return [open_run(each.folder) for each in self.histories]

    def resume(self, *, jobs: int = 1, quiet: bool = False) -> SweptModel:
        """Train the runs that are not finished, `jobs` at a time."""
        from attndsl.api.trained import console
        from attndsl.training.sweeping import run_sweep

        told = console(quiet)
        progress = run_sweep(self._sweep, jobs, told)
        if progress.interrupted:
            told.say(f"stopped; to go on: `attndsl.open_sweep({str(self.folder)!r}).resume()`")
        return SweptModel(self._sweep, progress.failed)

    def frame(self) -> Any:
        """The same as a `pandas.DataFrame`, with the settings as its index. Raises E0708 where pandas is not
        installed."""
        names = list(self._groups[0].settings) if self._groups else []
        return as_frame(self, names, "a table of the sweep", 'sweep["last"]')

    def __repr__(self) -> str:
        done = f"{len(self.histories)} of {len(self._sweep.runs)} runs"
        return f"<attndsl.SweptModel {self.folder} · {done} · {', '.join(self._sweep.axes) or 'seeds'}>"

    def __str__(self) -> str:
        """The table that `attndsl sweep` prints, and its verdict."""
        from attndsl.runs.spread import table
        from attndsl.tables import aligned

        headings, rows, numeric = table(self._groups)
        return "\n".join([repr(self), *aligned(headings, rows, numeric), *([self.verdict] if self.verdict else [])])

    def _repr_html_(self) -> str:
        from attndsl.runs.plot import html_table
        from attndsl.runs.spread import table

        head = f"<b>{escape(str(self.folder))}</b> · {len(self.histories)} of {len(self._sweep.runs)} runs"
        headings, rows, _ = table(self._groups)
        return f"<div>{head}{html_table(headings, rows) if rows else ''}{escape(self.verdict)}</div>"


def _array(name: str, values: Sequence[Any]) -> Array:
    if name == "runs":
        return np.array(values, dtype=np.int64)
    if all(value is None or (isinstance(value, (int, float)) and not isinstance(value, bool)) for value in values):
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    found = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):  # lists stay elements
        found[place] = value
    return found
