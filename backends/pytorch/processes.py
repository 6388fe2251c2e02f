"""Several processes on `torch.distributed`: how they are started on one machine, how each joins the others, and what
becomes of those that lose one."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from attndsl.backends.pytorch.timed import TIMED
from attndsl.diagnostics import error
from attndsl.running.heartbeats import SILENT, STUCK, Heartbeats, Loss, MeetingPoint, Person, reach
from attndsl.running.machine import processors
from attndsl.running.processes import Launch, Processes, Result

_LEAVE = 5.0  # seconds in which it is seen which process was the first to go
_JOIN = timedelta(minutes=10)  # in which all must have come
_LONGEST = timedelta(days=365)  # that one waits for another, of which it is known that it is there
_RUN = "attndsl"  # by this name torchrun's engine runs what `launch` starts
_RESUME = "resume the run, with as many processes as you like: `attndsl train --resume RUN --processes N`"
INTERRUPTED = 130
TOLD = 3
"""The exit code of a process that ends since another is lost, which was said."""


class TorchProcesses(Processes):
    """The default group of `torch.distributed`: gloo for what lies on the CPU, NCCL for CUDA."""

    beats: Heartbeats | None = None  # from when they have met

    def __init__(self, launch: Launch) -> None:
        self.launch, self.rank, self.size = launch, launch.rank, launch.size
        self.began, self.waited = time.perf_counter(), TIMED.seconds

    def gather(self, value: Result) -> list[Result]:
        found: list[Any] = [None] * self.size
        TIMED.all_gather_object(found, value)
        return found

    def total(self, values: Sequence[float]) -> list[float]:
        tensor = torch.tensor(values, dtype=torch.float64)
        TIMED.all_reduce(tensor)
        return tensor.tolist()

    def usage(self, memory: int) -> dict[str, float]:
        now = time.perf_counter()
        share = (TIMED.seconds - self.waited) / (now - self.began)
        self.began, self.waited = now, TIMED.seconds
        told = self.gather((memory, share))
        most = max(each for each, _ in told)
        usage: dict[str, float] = {"memory": most} if most else {}
        if not torch.cuda.is_available():  # there they go on behind the back of the processor
            usage["collectives"] = round(sum(share for _, share in told) / self.size, 4)
        return usage

    def device(self, wanted: str) -> str:
        kind = wanted.partition(":")[0]  # a run that is resumed knows the number that its first process had
        number = self.local if self.launch.local is None else self.launch.local
        return f"cuda:{number % torch.cuda.device_count()}" if kind == "cuda" else wanted

    # ------------------------------------------------------------ failing

    def speaks(self) -> bool:
        if self._another_leaves(0.0):  # it may be the first, which keeps the count
            return False
        try:
            return self._failed(1) == 1
        except Exception:  # it is gone just now: it has said why, unless they have not met yet
            return not self._another_leaves(_LEAVE)

    def _another_leaves(self, seconds: float) -> bool:
        """Whether one that has said why takes its leave, within so many seconds."""
        return self.beats is not None and self.beats.farewell(seconds)

    def close(self) -> None:
        """Take leave of the others."""
        if self.beats is not None:
            self.beats.close()

    def _failed(self, more: int) -> int:
        """How many have failed, with so `more`."""
        return int(dist.distributed_c10d._get_default_store().add("attndsl/failed", more))

    def has_lost(self, problem: Exception) -> bool:
        said = ("gloo/transport", "Connection closed")
        return isinstance(problem, (dist.DistNetworkError, dist.DistBackendError)) or (
            isinstance(problem, RuntimeError) and any(each in str(problem) for each in said)
        )

    def leave(self, problem: Exception) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)  # the heartbeats are to say who was lost
        if not self._another_leaves(_LEAVE) and self.speaks():
            lines = [line for line in str(problem).splitlines() if line.strip()] or [type(problem).__name__]
            message = f"process {self.rank} of {self.size}, on {platform.node()}, cannot go on with the others"
            print(
                error("E0771", message, note=tuple(dict.fromkeys((lines[0], lines[-1]))), help=_RESUME),
                file=sys.stderr, flush=True,
            )  # fmt: skip
        self.close()
        os._exit(1)  # which closes what leads to others, that may still wait for this one

    def meet(self) -> None:
        """From now on this process knows which others are on its machine, and ends within seconds where one is lost.
        Raises OSError where they cannot reach each other."""
        address, seconds = os.environ.get("MASTER_ADDR", "localhost"), _JOIN.total_seconds()
        meeting = MeetingPoint() if self.is_first else None
        place = (meeting.port, meeting.token) if meeting is not None else None
        told = self.gather((Person.here(self.rank), place))
        if meeting is not None:
            others = meeting.all(self.size - 1, seconds, lambda: self._failed(0))
        else:
            assert told[0][1] is not None
            others = reach(address, *told[0][1], self.rank, seconds)
        persons = [person for person, _ in told]
        beside = [person.rank for person in persons if person.machine == persons[self.rank].machine]
        self.local, self.local_size = beside.index(self.rank), len(beside)
        self.beats = Heartbeats(persons, self.rank, others, lambda: TIMED.waits, self._say, self._end)

    def _say(self, loss: Loss) -> None:
        """Which of them is lost, unless the launcher does."""
        if loss.who is None:
            message = f"the {self.size} processes have waited for one another for {STUCK / 60:.0f} minutes"
        else:
            became = "has ended without a word" if loss.ended else f"has not answered for {SILENT:.0f} seconds"
            message = f"process {loss.who.rank} of {self.size}, on {loss.who.host}, {became}"
        if not _launcher_says(loss):
            print(error("E0771", message, note="the others were ended", help=_RESUME), file=sys.stderr, flush=True)

    def _end(self, loss: Loss | None) -> None:
        os._exit(1 if loss is None or _launcher_says(loss) else TOLD)


def _launcher_says(loss: Loss) -> bool:
    """Of what has ended, `launch` knows how."""
    return loss.ended and os.environ.get("TORCHELASTIC_RUN_ID") == _RUN


@contextlib.contextmanager
def joined(launch: Launch) -> Iterator[TorchProcesses]:
    """This process as one of several, which are all there when it begins. Raises E0770."""
    _end_with_the_launcher()
    logging.getLogger("torch.distributed.tensor").setLevel(logging.ERROR)  # its warnings are of speed
    processes = None
    try:
        kind = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
        dist.init_process_group(kind, rank=launch.rank, world_size=launch.size, timeout=_JOIN)
        processes = TorchProcesses(launch)
        processes.meet()
    except (dist.DistError, OSError, RuntimeError, ValueError) as problem:
        speaks = launch.rank == 0  # all others have the same to say
        if processes is not None and not processes.has_lost(problem):
            speaks = processes.speaks()
        if not speaks:
            raise SystemExit(1) from None
        place = f"{os.environ.get('MASTER_ADDR', 'this machine')}:{os.environ.get('MASTER_PORT', '')}"
        used = "EADDRINUSE" in str(problem) or "already in use" in str(problem)
        raise error(
            "E0770",
            f"the {launch.size} processes cannot meet at {place}" + (": the port is in use" if used else ""),
            note=str(problem).splitlines()[0],
            help="give another `MASTER_PORT` (torchrun: `--master-port`), or let torchrun find one: `--standalone`"
            if used
            else "check that all of them were started, with the same address, and can reach it",
        ) from None
    try:
        wait_patiently()
        yield processes
    finally:
        processes.close()
        if dist.is_initialized():
            with contextlib.suppress(Exception):
                dist.destroy_process_group()


def wait_patiently() -> None:
    """That the groups there are wait for a process as long as it is there, whatever it does alone."""
    groups = dist.distributed_c10d
    if hasattr(groups, "_set_pg_timeout"):  # it has no public name
        for group in list(groups._world.pg_map):
            groups._set_pg_timeout(_LONGEST, group)


@functools.cache
def _end_with_the_launcher() -> None:
    """A process whose launcher was killed would go on for ever: nobody is left to end it. One that was started by hand
    goes on without its shell."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="launcher").start()


# ---------------------------------------------------------------- starting them


def launch(count: int, words: Sequence[str]) -> int:
    """Run `python WORDS…` in `count` processes of this machine, by torchrun's engine; the exit code. Raises E0771 where
    one of them was killed."""
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)  # what there is to say is said here
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("torch.distributed")]:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    os.environ.setdefault("OMP_NUM_THREADS", str(max(processors() // count, 1)))
    config = LaunchConfig(1, 1, count, run_id=_RUN, rdzv_backend="c10d", rdzv_endpoint="localhost:0", max_restarts=0)
    try:
        elastic_launch(config, sys.executable)(*words)
    except SignalException:
        return INTERRUPTED
    except ChildFailedError as problem:
        codes = {rank: failure.exitcode for rank, failure in sorted(problem.failures.items())}
        killed = [rank for rank, code in codes.items() if code < 0 and code != -signal.SIGTERM]
        if set(codes.values()) == {-signal.SIGTERM}:  # else it is how the others were ended
            killed = list(codes)
        if not killed or TOLD in codes.values():  # it has said why
            return 1 if TOLD in codes.values() else max(max(codes.values()), 1)
        rank = killed[0]
        name = signal.Signals(-codes[rank]).name
        raise error(
            "E0771",
            f"process {rank} of {count} was killed ({name})",
            note=f"it was process {problem.failures[rank].pid} of this machine; the others were ended",
            help=_RESUME,
        ) from None
    return 0
