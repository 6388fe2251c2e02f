"""What a run's folder says of its training: the one record that tables, plots, sweeps and notebooks read.

Only JSON and text are read, never weights: a folder of many runs is read in a moment.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from attndsl.diagnostics import error
from attndsl.recipe.flat import as_settings
from attndsl.records import dataclass
from attndsl.runs.lock import is_locked
from attndsl.runs.log import FILE, Line, numbers, read_log
from attndsl.runs.record import RECORD, SPEC, WEIGHTS, Record, open_record, require_there
from attndsl.storage.refusals import file_errors

RUNNING, FINISHED, STOPPED, BROKEN = "running", "finished", "stopped", "broken"
STATES = (RUNNING, FINISHED, STOPPED, BROKEN)
HELD_OUT = ("held_out_cross_entropy", "held_out")
"""How well the answers of held-out data are said, where an output says them, else what was minimised."""

MAY_LACK = ("rates.", "scheduled.", "special.")
"""Groups of settings of which a recipe has as many as it likes."""

Points = list[tuple[int, float]]


@dataclass(frozen=True, eq=False)
class History:
    """A run as it was recorded. `lines` is its log (`attndsl.runs.log`), `state` one of `STATES` but the last."""

    folder: Path
    record: Record
    lines: Sequence[Line]
    state: str

    @property
    def spec(self) -> str:
        """The file of the spec and its variant, as a name: `gpt2:medium`, `my`."""
        spec = self.record.facts["spec"]
        return Path(spec["file"]).stem + (f":{spec['variant']}" if spec["variant"] else "")

    @property
    def model(self) -> str:
        """The name of the model in its spec, whatever the file and the variant are called."""
        return str(self.record.facts["spec"]["model"])

    @cached_property
    def settings(self) -> dict[str, object]:
        """All that was set or left as it is: hyperparameters, the recipe's settings by the names that `--set` has for
        them, the data, the weights to start from, where it was computed."""
        facts = self.record.facts
        found: dict[str, object] = dict(facts.get("hyperparameters", facts["settings"]))
        for name, value in as_settings(facts["recipe"]).items():
            found[f"train.{name}" if name in found else name] = value
        paths = facts["data"].get("paths")
        found["data"] = " ".join(Path(path).name or path for path in paths) if paths else "from Python"
        found["weights"] = Path(facts["weights"]).name if "weights" in facts else "none"
        return found | {name: facts.get(name) for name in ("backend", "device", "compile")}

    @cached_property
    def texts(self) -> dict[str, str]:
        """The spec's own files by their places: what was trained, however they were edited since."""
        places = self.record.facts["spec"]["files"]
        return {place: _text(self.folder / SPEC / place) for place in places}

    @property
    def parameters(self) -> int:
        return int(self.record.facts["parameters"])

    @property
    def steps(self) -> int:
        """How many steps were done."""
        return max((line["step"] for line in self.lines), default=0)

    @property
    def planned(self) -> int:
        """How many there are to be."""
        return int(self.record.facts["recipe"]["steps"])

    def series(self, name: str) -> Points:
        """A number over the steps, by its name in `names`; empty where there is none of it."""
        return [(line["step"], value) for line in self.lines for key, value in numbers(line) if key == name]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All that is logged over the steps: `loss`, `lr`, `scalars.balance`, `held_out`, …"""
        return tuple(dict.fromkeys(name for line in self.lines for name, _ in numbers(line)))

    @property
    def held_out(self) -> Points:
        """The loss on held-out data: of `HELD_OUT`, the first that there is."""
        return next((found for name in HELD_OUT if (found := self.series(name))), [])

    @property
    def best(self) -> tuple[int, float] | None:
        """The lowest loss on held-out data, and the step that had it."""
        return min(self.held_out, key=lambda point: point[1], default=None)

    @property
    def last(self) -> float | None:
        """The last loss on held-out data."""
        return self.held_out[-1][1] if self.held_out else None

    def total(self, name: str) -> float | None:
        """What the log counts up: `tokens`, `flops`, `seconds`; None where it does not."""
        return next((line[name] for line in reversed(self.lines) if name in line), None)

    @property
    def speed(self) -> float | None:
        """Tokens per second: the median over the steps, those left out between which something else was done."""
        rates = [
            (after["tokens"] - before["tokens"]) / (after["seconds"] - before["seconds"])
            for before, after in pairwise(self.lines)
            if {"tokens", "seconds"} <= before.keys() & after.keys() and after["seconds"] > before["seconds"]
        ]
        return statistics.median(rates) if rates else None

    @property
    def metrics(self) -> dict[str, Mapping[str, Any]]:
        """What was measured of the final weights on held-out data, by name; empty before the end."""
        return {str(each["name"]): each for each in self.record.facts.get("metrics", ())}


def read_history(folder: Path) -> History:
    """The run in a folder. Raises E0732 where it is none, is damaged, or only half there."""
    is_running = is_locked(folder)  # asked first: what ends while it is read was not stopped
    record = open_record(folder)
    lines = tuple(read_log(folder))
    facts = record.facts
    done = max((line["step"] for line in lines), default=0)
    is_over = "metrics" in facts and done >= facts["recipe"].get("steps", 0)
    require_there(folder, [*([FILE] if "metrics" in facts else []), *([WEIGHTS] if is_over else [])])
    state = RUNNING if is_running else FINISHED if is_over else STOPPED
    history = History(folder, record, lines, state)
    try:
        _ = history.settings, history.spec, history.model, history.parameters, history.metrics
    except (KeyError, TypeError, ValueError, AttributeError):
        raise error(
            "E0732", f"`{folder / RECORD}` is damaged: something is missing in it",
            help="restore it from a copy, or train again with another `--out`",
        ) from None  # fmt: skip
    return history


def columns(lines: Sequence[Line]) -> dict[str, list[float]]:
    """The log as columns of one length, a row for each step that it speaks of; NaN where it says nothing of a name."""
    rows: dict[int, dict[str, float]] = {}
    for line in lines:
        rows.setdefault(line["step"], {}).update(numbers(line))
    found = dict.fromkeys(name for row in rows.values() for name in row)
    return {"step": list(rows), **{name: [row.get(name, float("nan")) for row in rows.values()] for name in found}}


def differing(histories: Sequence[History]) -> list[str]:
    """The settings in which runs differ, in the order of the first that has each. Hyperparameters are held against
    those of the same model, and so are `MAY_LACK`, which a run without them has not; all else against what other runs
    have of it: what a run alone has comes of what else it is, of its optimizer."""
    names = dict.fromkeys(name for each in histories for name in each.settings)
    found: list[str] = []
    for name in names:
        seen: dict[str, object] = {}
        for each in histories:
            lacks = name not in each.settings
            if lacks and not name.startswith(MAY_LACK):
                continue
            apart = lacks or name.startswith(MAY_LACK) or name in each.record.facts.get("hyperparameters", {})
            value = each.settings.get(name)
            if seen.setdefault(each.model if apart else "", value) != value:
                found.append(name)
                break
    return found


def _text(path: Path) -> str:
    with file_errors("read", path):
        return path.read_text(encoding="utf-8", errors="replace")
