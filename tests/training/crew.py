"""Processes that stay, to do one piece of work after the other together over gloo, and a watchdog over them.

    with Crew(4) as crew:
        crew.run(work, argument, size=2)     # work(processes, argument) in two of them: what each gives, by rank

They join for each piece as the processes of a training do (`attndsl.backends.pytorch.processes.joined`), so that
nothing of one piece is left in the next. Torch never ends the threads of a group, so that a process does not stay for
more than some pieces.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from tests.training.several import LONGEST, forking, free_port

GRACE = 3.0  # seconds
PIECES = 8
"""So many are done by the same processes."""


class Failed(Exception):
    """What went wrong in some of the processes, or where each stood when the time was over."""


class Crew:
    """So many processes. Those that fail, or take longer than `longest` seconds for a piece, are started anew."""

    def __init__(self, count: int, longest: float = LONGEST) -> None:
        self.count, self.longest = count, longest
        self.folder = tempfile.TemporaryDirectory()
        self.members: list[tuple[Any, Any, Path]] = []
        self.done = 0

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *raised: object) -> None:
        self._end()
        self.folder.cleanup()

    def _end(self) -> None:
        for process, connection, _ in self.members:
            process.kill()
            process.join()
            connection.close()
        self.members = []

    def _start(self) -> None:
        self.done = 0
        for rank in range(self.count):
            here, there = forking().Pipe()
            said = Path(self.folder.name) / f"stands-{rank}"
            process = forking().Process(target=_serve, args=(rank, there, str(said)), daemon=True)
            process.start()
            there.close()
            self.members.append((process, here, said))
        for _, connection, _ in self.members:
            connection.recv()  # it has everything imported: no piece waits for that

    def run(self, work: Callable[..., Any], *given: Any, size: int | None = None) -> list[Any]:
        """What `work(processes, *given)` gives in the first `size` of them, by rank. Raises `Failed`."""
        if self.done == PIECES:
            self._end()
        if not self.members:
            self._start()
        self.done += 1
        size = size or self.count
        asked = self.members[:size]
        port = free_port()
        for _, connection, _ in asked:
            connection.send((size, port, work, given))
        told = self._told([connection for _, connection, _ in asked])
        late = {rank: self._stands(rank) for rank in range(size) if rank not in told}
        wrong = {rank: said for rank, (_, said) in told.items() if said} | late
        if wrong:
            self._end()
            raise Failed("\n".join(f"process {rank} of {size}: {said}" for rank, said in wrong.items()))
        return [told[rank][0] for rank in range(size)]

    def _told(self, connections: list[Any]) -> dict[int, tuple[Any, str]]:
        """What each has done, by rank, and what went wrong there. Once one has failed, the others have a moment."""
        end, told = time.monotonic() + self.longest, dict[int, tuple[Any, str]]()
        while len(told) < len(connections) and time.monotonic() < end:
            left = [each for rank, each in enumerate(connections) if rank not in told]
            for connection in wait(left, max(end - time.monotonic(), 0)):
                rank = connections.index(connection)
                try:
                    told[rank] = connection.recv()
                except EOFError:
                    told[rank] = None, "it has ended"
                if told[rank][1]:
                    end = min(end, time.monotonic() + GRACE)
        return told

    def _stands(self, rank: int) -> str:
        """Where a process is that has not come to an end."""
        process, _, said = self.members[rank]
        with suppress(ProcessLookupError):  # it has ended just now
            os.kill(process.pid, signal.SIGUSR1)
        stands, end = "", time.monotonic() + self.longest
        while time.monotonic() < end:
            before, stands = stands, said.read_text()
            if stands and stands == before:
                break
            time.sleep(GRACE / 10)
        return f"it was not done yet:\n{stands}"


def on_mesh(processes: Any, mesh: Sequence[tuple[str, int]], work: Callable[[int, Any], Any]) -> Any:
    """What `work(rank, device_mesh)` gives on a mesh of all processes; for `Crew.run`."""
    from torch.distributed.device_mesh import init_device_mesh

    names, sizes = zip(*mesh, strict=True)
    return work(processes.rank, init_device_mesh("cpu", sizes, mesh_dim_names=names))


def _serve(rank: int, connection: Any, said: str) -> None:
    from attndsl.backends.pytorch.processes import joined
    from attndsl.running.processes import ALONE, Launch

    with open(said, "w") as stands, suppress(EOFError, BrokenPipeError):  # once nobody is there to ask
        faulthandler.register(signal.SIGUSR1, stands)
        connection.send(rank)
        while True:
            size, port, work, given = connection.recv()
            os.environ.update(MASTER_ADDR="localhost", MASTER_PORT=str(port))
            try:
                if size == 1:
                    told = work(ALONE, *given), ""
                else:
                    with joined(Launch(rank, size)) as processes:
                        told = work(processes, *given), ""
                        processes.gather(None)  # none leaves before the last is done
            except Exception:
                told = None, traceback.format_exc()
            connection.send(told)
