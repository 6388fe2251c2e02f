"""A run that is killed at any moment goes on as if it had not been: the same losses, the same weights, bit for bit."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from attndsl.training import train
from attndsl.training.console import Silent
from attndsl.training.log import read_log
from attndsl.training.record import RECORD, WEIGHTS

SETTINGS = {"steps": 400, "checkpoint": 3, "evaluate": 7, "evaluate_batches": 1}
CHILD = """
import sys
from attndsl.training import train
from attndsl.training.console import Silent
spec, text, run, backend, resume = sys.argv[1:]
if resume == "yes":
    train(resume=run, console=Silent())
else:
    train(spec, text, run, settings=SETTINGS, backend=backend, device="cpu", console=Silent())
""".replace("SETTINGS", repr(SETTINGS))


def start(spec: str, text: str, run: Path, backend: str) -> subprocess.Popen[bytes]:
    resume = "yes" if (run / RECORD).is_file() else "no"
    command = [sys.executable, "-c", CHILD, spec, text, str(run), backend, resume]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def steps_done(run: Path) -> int:
    try:
        return max((line["step"] for line in read_log(run)), default=0)
    except FileNotFoundError:
        return 0


def kill_and_go_on(spec: str, text: str, run: Path, backend: str, kills: int, chance: random.Random) -> None:
    """Start, kill `kills` times (while starting, or some steps on), and let it come to its end."""
    killed = 0
    while True:
        child = start(spec, text, run, backend)
        if killed == kills:
            _, said = child.communicate(timeout=120)
            assert child.returncode == 0, said.decode()
            return
        if chance.random() < 0.25:
            time.sleep(chance.uniform(0.0, 1.0))
        else:
            goal = steps_done(run) + chance.randint(1, SETTINGS["steps"] // (kills + 1))
            while child.poll() is None and steps_done(run) < goal:
                time.sleep(0.002)
            time.sleep(chance.uniform(0.0, 0.02))
        child.send_signal(signal.SIGKILL)
        _, said = child.communicate()
        assert child.returncode in (-signal.SIGKILL, 0), said.decode()
        killed += 1


def check(spec: str, text: str, folder: Path, backend: str, kills: int, seed: int) -> None:
    train(spec, text, folder / "whole", settings=SETTINGS, backend=backend, device="cpu", console=Silent())
    kill_and_go_on(spec, text, folder / "killed", backend, kills, random.Random(seed))

    def told(run: Path) -> list[dict[str, object]]:
        return [{name: value for name, value in line.items() if name != "seconds"} for line in read_log(run)]

    assert told(folder / "killed") == told(folder / "whole")
    assert (folder / "killed" / WEIGHTS).read_bytes() == (folder / "whole" / WEIGHTS).read_bytes()


pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")


def test_killed_and_resumed(spec: str, text: str, tmp_path: Path, backend: str) -> None:
    check(spec, text, tmp_path, backend, kills=2, seed=1)


@pytest.mark.slow
def test_killed_ten_times_and_resumed(spec: str, text: str, tmp_path: Path, backend: str) -> None:
    check(spec, text, tmp_path, backend, kills=10, seed=int.from_bytes(os.urandom(4)))


DYING = """
import os, pathlib
{child}
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
    [("os.rename", 1), ("os.replace", 2), ("os.replace", 6), ("os.fsync", 3), ("os.fsync", 17), ("pathlib.Path.unlink", 2)],
)
def test_killed_while_writing(spec: str, text: str, tmp_path: Path, place: str, call: int) -> None:
    """The moments that a clock seldom hits: before a file or the run's folder is in place, before old ones are dropped."""
    train(spec, text, tmp_path / "whole", settings=EVERY_STEP, backend="numpy", console=Silent())
    run = tmp_path / "run"
    child = "\n".join(line for line in CHILD.splitlines() if line.startswith("from"))
    script = DYING.format(child=child, place=place, call=call, spec=spec, text=text, run=str(run), settings=EVERY_STEP)
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert found.returncode == -signal.SIGKILL, found.stderr.decode()
    if run.exists():
        train(resume=run, console=Silent())
    else:
        train(spec, text, run, settings=EVERY_STEP, backend="numpy", console=Silent())
    assert (run / WEIGHTS).read_bytes() == (tmp_path / "whole" / WEIGHTS).read_bytes()
    assert not [path for path in tmp_path.rglob("*.partial") if "tokens" not in str(path)]
