"""The log of a run: `log.jsonl`, one object a line, only ever appended to, and cut back when a run goes on from a
checkpoint.

Training lines have `step` (how many steps were done by then), `loss`, `lr`, `grad_norm`, `cross_entropy` (of the
answers, in nats, where a step computes it anyway), `scalars` (the model's other scalar outputs by name, whole numbers
and truths among them, where it has any), `scheduled` (inputs that follow the training), `tokens` (seen so far, padding
included; images, of a model of images), `flops` (spent so far: three times those of the forward pass, since the
backward pass takes two) and `seconds`; evaluation lines have `step`, `held_out` (the loss that is minimised),
`held_out_cross_entropy` (the same, wherever an output says the answers), `held_out_scalars` and, where every token
of a text counts, `held_out_per_byte`. Where several processes train, these also have (or a line of its own has, where
nothing is held out) `memory` (the most bytes that
one of them has had at once, on its device), `collectives` (the share of the time since the last of these lines that
they have spent on one another, on the CPU), `tokens_per_second`, and `mfu` (FLOPs per second in the last steps by what
products of large matrices reach on the devices, as measured).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol, TextIO

from attndsl.storage.refusals import file_errors
from attndsl.storage.whole import write_text

FILE = "log.jsonl"
Line = dict[str, Any]


class LogForm(Protocol):
    """The log in another form, told of each line as it is written."""

    def write(self, line: Line) -> None: ...

    def close(self) -> None: ...


class RunLog:
    """Appends lines to a run's log; each is in the file (though on the disk only after `sync`) when `write` returns.
    The `others` are told of it too. Raises E0705."""

    def __init__(self, run: Path, others: Sequence[LogForm] = ()) -> None:
        self.path, self.others = run / FILE, others
        with file_errors("write", self.path):
            self.file: TextIO = open(self.path, "a", encoding="utf-8")  # noqa: SIM115

    def write(self, line: Line) -> None:
        with file_errors("write", self.path):
            self.file.write(json.dumps(line) + "\n")
            self.file.flush()
        for other in self.others:
            other.write(line)

    def sync(self) -> None:
        """Bring all lines to the disk: a checkpoint that is there has a log that reaches as far."""
        with file_errors("write", self.path):
            os.fsync(self.file.fileno())

    def close(self) -> None:
        with ExitStack() as closed:
            for other in self.others:
                closed.callback(other.close)
            with file_errors("write", self.path):  # what could not be written is tried once more
                self.file.close()


class NoLog:
    """Of a process that writes none."""

    def write(self, line: Line) -> None: ...

    def sync(self) -> None: ...

    def close(self) -> None: ...


def read_log(run: Path) -> list[Line]:
    """The lines of a log; one that a kill broke off is left out."""
    path = run / FILE
    if not path.is_file():
        return []
    with file_errors("read", path):
        text = path.read_text(encoding="utf-8", errors="replace")
    lines: list[Line] = []
    for written in text.splitlines():
        try:
            line = json.loads(written)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("step"), int):
            lines.append(line)
    return lines


def numbers(line: Line) -> Iterator[tuple[str, float]]:
    """What a line says beside its step, each number by name; those of a group behind its name: `scalars.balance`."""
    for name, value in line.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{each}", number) for each, number in value.items())
        elif name != "step" and isinstance(value, (int, float)):
            yield name, value


def cut_log(run: Path, step: int) -> list[Line]:
    """Drop whatever the log says about later steps than `step`, and give what is left."""
    lines = [line for line in read_log(run) if line["step"] <= step]
    write_text(run / FILE, "".join(json.dumps(line) + "\n" for line in lines))
    return lines
