"""Training in several processes of which one is lost, or waits for ever: the others end, and one says why."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from attndsl.backends.pytorch import processes
from attndsl.backends.pytorch.processes import TorchProcesses
from attndsl.backends.pytorch.timed import TIMED, TimedCollectives
from attndsl.diagnostics import AttnError
from attndsl.running.heartbeats import BEAT
from attndsl.running.processes import Launch
from tests.scripts import script
from tests.training.crew import Crew, on_mesh
from tests.training.several import (
    Together,
    in_third_step,
    require_one_message,
    words,
)

pytestmark = [pytest.mark.torch, pytest.mark.skipif(os.name != "posix", reason="needs fork")]


SOON = 2.0
"""Seconds in which a process has to say something, once it trains."""


def impatient(seconds: float = SOON) -> None:
    """Who says nothing for so long is lost."""
    from attndsl.running import heartbeats

    processes.SILENT = heartbeats.SILENT = seconds


def in_third_step_once_impatient(action: Callable[[], object], seconds: float = SOON) -> None:
    def acts() -> None:
        impatient(seconds)
        action()

    in_third_step(acts)


def stops() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def one_is_stopped(rank: int) -> None:
    from attndsl.running import heartbeats

    heartbeats.BEAT = SOON / 20  # as often in what is waited for as without a test
    in_third_step_once_impatient(stops if rank == 1 else lambda: None)


def the_first_is_stopped(rank: int) -> None:
    """Of those that are left one waits for another as long as for two beats, which are as they always are."""
    in_third_step_once_impatient(stops if rank == 0 else lambda: None, 5 * BEAT)


def one_is_killed_while_another_is_busy(rank: int) -> None:
    if rank == 1:
        in_third_step(lambda: os.kill(os.getpid(), signal.SIGKILL))
    elif rank == 2:
        in_third_step(lambda: time.sleep(100))


def one_is_busy(rank: int) -> None:
    """For longer than anybody may be silent, and than groups wait when they have just met."""
    from torch.distributed import distributed_c10d as groups

    from attndsl.running import heartbeats

    original = TorchProcesses.meet

    def meet(self: TorchProcesses) -> None:
        original(self)
        for group in list(groups._world.pg_map):
            groups._set_pg_timeout(timedelta(seconds=SOON), group)

    TorchProcesses.meet = meet  # type: ignore[method-assign]
    heartbeats.BEAT = SOON / 20
    in_third_step_once_impatient((lambda: time.sleep(SOON + 2)) if rank == 0 else lambda: None)


@pytest.mark.parametrize(
    ("before", "who", "became"),
    [
        (one_is_stopped, 1, "has not answered for 2 seconds"),
        pytest.param(the_first_is_stopped, 0, "has not answered for 5 seconds", marks=pytest.mark.slow),
        (one_is_killed_while_another_is_busy, 1, "has ended without a word"),
    ],
)
def test_a_process_that_is_lost(
    spec: str, text: str, tmp_path: Path, before: Callable[[int], None], who: int, became: str
) -> None:
    """The others end, also one that is in the middle of something, and a launcher is not left with one that is
    stopped."""
    given = words(spec, "--data", text, "--out", tmp_path / "run", "--allow", "W1003")  # 3 divides no parameter
    ended = Together(3, tmp_path, given, before=before).end()
    require_one_message(ended, "E0771", f"process {who} of 3, on ", became)
    assert ended.codes[who] == -signal.SIGKILL


def nothing_can_be_sent(rank: int) -> None:
    """As NCCL says it to all at once."""
    from torch.distributed import DistBackendError

    def fails() -> None:
        raise DistBackendError("NCCL error in: somewhere, invalid usage\n\nLast error:\nDuplicate GPU detected")

    in_third_step(fails)


def the_second_asks_late(rank: int) -> None:
    """Whether it is the one to say what all know: the first, who keeps the count, has said it and is gone."""
    if rank == 1:
        original = TorchProcesses.speaks

        def speaks(self: TorchProcesses) -> bool:
            time.sleep(3)
            return original(self)

        TorchProcesses.speaks = speaks  # type: ignore[method-assign]


def nothing_can_be_sent_and_the_second_asks_late(rank: int) -> None:
    nothing_can_be_sent(rank)
    the_second_asks_late(rank)


@pytest.mark.parametrize("before", [nothing_can_be_sent, nothing_can_be_sent_and_the_second_asks_late])
def test_what_is_sent_fails_and_nobody_is_lost(
    spec: str, text: str, tmp_path: Path, before: Callable[[int], None]
) -> None:
    given = words(spec, "--data", text, "--out", tmp_path / "run")
    ended = Together(2, tmp_path, given, before=before).end()
    message = require_one_message(ended, "E0771", "cannot go on with the others", "Duplicate GPU detected")
    assert "NCCL error in: somewhere, invalid usage" in message


def hang_in(where: str, rank: int) -> None:
    """As in the queues of GPUs that wait for one another: what they are asked for, or compute, does not come."""
    import torch

    from attndsl.backends.pytorch.divided import DividedTraining
    from attndsl.backends.pytorch.trainer import TorchTrainer
    from attndsl.running import heartbeats

    def hangs(*given: Any, **named: Any) -> Any:
        time.sleep(100)

    def reads_in_vain(*given: Any, **named: Any) -> Any:
        torch.Tensor.numpy = hangs  # type: ignore[method-assign]
        return original(*given, **named)

    heartbeats.STUCK = 1.0
    if where == "_backward":
        TorchTrainer._backward = hangs  # type: ignore[method-assign]
        TorchTrainer._waiting = lambda self, training=True: TIMED.waiting()  # type: ignore[method-assign]
    else:
        place = TorchTrainer if where == "evaluate" else DividedTraining
        original = getattr(place, where)
        setattr(place, where, reads_in_vain)


@pytest.mark.parametrize(
    "where", ["_backward", "evaluate", *(pytest.param(name, marks=pytest.mark.slow) for name in ("norm", "whole"))]
)
def test_all_wait_for_one_another(spec: str, text: str, tmp_path: Path, where: str) -> None:
    given = words(spec, "--data", text, "--out", tmp_path / "run", steps=1)
    ended = Together(2, tmp_path, given, before=partial(hang_in, where)).end()
    require_one_message(ended, "E0771", "the 2 processes have waited for one another")


@pytest.mark.parametrize(
    ("device", "compiles", "has_stepped", "waits"),
    [
        ("cpu", False, True, {"training": False, "evaluation": False}),  # there each collective says so itself
        ("cuda", False, False, {"training": True, "evaluation": True}),
        ("cuda", True, False, {"training": False, "evaluation": False}),  # it is being compiled
        ("cuda", True, True, {"training": True, "evaluation": False}),
        ("cpu", True, True, {"training": True, "evaluation": False}),
    ],
)
def test_where_waits_are_out_of_sight(device: str, compiles: bool, has_stepped: bool, waits: dict[str, bool]) -> None:
    from attndsl.backends.pytorch.trainer import TorchTrainer

    program = SimpleNamespace(device=SimpleNamespace(type=device))
    trainer: Any = SimpleNamespace(program=program, _compiles=compiles, _has_stepped=has_stepped)
    for what, expected in waits.items():
        with TorchTrainer._waiting(trainer, what == "training"):
            assert bool(TIMED.waits) == expected, what


@pytest.mark.parametrize(("late", "busy"), [(0.3, 0.0), (0.0, 0.3)])
def test_what_is_sent_to_compute_counts(tmp_path: Path, late: float, busy: float) -> None:
    """Of what an optimizer computes with parameters that are divided, the time that goes into sending alone: it waits
    for another that is late, or is busy with something else."""
    with Crew(2) as crew:
        (counted, sending), _ = crew.run(multiplied_and_gathered, tmp_path / "waits", late, busy)
    assert late <= counted <= sending


def multiplied_and_gathered(processes: Any, *given: Any) -> tuple[float, float]:
    return on_mesh(processes, [("data", 2)], partial(seconds_of_sending, *given))


def seconds_of_sending(waits: Path, late: float, busy: float, rank: int, mesh: Any) -> tuple[float, float]:
    """The seconds that were counted, and all but those in which it was busy. The second process is late from when the
    first waits, which leaves a file there."""
    import torch
    from torch.distributed.tensor import DTensor, Shard

    def tells(operator: Any) -> Any:
        def told(*given: Any, **named: Any) -> Any:
            if "wait" in operator.name():
                waits.touch()
            return operator(*given, **named)

        return timed(told)

    part, timed = DTensor.from_local(torch.ones(2, 2), mesh, [Shard(0)]), TIMED.timed
    (part * part).full_tensor()  # torch imports and makes something at first
    if rank == 0:
        TIMED.timed = tells  # type: ignore[method-assign]
    elif late:
        while not waits.exists():
            time.sleep(0.01)
        time.sleep(late)
    before, began = TIMED.seconds, time.perf_counter()
    with TIMED.sending():
        product = part * part
        from_here = time.perf_counter()
        time.sleep(busy)
        was_busy = time.perf_counter() - from_here
        assert product.full_tensor().sum() == 8
    return TIMED.seconds - before, time.perf_counter() - began - was_busy


def test_what_counts_as_a_wait() -> None:
    """Each is another one, and what was waited for before goes on after one within it."""
    timed = TimedCollectives()
    seen = []
    with timed.waiting():
        seen.append(timed.waits)
        assert timed.timed(lambda: timed.waits)() == 2
        assert timed.seconds > 0
        seen.append(timed.waits)
    assert (seen, timed.waits) == ([1, 1], 0)


def test_waits_of_several_threads() -> None:
    """One may begin in another's and end after it."""
    timed, seen = TimedCollectives(), list[int]()
    first, second = timed.waiting(), timed.waiting()
    for step in (first.__enter__, second.__enter__, lambda: first.__exit__(None, None, None)):
        step()
        seen.append(timed.waits)
    second.__exit__(None, None, None)
    assert (seen, timed.waits) == ([1, 2, 2], 0)


def test_a_process_that_is_busy_is_not_lost(spec: str, text: str, tmp_path: Path) -> None:
    """The others wait for it, longer than they waited for it to come, and than anybody may be silent."""
    given = words(spec, "--data", text, "--out", tmp_path / "run")
    ended = Together(2, tmp_path, given, before=one_is_busy).end()
    assert ended.codes == (0, 0), ended.messages


def test_which_are_on_one_machine() -> None:
    """By the machines themselves, whatever these are called."""
    with Crew(3) as crew:
        assert crew.run(place_here) == [(0, 3), (1, 3), (2, 3)]
        crew.run(on_machines, "aba", "xxx")
        assert crew.run(place_here) == [(0, 2), (0, 1), (1, 2)]
        crew.run(on_machines, "aaa", "xyz")
        assert crew.run(place_here) == [(0, 3), (1, 3), (2, 3)]


def test_which_device_is_whose(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the number that the launcher gives, or where it gives none, of the process's own on its machine."""
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    for said, number in (("2", 2), ("6", 2), (None, 3)):
        environment = {"RANK": "9", "WORLD_SIZE": "16"} | ({"LOCAL_RANK": said} if said else {})
        monkeypatch.setattr(os, "environ", environment)
        launch = Launch.of_environment()
        assert launch is not None
        joined = TorchProcesses(launch)
        joined.local = 3
        for wanted, given in (("cuda", f"cuda:{number}"), ("cuda:0", f"cuda:{number}"), ("cpu", "cpu")):
            assert joined.device(wanted) == given


def test_a_number_of_processes_alone_makes_nobody_one_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    for environment in ({"WORLD_SIZE": "2"}, {"WORLD_SIZE": "2", "RANK": ""}, {"RANK": "1"}):
        monkeypatch.setattr(os, "environ", environment)
        assert Launch.of_environment() is None


def place_here(processes: Any) -> tuple[int, int]:
    return processes.local, processes.local_size


def on_machines(processes: Any, machines: str, hosts: str) -> None:
    """The next time that they meet: a letter for each."""
    from attndsl.running.heartbeats import Person

    own = (processes.rank, machines[processes.rank], hosts[processes.rank], os.getpid(), os.getppid())
    Person.here = staticmethod(lambda rank: Person(*own))  # type: ignore[method-assign]


LAUNCHER = """
import os, subprocess, sys, time
os.environ["TORCHELASTIC_RUN_ID"] = "1"
child = "from attndsl.backends.pytorch import processes; processes._end_with_the_launcher(); print('up', flush=True)"
subprocess.Popen([sys.executable, "-c", child + "; import time; time.sleep(100)"])
time.sleep(100)
"""


def test_the_launcher_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", LAUNCHER], stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.readline() == "up\n"
        launcher.kill()
        began = time.monotonic()
        assert launcher.stdout.read() == ""  # until whoever could still say something has ended
        assert time.monotonic() - began < 10


def test_one_that_was_started_by_hand_outlives_its_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    processes._end_with_the_launcher.__wrapped__()
    assert "launcher" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        ({1: -15}, "process 1 of 2 was killed (SIGTERM)"),
        ({0: -15, 1: -9}, "process 1 of 2 was killed (SIGKILL)"),
        ({0: 1, 1: -15}, None),
        ({0: processes.TOLD, 1: -15}, None),
    ],
)
def test_who_is_to_blame(codes: dict[int, int], said: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was killed, by SIGTERM where nothing else became of anybody. Others have said it."""
    from torch.distributed.elastic.multiprocessing import errors
    from torch.distributed.launcher import api

    def ends(*words: str) -> None:
        raise errors.ChildFailedError(
            "attndsl", {rank: errors.ProcessFailure(rank, 1, code, "none") for rank, code in codes.items()}
        )

    monkeypatch.setattr(api, "elastic_launch", lambda config, program: ends)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    with pytest.raises(AttnError) if said else contextlib.nullcontext() as problem:
        assert processes.launch(2, ["-c", ""]) == 1
    assert said is None or said in str(problem.value)


@pytest.mark.slow
def test_the_short_form_survives_kills(tmp_path: Path) -> None:
    """`python scripts/kills.py` tries it more often."""
    script("kills").try_kills(1, int.from_bytes(os.urandom(4)), tmp_path)
