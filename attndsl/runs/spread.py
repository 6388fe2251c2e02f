"""Runs that differ in their seeds alone, taken together: means, how far the seeds lie apart, and which differences
between settings are larger than that."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from attndsl.records import Frozen
from attndsl.runs.history import History, differing
from attndsl.runs.overview import Column, columns_of, written

SEED = "seed"
HELD_OUT = "last"
"""The column by which settings are judged: the last loss on held-out data."""
MOST = 5  # settings that are named in a sentence


class Spread(Frozen):
    """Of several numbers: their mean, and their standard deviation (with n - 1; None for a single one)."""

    mean: float
    deviation: float | None
    count: int

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        deviation = statistics.stdev(values) if len(values) > 1 else None
        return Spread(statistics.fmean(values), deviation, len(values))

    def shown(self, column: Column) -> str:
        if self.deviation is None:
            return column.shown(self.mean)
        return f"{column.shown(self.mean)} ± {column.shown(self.deviation)}"


class Seeds(Frozen):
    """The runs of the same `settings`, of those in which the others differ."""

    settings: dict[str, object]
    runs: tuple[History, ...]

    @property
    def name(self) -> str:
        return ", ".join(f"{name}={written(value)}" for name, value in self.settings.items()) or "all runs"

    def spread(self, column: Column) -> Spread | None:
        """Of a column with numbers over the runs that have it; None where none has."""
        values = [value for each in self.runs if (value := column.value(each)) is not None]
        return Spread.of(values) if values else None


def by_settings(histories: Sequence[History]) -> list[Seeds]:
    """The runs by all in which they differ beside their seeds, in their order."""
    names = [name for name in differing(histories) if name != SEED]
    groups: dict[str, tuple[dict[str, object], list[History]]] = {}
    for each in histories:
        settings = {name: each.settings.get(name) for name in names}
        groups.setdefault(repr(settings), (settings, []))[1].append(each)
    return [Seeds(settings, tuple(runs)) for settings, runs in groups.values()]


def table(groups: Sequence[Seeds]) -> tuple[list[str], list[list[str]], list[str]]:
    """Headings, rows and which headings are of numbers: the settings, the number of runs, then mean and spread of the
    losses and the metrics that people are shown."""
    histories = [each for group in groups for each in group.runs]
    names = list(groups[0].settings) if groups else []
    measured = [each for each in columns_of(histories) if _is_measured(each, histories)]
    rows = [
        [
            *(written(group.settings[name]) for name in names),
            str(len(group.runs)),
            *(found.shown(each) if (found := group.spread(each)) else "–" for each in measured),
        ]
        for group in groups
    ]
    heads = [*names, "runs", *(each.name for each in measured)]
    return heads, rows, heads[len(names) :]


def _is_measured(column: Column, histories: Sequence[History]) -> bool:
    of_metrics = {name for each in histories for name in each.metrics}
    shown = column.name in ("best", HELD_OUT, "tokens/s") or (column.for_people and column.name in of_metrics)
    return shown and column.is_numeric(histories)


def to_json(groups: Sequence[Seeds]) -> list[dict[str, Any]]:
    """Each group with mean, standard deviation and number of runs of everything that is a number."""
    histories = [each for group in groups for each in group.runs]
    settings = {name for each in histories for name in each.settings}
    columns = [each for each in columns_of(histories) if each.name not in settings and each.is_numeric(histories)]
    found = []
    for group in groups:
        spreads = {each.name: its for each in columns if (its := group.spread(each)) is not None}
        numbers = {name: {"mean": s.mean, "deviation": s.deviation, "runs": s.count} for name, s in spreads.items()}
        found.append({"settings": group.settings, "runs": [str(each.folder) for each in group.runs],
                      "numbers": numbers})  # fmt: skip
    return found


def columns(groups: Sequence[Seeds]) -> dict[str, list[Any]]:
    """The same as columns of one length, a row for each group: its settings, the number of its `runs`, and of each
    number the mean (`last`) and the standard deviation (`last.deviation`); None where there is none."""
    plain = to_json(groups)
    settings = dict.fromkeys(name for each in groups for name in each.settings)
    numbers = dict.fromkeys(name for each in plain for name in each["numbers"])
    found: dict[str, list[Any]] = {name: [each.settings[name] for each in groups] for name in settings}
    found["runs"] = [len(each.runs) for each in groups]
    for name in numbers:
        its = [each["numbers"].get(name, {}) for each in plain]
        found |= {
            name: [each.get("mean") for each in its],
            f"{name}.deviation": [each.get("deviation") for each in its],
        }
    return found


def verdict(groups: Sequence[Seeds]) -> str:
    """Which settings are the best, and from which others they differ by more than the seeds do: by more than the sum of
    the two standard deviations, so that mean ± deviation of the two do not meet."""
    histories = [each for group in groups for each in group.runs]
    column = next(each for each in columns_of(histories) if each.name == HELD_OUT)
    judged = [(group, its) for group in groups if (its := group.spread(column)) is not None]
    if len(judged) < 2:
        return ""
    (best, lowest), *others = sorted(judged, key=lambda each: each[1].mean)
    head = f"Lowest on held-out data: {best.name} ({lowest.shown(column)})."
    if any(its.deviation is None for _, its in judged):
        return f"{head} With one seed for each nothing says how far equal settings lie apart: `--seeds 3` does."
    larger: list[str] = []
    within: list[str] = []
    for group, its in others:
        apart, spread = its.mean - lowest.mean, (its.deviation or 0.0) + (lowest.deviation or 0.0)
        (larger if apart > spread else within).append(f"{group.name} (by {apart:.4f}, spread {spread:.4f})")
    said = [f"Above it by more than the spread over seeds: {_listed(larger)}."] if larger else []
    said += [f"Within the spread over seeds: {_listed(within)}."] if within else []
    return " ".join((head, *said))


def _listed(names: Sequence[str]) -> str:
    more = f"; and {len(names) - MOST} more" if len(names) > MOST else ""
    return "; ".join(names[:MOST]) + more
