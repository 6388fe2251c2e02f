"""A run that is killed at any moment goes on as if it had not been: the same losses, the same weights, bit for bit."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from attndsl.runs.log import read_log
from attndsl.runs.record import RECORD, WEIGHTS
from attndsl.training import train
from attndsl.training.console import Silent
from tests.training.several import forking

SETTINGS = {"steps": 120, "checkpoint": 4, "evaluate": 10, "evaluate_batches": 1}


def start(spec: str, text: str, run: Path, backend: str, more: dict[str, Any]) -> Any:
    """A process of its own that trains, or goes on where there is a run. It is a copy of one that has imported
    everything, so that most of its life is training."""
    told: dict[str, Any] = {"console": Silent()}
    if (run / RECORD).is_file():
        told |= {"resume": str(run)}
    else:
        told |= {"spec": spec, "data": text, "out": str(run), "backend": backend, "device": "cpu"}
        told["settings"] = SETTINGS | more
    child = forking().Process(target=train, kwargs=told)
    child.start()
    return child


def steps_done(run: Path) -> int:
    try:
        return max((line["step"] for line in read_log(run)), default=0)
    except FileNotFoundError:
        return 0


def kill_and_go_on(
    spec: str, text: str, run: Path, backend: str, kills: int, chance: random.Random, more: dict[str, Any]
) -> None:
    """Start, kill `kills` times (at any time, or some steps on), and let it come to its end."""
    for killed in range(kills):
        child = start(spec, text, run, backend, more)
        if chance.random() < 0.3:
            child.join(chance.uniform(0.0, 0.4))
        else:
            goal = steps_done(run) + chance.randint(1, 2 * SETTINGS["steps"] // (kills + 1))
            while child.is_alive() and steps_done(run) < goal:
                time.sleep(0.001)
            child.join(chance.uniform(0.0, 0.02))
        child.kill()
        child.join()
        assert child.exitcode in (-signal.SIGKILL, 0), f"after {killed} kills"
    child = start(spec, text, run, backend, more)
    child.join(120)
    assert child.exitcode == 0


def check(spec: str, text: str, folder: Path, backend: str, kills: int, seed: int, **more: Any) -> None:
    train(spec, text, folder / "whole", settings=SETTINGS | more, backend=backend, device="cpu", console=Silent())
    kill_and_go_on(spec, text, folder / "killed", backend, kills, random.Random(seed), more)

    def told(run: Path) -> list[dict[str, object]]:
        return [{name: value for name, value in line.items() if name != "seconds"} for line in read_log(run)]

    assert told(folder / "killed") == told(folder / "whole")
    assert (folder / "killed" / WEIGHTS).read_bytes() == (folder / "whole" / WEIGHTS).read_bytes()


pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")


@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_killed_and_resumed(spec: str, text: str, tmp_path: Path, backend: str, kills: int) -> None:
    check(spec, text, tmp_path, backend, kills, seed=int.from_bytes(os.urandom(4)))


def test_killed_while_tokens_are_hidden(spec: str, text: str, tmp_path: Path) -> None:
    """The same for an objective that makes random choices of its own."""
    special = 'tokens(pad="[PAD]", begin="[CLS]", end="[SEP]", mask="[MASK]")'
    more = {"batches": "masked_tokens(tokens, targets, whole_words=true)", "special": special, "accumulate": 2}
    check(spec, text, tmp_path, "numpy", 2, int.from_bytes(os.urandom(4)), **more)


DYING = """
import os, pathlib
from attndsl.training import train
from attndsl.training.console import Silent
calls, original = 0, {place}
def dying(*arguments, **named):
    global calls
    calls += 1
    if calls == {call}:
        os.kill(os.getpid(), 9)
    return original(*arguments, **named)
{place} = dying
train({spec!r}, {text!r}, {run!r}, settings={settings!r}, backend="numpy", console=Silent())
"""
EVERY_STEP = {"steps": 6, "checkpoint": 1}


@pytest.mark.parametrize(
    ("place", "call"),
    [
        ("os.rename", 1),
        ("os.replace", 2),
        ("os.replace", 6),
        ("os.fsync", 3),
        ("os.fsync", 17),
        ("pathlib.Path.unlink", 2),
    ],
)
def test_killed_while_writing(spec: str, text: str, tmp_path: Path, place: str, call: int) -> None:
    """The moments that a clock seldom hits: before a file or a folder is in place, before an old one is dropped."""
    train(spec, text, tmp_path / "whole", settings=EVERY_STEP, backend="numpy", console=Silent())
    run = tmp_path / "run"
    script = DYING.format(place=place, call=call, spec=spec, text=text, run=str(run), settings=EVERY_STEP)
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert found.returncode == -signal.SIGKILL, found.stderr.decode()
    if run.exists():
        train(resume=run, console=Silent())
    else:
        train(spec, text, run, settings=EVERY_STEP, backend="numpy", console=Silent())
    assert (run / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()
    assert not [*tmp_path.rglob("*.partial")]
