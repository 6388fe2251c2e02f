"""The log of a run in other forms, for tools that read these: CSV files, TensorBoard's events."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from attndsl.diagnostics import error
from attndsl.runs.log import Line, numbers
from attndsl.storage.refusals import file_errors

HELD_OUT = "held_out"


class CsvLog:
    """`training.csv` and `held_out.csv` in the run's folder: a row for each step, and for each evaluation. Where
    several processes train and nothing is held out, `processes.csv` has what they take. They are made anew when a run
    goes on, from the `lines` that it goes on from."""

    def __init__(self, run: Path, lines: Sequence[Line]) -> None:
        self.run = run
        self.files: dict[str, TextIO] = {}
        self.heads: dict[str, list[str]] = {}
        for line in lines:
            self.write(line)

    def write(self, line: Line) -> None:
        row = {"step": line["step"], **dict(numbers(line))}
        name = HELD_OUT if HELD_OUT in row else "training" if "loss" in row else "processes"
        path = self.run / f"{name}.csv"
        with file_errors("write", path):
            if name not in self.files:
                self.files[name] = open(path, "w", encoding="utf-8", newline="")  # noqa: SIM115
                self.heads[name] = list(row)
                csv.writer(self.files[name], lineterminator="\n").writerow(row)
            values = [row.get(each, "") for each in self.heads[name]]
            csv.writer(self.files[name], lineterminator="\n").writerow(values)
            self.files[name].flush()

    def close(self) -> None:
        for file in self.files.values():
            file.close()


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
            group = HELD_OUT if name.startswith(HELD_OUT) else "training"
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
