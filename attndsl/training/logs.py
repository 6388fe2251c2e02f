"""The log of a run in other forms, for tools that read these: CSV files, TensorBoard's events."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from attndsl.diagnostics import error
from attndsl.runs.log import Line, numbers
from attndsl.storage.refusals import file_errors
from attndsl.storage.whole import write_text

HELD_OUT, TRAINING, PROCESSES = "held_out", "training", "processes"
Row = dict[str, Any]


class CsvLog:
    """`training.csv` and `held_out.csv` in the run's folder: a row for each step, and for each evaluation. Where
    several processes train and nothing is held out, `processes.csv` has what they take. They are made anew when a run
    goes on, from the `lines` that it goes on from, and where a row has what none had before."""

    def __init__(self, run: Path, lines: Sequence[Line]) -> None:
        self.run = run
        self.files: dict[str, TextIO] = {}
        self.heads: dict[str, list[str]] = {}
        rows: dict[str, list[Row]] = {HELD_OUT: [], TRAINING: [], PROCESSES: []}
        for line in lines:
            row = _row(line)
            rows[_file_of(row)].append(row)
        for name, found in rows.items():
            if found:
                self._anew(name, found)
            else:
                path = self._path(name)
                with file_errors("write", path):
                    path.unlink(missing_ok=True)

    def write(self, line: Line) -> None:
        row = _row(line)
        name = _file_of(row)
        path = self._path(name)
        with file_errors("write", path):
            if row.keys() <= set(self.heads.get(name, ())):
                _writer(self.files[name], self.heads[name]).writerow(row)
                self.files[name].flush()
                return
            earlier: list[Row] = []
            if name in self.files:
                self.files[name].close()
                with open(path, encoding="utf-8", newline="") as file:
                    earlier = list(csv.DictReader(file))
        self._anew(name, [*earlier, row])

    def _anew(self, name: str, rows: Sequence[Row]) -> None:
        path, text = self._path(name), io.StringIO(newline="")
        head = list(dict.fromkeys(column for row in rows for column in row))
        writer = _writer(text, head)
        writer.writeheader()
        writer.writerows(rows)
        write_text(path, text.getvalue())
        with file_errors("write", path):
            self.files[name] = open(path, "a", encoding="utf-8", newline="")  # noqa: SIM115
        self.heads[name] = head

    def _path(self, name: str) -> Path:
        return self.run / f"{name}.csv"

    def close(self) -> None:
        with ExitStack() as closed:
            for name, file in self.files.items():
                closed.enter_context(file_errors("write", self._path(name)))
                closed.callback(file.close)


def _row(line: Line) -> Row:
    return {"step": line["step"], **dict(numbers(line))}


def _file_of(row: Row) -> str:
    return HELD_OUT if HELD_OUT in row else TRAINING if "loss" in row else PROCESSES


def _writer(file: TextIO, head: Sequence[str]) -> csv.DictWriter[str]:
    return csv.DictWriter(file, head, restval="", lineterminator="\n")


class TensorBoardLog:
    """Events in the run's folder `tensorboard`, under `training/` and `held_out/`. What an interrupted run wrote after
    the step that it goes on from is marked as overtaken. Raises E0708 where the writer is not installed."""

    FOLDER = "tensorboard"

    def __init__(self, run: Path, lines: Sequence[Line]) -> None:
        writer = require_tensorboard()
        done = max((line["step"] for line in lines), default=0)
        with file_errors("write", run / self.FOLDER):
            self.writer: Any = writer(str(run / self.FOLDER), purge_step=done + 1 if done else None, flush_secs=10)

    def write(self, line: Line) -> None:
        for name, value in numbers(line):
            group = HELD_OUT if name.startswith(HELD_OUT) else TRAINING
            short = "loss" if name == HELD_OUT else name.removeprefix(f"{HELD_OUT}_")
            self.writer.add_scalar(f"{group}/{short}", value, line["step"])

    def close(self) -> None:
        self.writer.close()


def require_tensorboard() -> Any:
    """The class that writes events. Raises E0708 where its package is not installed."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise error(
            "E0708", "`--log tensorboard` needs the package `tensorboardX`, which is not installed",
            help=("install it with `pip install 'attndsl[tensorboard]'`",
                  "or use `--log csv`, which needs nothing; the run's `log.jsonl` has the same"),
        ) from None  # fmt: skip
    return SummaryWriter


LOGS: Mapping[str, type[CsvLog] | type[TensorBoardLog]] = {"csv": CsvLog, "tensorboard": TensorBoardLog}


def require_logs(kinds: Sequence[str]) -> None:
    """That each of the `kinds` is one of `LOGS` and can be written here (E0797, E0708)."""
    from attndsl.diagnostics import did_you_mean

    for kind in kinds:
        if kind not in LOGS:
            known = ", ".join(LOGS)
            raise error("E0797", f"there is no log `{kind}`", help=did_you_mean(kind, LOGS) or f"there are {known}")
    if "tensorboard" in kinds:
        require_tensorboard()
