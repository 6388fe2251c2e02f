"""One process at a time trains a run, and one that was killed is in nobody's way."""

from __future__ import annotations

import errno
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from attndsl.diagnostics import AttnError, Diagnostic
from attndsl.runs.lock import locked
from attndsl.runs.log import read_log
from attndsl.training import Outcome

Train = Callable[..., Outcome]

HOLD = """
import sys, time
from pathlib import Path
from attndsl.runs.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def refused(act: Callable[[], object]) -> Diagnostic:
    with pytest.raises(AttnError) as problem:
        act()
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.code == "E0739"
    return diagnostic


def test_two_processes_do_not_train_one_run(trained: Train, tmp_path: Path) -> None:
    run = tmp_path / "run"
    trained(steps=4)
    log = (run / "log.jsonl").read_bytes()
    with subprocess.Popen([sys.executable, "-c", HOLD, str(run)], stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "held\n"
            told = refused(lambda: trained(resume=run, steps=8))
            assert f"the process {other.pid}, since " in told.message
            assert any(f"kill {other.pid}" in way for way in told.helps)
            assert (run / "log.jsonl").read_bytes() == log
        finally:
            os.kill(other.pid, signal.SIGKILL)
    assert trained(resume=run, steps=8).step == 8
    assert [line["step"] for line in read_log(run) if "loss" in line] == list(range(1, 9))


def test_whoever_asks_whether_a_run_is_locked_is_in_nobodys_way(
    trained: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")
    run = tmp_path / "run"
    trained(steps=1)
    with (run / "run.lock").open() as asked:
        fcntl.flock(asked, fcntl.LOCK_SH)
        monkeypatch.setattr("attndsl.runs.lock.time.sleep", lambda seconds: fcntl.flock(asked, fcntl.LOCK_UN))
        with locked(run):
            pass


def test_a_run_is_locked_from_its_first_step(trained: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from attndsl.training.console import Silent

    found: list[Diagnostic] = []
    monkeypatch.setattr(Silent, "step", lambda *told: found.append(refused(lambda: trained(resume=tmp_path / "run"))))
    trained(steps=2)
    assert len(found) == 2
    assert all(f"the process {os.getpid()}, since" in told.message for told in found)


def test_a_file_system_without_locks_is_warned_of(
    trained: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")
    from attndsl.training.console import Silent

    def flock(handle: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    told: list[str] = []
    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr(Silent, "warn", lambda self, text: told.append(text))
    for times in (1, 2):
        trained(steps=times, resume=tmp_path / "run" if times == 2 else None)
        assert sum(f"the file system of `{tmp_path / 'run'}` has no locks" in text for text in told) == times


def test_a_process_of_another_machine_is_to_be_stopped_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run.json").write_text("{}")
    with locked(tmp_path):
        here = platform.node()
        monkeypatch.setattr(platform, "node", lambda: "another")
        told = refused(lambda: locked(tmp_path).__enter__())
    assert f"the process {os.getpid()} on {here}, since " in told.message
    assert any(f"stop it on {here}: `kill {os.getpid()}`" in way for way in told.helps)


def test_a_lock_is_let_go_of_after_an_error(trained: Train, tmp_path: Path) -> None:
    trained(steps=2)
    run = tmp_path / "run"
    for _ in range(2):
        with pytest.raises(AttnError, match="E0402"):
            trained(resume=run, nosuch=1)
    with locked(run):
        refused(lambda: trained(resume=run))
    with locked(tmp_path):  # no run, and nothing to lock
        pass
    assert list(tmp_path.glob("*.lock")) == []
