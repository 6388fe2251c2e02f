"""Several runs side by side: what of them is alike, what differs, and how well each went.

Given histories; gives columns of plain values, which are shown as a table, written as JSON or CSV, sorted and filtered.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from attndsl.diagnostics import did_you_mean
from attndsl.inspection.table import quantity
from attndsl.records import Frozen
from attndsl.runs.history import History, differing
from attndsl.runs.texts import lettered

Value = Any
"""A number, a text, a boolean, a list of these, or None where a run has nothing to say."""


class Column(Frozen):
    """`value` is what a run has in it; `shown` writes that for people. Some are only written for programs."""

    name: str
    value: Callable[[History], Value]
    shown: Callable[[Value], str] = str
    for_people: bool = True

    def text(self, history: History) -> str:
        value = self.value(history)
        return "–" if value is None else self.shown(value)

    def is_numeric(self, histories: Sequence[History]) -> bool:
        values = [value for each in histories if (value := self.value(each)) is not None]
        return bool(values) and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


def columns_of(histories: Sequence[History]) -> list[Column]:
    """All that is known of runs, a column each; of the settings, people are shown those in which these runs differ."""
    alike = len({each.spec for each in histories}) < 2
    letters, names = lettered(histories), named(histories)
    shown = set(differing(histories))
    settings = dict.fromkeys(name for each in histories for name in each.settings)
    found = [
        Column("run", lambda each: names[each.folder]),
        Column("spec", lambda each: each.spec, for_people=not alike or len(histories) == 1),
        Column("text", lambda each: letters[each.folder], for_people=len({*letters.values()}) > 1),
        *(Column(name, _setting(name), written, name in shown) for name in settings),
        Column("parameters", lambda each: each.parameters, "{:,}".format),
        Column("step", lambda each: each.steps, "{:,}".format),
        Column("tokens", lambda each: each.total("tokens"), quantity, False),
        Column("FLOPs", lambda each: each.total("flops"), quantity),
        Column("seconds", lambda each: each.total("seconds"), "{:,.1f}".format, False),
        Column("tokens/s", lambda each: each.speed, "{:,.0f}".format),
        Column("best", lambda each: each.best[1] if each.best else None, "{:.4f}".format),
        Column("at step", lambda each: each.best[0] if each.best else None, "{:,}".format),
        Column("last", lambda each: each.last, "{:.4f}".format),
    ]
    taken = {column.name for column in found}
    metrics = {name: metric["kind"] for each in histories for name, metric in each.metrics.items()}
    found += [
        Column(name, _metric(name), _measured(kind), kind == "share")
        for name, kind in metrics.items()
        if name not in taken
    ]
    return [*found, Column("state", lambda each: each.state)]


def remarks(histories: Sequence[History]) -> list[str]:
    """What keeps losses from being held against each other: other data, other tokens, another question."""
    apart = [name for name in ("data", "held_out", "tokenizer", "batches") if name in differing(histories)]
    models = list(dict.fromkeys(each.spec for each in histories))
    found = []
    if len({each.model for each in histories}) > 1:
        found.append(f"these are runs of different models ({', '.join(models)}): hyperparameters are left out")
    if apart:
        what = " and ".join(f"`{name}`" for name in apart)
        found.append(f"these runs differ in {what}: their losses on held-out data are not of the same")
    return found


def named(histories: Sequence[History]) -> dict[Path, str]:
    """A short name for each: its folder below the one that all are in."""
    if len(histories) < 2:
        return {each.folder: str(each.folder) for each in histories}
    parts = {each.folder: each.folder.absolute().parts for each in histories}
    same = 0
    while all(len(its) > same + 1 for its in parts.values()) and len({its[same] for its in parts.values()}) == 1:
        same += 1
    return {folder: "/".join(its[same:]) for folder, its in parts.items()}


def _setting(name: str) -> Callable[[History], Value]:
    return lambda each: each.settings.get(name)


def _metric(name: str) -> Callable[[History], Value]:
    return lambda each: each.metrics[name]["value"] if name in each.metrics else None


def _measured(kind: str) -> Callable[[Value], str]:
    return (lambda value: f"{100 * value:.1f} %") if kind == "share" else "{:.4f}".format


def written(value: Value) -> str:
    """A setting as it is written behind `--set`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(written, value))}]"
    return str(value)


class Misasked(Exception):
    """A column or a condition that there is not, with the way out."""

    def __init__(self, message: str, *helps: str) -> None:
        super().__init__(message)
        self.message, self.helps = message, helps


def find_column(columns: Sequence[Column], name: str) -> Column:
    """The column called `name`. Raises `Misasked` where there is none."""
    known = {column.name: column for column in columns}
    if name not in known:
        shown = ", ".join(column.name for column in columns if column.for_people)
        near = did_you_mean(name, known)
        raise Misasked(f"no run has a column `{name}`", *(near or (f"there are: {shown}",)))
    return known[name]


def sort(histories: Sequence[History], columns: Sequence[Column], by: str) -> list[History]:
    """By a column, downwards with `-` before its name; what a run lacks comes last. Raises `Misasked`."""
    down = by.startswith("-")
    column = find_column(columns, by.removeprefix("-"))
    there = [each for each in histories if column.value(each) is not None]
    numeric = column.is_numeric(there)
    ordered = sorted(there, key=lambda each: column.value(each) if numeric else column.text(each), reverse=down)
    return [*ordered, *(each for each in histories if column.value(each) is None)]


_CONDITION = re.compile(r"\s*(-?[^<>=!]+?)\s*(<=|>=|!=|=|<|>)\s*(.*?)\s*", re.DOTALL)
_RELATIONS = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge
}  # fmt: skip


def keep(histories: Sequence[History], columns: Sequence[Column], condition: str) -> list[History]:
    """The runs of which `NAME=VALUE` holds, or another relation (`lr<=1e-3`, `state!=broken`). Raises `Misasked`."""
    match = _CONDITION.fullmatch(condition)
    if match is None:
        raise Misasked(f"`{condition}` is not a condition", "write one: `lr<=1e-3`, `state=finished`, `norm!=rms_norm`")
    name, sign, given = match.groups()
    column, relation = find_column(columns, name), _RELATIONS[sign]
    if column.is_numeric(histories):
        try:
            wanted = float(given)
        except ValueError:
            raise Misasked(f"`{name}` is a number, and `{given}` is none", f"for example `{name}{sign}0.5`") from None
        return [each for each in histories if (v := column.value(each)) is not None and relation(v, wanted)]
    if sign not in ("=", "!="):
        raise Misasked(f"`{name}` is not a number, and has no order", f"ask `{name}={given}` or `{name}!={given}`")
    return [each for each in histories if relation(column.text(each), given)]
