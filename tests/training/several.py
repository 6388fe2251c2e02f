"""The `attndsl` command in several processes, as a launcher starts them, and a watchdog over them.

They are copies of one that has imported everything, so that a test costs little more than what they compute."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import random
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LONGEST = 60.0  # seconds
SETTINGS: dict[str, Any] = {"steps": 10, "batch": 6, "p": 0, "evaluate_batches": 2, "checkpoint": 4}


@dataclass(frozen=True)
class Ended:
    """The exit codes by rank, and what each process said on stdout and stderr."""

    codes: tuple[int, ...]
    out: tuple[str, ...]
    err: tuple[str, ...]

    @property
    def messages(self) -> list[str]:
        return [said for said in self.err if said]


def _ports() -> Iterator[int]:
    """Ports that the system gives nobody who asks it for any, nor another worker of the tests takes, from one on that
    hardly another process begins with."""
    try:
        end = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        end = 0
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]
    ports = [*range(10_000, end)][int(worker) % 16 :: 16] or [0]  # 0: any
    begin = random.SystemRandom().randrange(len(ports))
    return itertools.cycle([*ports[begin:], *ports[:begin]])


PORTS = _ports()


def free_port() -> int:
    """One that is still free when it is used."""
    while True:
        with socket.socket() as held, contextlib.suppress(OSError):
            held.bind(("", next(PORTS)))
            return int(held.getsockname()[1])


def forking() -> Any:
    """Processes that are copies of one that has imported everything, so that most of their life is training. A test
    process has one such, which imports the same whoever asks first. What is not installed is passed over; torch's
    optimizers import `torch._dynamo` at their first step."""
    context = multiprocessing.get_context("forkserver")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # as where a launcher starts them
    trainers = [f"attndsl.backends.{name}.trainer" for name in ("numpy_reference", "pytorch")]
    imported = ["attndsl.cli.train", "attndsl.training.loop", *trainers, "torch._dynamo", "torch.distributed.tensor"]
    context.set_forkserver_preload(imported)
    return context


def _work(words: Sequence[str], given: Mapping[str, str], said: str, before: Callable[[int], None] | None) -> None:
    os.environ.update(given)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{said}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    from attndsl.cli import main

    if before is not None:
        before(int(given["RANK"]))
    code = main(list(words))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class Together:
    """`count` processes with these words. `before(rank)` is called in each first; `others` are the words of some."""

    def __init__(
        self,
        count: int,
        folder: Path,
        words: Sequence[object],
        *,
        before: Callable[[int], None] | None = None,
        others: Mapping[int, Sequence[object]] | None = None,
        port: int | None = None,
    ) -> None:
        context = forking()
        folder.mkdir(parents=True, exist_ok=True)
        self.said = [folder / f"said-{rank}" for rank in range(count)]
        for said in self.said:  # there also for one that is killed before it has begun
            Path(f"{said}.out").touch()
            Path(f"{said}.err").touch()
        address = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port or free_port()), "WORLD_SIZE": str(count)}
        self.processes: list[Any] = []
        for rank, said in enumerate(self.said):
            own = [str(word) for word in (others or {}).get(rank, words)]
            ranks = {"RANK": str(rank), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(count)}
            process = context.Process(target=_work, args=(own, address | ranks, str(said), before))
            process.start()
            self.processes.append(process)
        self.began = time.monotonic()  # what they are copies of has imported everything

    def end(self) -> Ended:
        """Wait for all of them; those that are still there after a minute are killed, and the test fails."""
        try:
            for process in self.processes:
                process.join(max(LONGEST - (time.monotonic() - self.began), 0.1))
            late = [rank for rank, process in enumerate(self.processes) if process.exitcode is None]
            assert not late, f"processes {late} did not end"
        finally:
            for process in self.processes:
                process.kill()
                process.join()
        codes = tuple(process.exitcode for process in self.processes)
        out, err = ([Path(f"{said}.{name}").read_text() for said in self.said] for name in ("out", "err"))
        return Ended(codes, tuple(out), tuple(err))


def words(*more: object, **settings: object) -> list[object]:
    chosen = SETTINGS | settings
    return ["train", *more, *(word for name, value in chosen.items() for word in ("--set", f"{name}={value}"))]


def alone(spec: str, text: str, run: Path, **settings: Any) -> None:
    from attndsl.training import train
    from attndsl.training.console import Silent

    chosen = SETTINGS | settings
    train(spec, text, run, settings=chosen, backend="torch", device="cpu", console=Silent())


def require_one_message(ended: Ended, code: str, *said: str) -> str:
    """That all failed, and one said why."""
    assert 0 not in ended.codes
    (message,) = ended.messages
    assert message.startswith(f"error[{code}]"), message
    assert message.count("error[") == 1
    for each in said:
        assert each in message
    return message


# ---------------------------------------------------------------- what happens to some of them before they begin


def no_larger_files(rank: int) -> None:
    """A disk that is full for the first process: none of its files gets beyond so many bytes."""
    if rank == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))


def another_version(rank: int) -> None:
    """Another attndsl in the process of rank 1."""
    if rank == 1:
        import attndsl

        attndsl.__version__ = "0.0.1"


def in_third_step(action: Callable[[], None]) -> None:
    """Do something when this process begins its third step."""
    from attndsl.backends.pytorch.trainer import TorchTrainer

    original, calls = TorchTrainer.step, list[None]()

    def step(self: TorchTrainer, *arguments: Any, **named: Any) -> Any:
        calls.append(None)
        if len(calls) == 3:
            action()
        return original(self, *arguments, **named)

    TorchTrainer.step = step  # type: ignore[method-assign]


def stop_after_three(rank: int) -> None:
    """One process is asked to stop in its third step, and none of the others: all of them do."""
    if rank == 1:
        in_third_step(lambda: os.kill(os.getpid(), signal.SIGTERM))
