"""Whether the processes that train together are all still there.

Each says so once in a second, whatever it computes, on a thread of its own: one that evaluates, compiles or writes for
an hour is there, one that was stopped is not. The first hears all others and they hear it, so that this costs each
of these the same however many there are.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from attndsl.records import dataclass
from attndsl.storage.whose import machine, number_space

BEAT = 1.0  # seconds between two words of a process
SILENT = 20.0  # seconds after which one that says nothing is lost: what keeps Python busy in one piece may take some
STUCK = 600.0  # seconds in which all may wait for one another
FAREWELL = 5.0  # seconds in which a process ends by itself after another has taken its leave
DOUBT = 0.5  # seconds in which others hear what one said before it ended, and whether it was ended with this one


@dataclass(frozen=True, slots=True)
class Person:
    """Where a process is: its `number` on a `machine` that calls itself `host`, where the process `parent` has started
    it. Two machines may have one name, and containers on one machine several; `space` is where its number means it."""

    rank: int
    machine: str
    host: str
    number: int
    parent: int
    space: str = ""

    @property
    def launcher(self) -> tuple[str, str, int, str]:
        """What started it."""
        return self.machine, self.host, self.parent, self.space

    @staticmethod
    def here(rank: int) -> Person:
        return Person(rank, machine(), platform.node(), os.getpid(), os.getppid(), number_space())


@dataclass(frozen=True, slots=True)
class Loss:
    """Why the processes cannot go on: `who` has `ended`, or does not answer. None: all wait for one another."""

    who: Person | None
    ended: bool = False


class MeetingPoint:
    """Where the others reach the first process: it makes one and tells them of its `port` and the `token`. It listens
    at all addresses of its machine, since its own name for itself may be one that nobody else can reach."""

    def __init__(self) -> None:
        self.token = secrets.token_hex()
        try:
            self.server = socket.create_server(("", 0), family=socket.AF_INET6, backlog=512, dualstack_ipv6=True)
        except (OSError, ValueError):  # a machine without IPv6
            self.server = socket.create_server(("", 0), backlog=512)
        self.port: int = self.server.getsockname()[1]

    def all(self, count: int, seconds: float, given_up: Callable[[], int]) -> dict[Connection, int]:
        """What leads to each of the `count` others, once they have come. Raises OSError where one does not; where so
        many have `given_up`, once the others have come, or had seconds to: the first keeps count of those that fail."""
        found: dict[Connection, int] = {}
        until = time.monotonic() + seconds
        self.server.settimeout(BEAT)
        with self.server:
            while missing := count - len(found):
                with contextlib.suppress(TimeoutError), self.server.accept()[0] as come:
                    token, rank = _first_word(come, len(self.token))
                    if secrets.compare_digest(token, self.token.encode()):
                        come.settimeout(None)
                        found[Connection(come.detach())] = rank
                        continue
                if failed := given_up():
                    until = min(until, time.monotonic() + FAREWELL)
                if failed >= missing or time.monotonic() > until:
                    raise ConnectionError(f"{missing} of the processes did not reach the first")
        return found


def _first_word(come: socket.socket, length: int) -> tuple[bytes, int]:
    """The token and the rank, which whoever has come must say within seconds. Of a stranger, what it said."""
    said, until = b"", time.monotonic() + FAREWELL
    with contextlib.suppress(OSError):
        while len(said) < length + 4 and (left := until - time.monotonic()) > 0:
            come.settimeout(left)
            if not (more := come.recv(length + 4 - len(said))):
                break
            said += more
    return said[:length], int.from_bytes(said[length:])


def reach(host: str, port: int, token: str, rank: int, seconds: float) -> dict[Connection, int]:
    """What leads to the first process. Raises OSError."""
    try:
        reached = socket.create_connection((host, port), seconds)
        reached.sendall(token.encode() + rank.to_bytes(4))
    except OSError as problem:
        here = f"process {rank}, on {platform.node()}"
        raise ConnectionError(f"{here}, does not reach the first at {host}:{port}: {problem}") from None
    reached.settimeout(None)
    return {Connection(reached.detach()): 0}


class Heartbeats:
    """What one process, `persons[rank]`, hears of `others`. `waits` says in which of its waits for them it is itself,
    counted from 1 (0: it does something). Where one is lost, `says` is called in one of the rest, and `ends` in each;
    `ends` also, without a loss, where another takes its leave and this one does not (`close`). Both are called on
    a thread of their own."""

    def __init__(
        self,
        persons: Sequence[Person],
        rank: int,
        others: dict[Connection, int],
        waits: Callable[[], int],
        says: Callable[[Loss], None],
        ends: Callable[[Loss | None], None],
    ) -> None:
        self.persons, self.rank, self.others = persons, rank, others
        self.waits, self.says, self.ends = waits, says, ends
        now = time.monotonic()
        self._heard = dict.fromkeys(others, now)
        self._doing = dict.fromkeys([rank, *others.values()], (0, now))  # the wait that it is in, and since when
        self._last = float("inf")  # when this one must have left
        self._farewell = threading.Event()
        self._closed, self._speaking = threading.Event(), threading.Lock()
        threading.Thread(target=self._watch, daemon=True, name="heartbeats").start()

    def close(self) -> None:
        """Take leave: this process goes, and has said why if there is something to say."""
        self._closed.set()
        self._say({"leaves": True})

    def farewell(self, seconds: float) -> bool:
        """Whether another takes its leave, who has said why, within so many seconds."""
        return self._farewell.wait(seconds)

    def _say(self, what: dict[str, Any]) -> None:
        said = json.dumps(what).encode()
        with self._speaking:
            for connection in self.others:
                with contextlib.suppress(OSError):  # what became of it is heard
                    connection.send_bytes(said)

    def _watch(self) -> None:
        due = time.monotonic()
        while not self._closed.is_set():
            self._hear(max(due - time.monotonic(), 0.0))
            if time.monotonic() >= due:
                self._say({"waits": self.waits()})
                self._judge()
                due = time.monotonic() + BEAT

    def _hear(self, seconds: float) -> None:
        """All that was said so far: whoever was kept from hearing must not take it for silence."""
        while ready := wait(list(self._heard), seconds):
            seconds = 0.0
            for connection in ready:
                assert isinstance(connection, Connection)
                try:
                    said = json.loads(connection.recv_bytes(1000))
                except (OSError, EOFError):
                    del self._heard[connection]
                    self._gone(self.persons[self.others[connection]])
                else:
                    self._heard[connection] = time.monotonic()
                    self._told(self.others[connection], said)

    def _told(self, rank: int, said: dict[str, Any]) -> None:
        if "waits" in said:
            self._does(rank, said["waits"])
        elif "lost" in said:
            rank, ended = said["lost"]
            self._end(Loss(self.persons[rank] if rank is not None else None, ended))
        elif self._last == float("inf"):
            self._last = time.monotonic() + FAREWELL
            self._farewell.set()
            self._say({"leaves": True})

    def _does(self, rank: int, waits: int) -> None:
        if self._doing[rank][0] != waits:
            self._doing[rank] = waits, time.monotonic()

    def _gone(self, who: Person) -> None:
        time.sleep(DOUBT)
        if self._last == float("inf") and not self._closed.is_set():
            self._lost(Loss(who, ended=True))

    def _judge(self) -> None:
        now = time.monotonic()
        self._does(self.rank, self.waits())
        silent = [self.others[each] for each, then in self._heard.items() if now - then > SILENT]
        if now > self._last:
            self._end(None)
        elif silent:
            self._lost(Loss(self.persons[min(silent)]))
        elif self.rank == 0 and all(waits and now - since > STUCK for waits, since in self._doing.values()):
            self._lost(Loss(None))

    def _lost(self, loss: Loss) -> None:
        """The first process says it and tells the others; if it is lost, the next one on each machine does, which may
        notice it a little later: were the lost one ended before, it would say that it has ended by itself."""
        machine = self.persons[self.rank].machine
        if self.rank == min(it.rank for it in self.persons if it.machine == machine and it != loss.who):
            self.says(loss)
        else:
            time.sleep(2 * BEAT)
        self._say({"lost": [loss.who.rank if loss.who is not None else None, loss.ended]})
        time.sleep(DOUBT)  # whoever ends with something unheard may cut off what it has just said
        self._end(loss)

    def _end(self, loss: Loss | None) -> None:
        here, who = self.persons[self.rank], loss.who if loss is not None else None
        if loss is not None and loss.ended:
            who = None  # its number may be another's by now
        if who is not None and who != here and who.launcher == here.launcher:
            with contextlib.suppress(OSError):  # a launcher would give it half a minute
                os.kill(who.number, signal.SIGKILL)
        self._closed.set()
        self.ends(loss)
