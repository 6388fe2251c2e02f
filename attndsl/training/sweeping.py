"""A sweep's runs, so many at a time: each is a process of its own, begun, resumed or left alone as its folder says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from attndsl.diagnostics import AttnError
from attndsl.records import dataclass, field
from attndsl.running.trainer import processor_threads
from attndsl.runs.history import FINISHED, History, read_history
from attndsl.runs.lock import is_locked
from attndsl.runs.record import is_run
from attndsl.storage.refusals import file_errors
from attndsl.training.console import Console, duration
from attndsl.training.signals import asked_to_stop
from attndsl.training.sweep import PlannedRun, Sweep, commands

LOGS = "output"
"""The folder in that of a sweep with what each run said."""
PAUSE, WAIT = 0.05, 1.0  # seconds from one look at the processes to the next, and where there are only those of others


@dataclass(slots=True)
class Progress:
    """How a sweep ended: the runs that are finished, those that failed with their last words, and whether it was
    interrupted."""

    finished: list[History] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    interrupted: bool = False


def run_sweep(sweep: Sweep, jobs: int, console: Console) -> Progress:
    """Take every run of the sweep to its end, `jobs` at a time, the processors shared among them. A run that was
    stopped is resumed, one that is finished is left as it is, and one that somebody else trains is waited for. A
    Ctrl-C (or SIGTERM) stops them as it stops single runs, each with a checkpoint."""
    waiting = deque(sweep.runs)
    working: dict[PlannedRun, subprocess.Popen[bytes]] = {}
    progress, begun, done = Progress(), time.monotonic(), 0
    with _told_to_stop(working) as told, file_errors("write", sweep.folder / LOGS):
        (sweep.folder / LOGS).mkdir(exist_ok=True)
        while waiting or working:
            for _ in range(len(waiting)):  # each is looked at once: one that others train comes to the end of the line
                if len(working) >= jobs or told():
                    break
                run = waiting.popleft()
                if is_locked(sweep.folder / run.name):
                    waiting.append(run)
                elif (history := _finished(sweep, run)) is not None:
                    done += 1
                    progress.finished.append(history)
                elif told():  # while its log was read
                    waiting.append(run)
                else:
                    working[run] = _start(sweep, run, jobs)
                    if told():  # as it was started: it was not sent to this one
                        working[run].send_signal(signal.SIGTERM)
            pause = PAUSE if working else WAIT
            for run in [run for run, process in working.items() if process.poll() is not None]:
                del working[run]
                if is_locked(sweep.folder / run.name):  # another process was faster, which is why this one ended
                    waiting.append(run)
                elif (history := _finished(sweep, run)) is not None:
                    done += 1
                    progress.finished.append(history)
                    last = f"held out {history.last:.4f}" if history.last is not None else "finished"
                    console.say(f"{done}/{len(sweep.runs)}  {run.name}: {last}  ({duration(time.monotonic() - begun)})")
                elif not told():
                    progress.failed[run.name] = _last_words(sweep, run)
                    console.warn(f"{run.name} failed: {progress.failed[run.name]}")
            if told() and not working:
                break
            if working or waiting:
                time.sleep(pause)
    progress.interrupted = told()
    return progress


def _finished(sweep: Sweep, run: PlannedRun) -> History | None:
    """Its history, where it is finished; what cannot be read its own process will say."""
    folder = sweep.folder / run.name
    try:
        history = read_history(folder) if is_run(folder) else None
    except AttnError:
        return None
    return history if history is not None and history.state == FINISHED else None


def _start(sweep: Sweep, run: PlannedRun, jobs: int) -> subprocess.Popen[bytes]:
    """A process that begins the run, or goes on with it."""
    folder = sweep.folder / run.name
    words = ["--resume", str(folder)] if is_run(folder) else [*commands(sweep, run)]
    threads = str(max(1, processor_threads() // jobs))
    environment = {"OMP_NUM_THREADS": threads, **os.environ} if jobs > 1 else dict(os.environ)
    with open(_output(sweep, run), "ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "attndsl", "train", *words], stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, env=environment, start_new_session=True,
        )  # fmt: skip


def _output(sweep: Sweep, run: PlannedRun) -> Path:
    return sweep.folder / LOGS / f"{run.name}.txt"


def _last_words(sweep: Sweep, run: PlannedRun) -> str:
    """What a process that failed said: the first line of its message."""
    path = _output(sweep, run)
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    said = [line for line in lines if line.startswith("error[")] or lines[-1:]
    return f"{said[-1]} (see `{path}`)" if said else f"it said nothing (see `{path}`)"


@contextmanager
def _told_to_stop(working: dict[PlannedRun, subprocess.Popen[bytes]]) -> Iterator[Callable[[], bool]]:
    """While it lasts, a first Ctrl-C (or SIGTERM) is passed on to the processes, which save what they have; a second
    Ctrl-C ends them. None outlives what starts them, unless that is killed."""

    def send(number: int) -> None:
        for process in working.values():
            if process.poll() is None:
                process.send_signal(number)

    try:
        with asked_to_stop(lambda: send(signal.SIGINT), lambda: send(signal.SIGKILL)) as told:
            yield told
    finally:
        for process in working.values():
            process.kill()


def finished(sweep: Sweep) -> list[History]:
    """The runs of the sweep that are finished, in the order in which they are planned."""
    return [history for run in sweep.runs if (history := _finished(sweep, run)) is not None]


def in_order(sweep: Sweep, histories: Sequence[History]) -> list[History]:
    """Histories as the sweep plans them, whichever was finished first."""
    places = {run.name: number for number, run in enumerate(sweep.runs)}
    return sorted(histories, key=lambda each: places[each.folder.name])
