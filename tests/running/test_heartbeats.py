"""Heartbeats of processes that train together: what is heard of whom, and who says it."""

from __future__ import annotations

import os
import queue
import socket
import threading
import time
from collections.abc import Iterator
from multiprocessing import connection
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from attndsl.records import replace
from attndsl.running import heartbeats
from attndsl.running.heartbeats import Heartbeats, Loss, MeetingPoint, Person, reach
from attndsl.storage import whose

NOBODY = 2**22 + 1
"""The number of a process that no machine has."""

PATIENCE = 60.0
"""Seconds after which what does not come is taken for an error: a busy machine takes some."""

Event = tuple[int, str, Loss | None]


class Circle:
    """Watches of several processes that are threads here; `events` is what they say and how they end. Their clock
    stands still but for `pass_time`: how long this machine keeps one of them waiting is nothing to them."""

    def __init__(self, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
        machines = ["here" if rank < 2 else "there" for rank in range(count)]
        self.persons = [Person(rank, machines[rank], "host", NOBODY, -rank) for rank in range(count)]
        self.events = queue.Queue[Event]()
        self.waits = [0] * count
        self.frozen = {rank: threading.Event() for rank in range(count)}
        self.now = 0.0
        self.slept, self.awake = queue.Queue[float](), threading.Event()
        self.awake.set()
        self._ranks = dict[threading.Thread, int]()
        self._read = dict[threading.Thread, float]()  # what each has last read from the clock
        self._rested, self._stands = dict[int, float](), set[int]()  # until when it has done all, and who is frozen
        meeting = MeetingPoint()
        met: dict[Connection, int] = {}
        hub = threading.Thread(target=lambda: met.update(meeting.all(count - 1, PATIENCE, lambda: 0)))
        hub.start()
        ends = [reach("localhost", meeting.port, meeting.token, rank, PATIENCE) for rank in range(1, count)]
        hub.join()
        monkeypatch.setattr(heartbeats, "time", self)
        monkeypatch.setattr(heartbeats, "wait", self._wait)
        self.members = [self._member(rank, met if rank == 0 else ends[rank - 1]) for rank in range(count)]
        self._settle()

    def _member(self, rank: int, others: dict[Connection, int]) -> Heartbeats:
        def waits() -> int:
            self._ranks[threading.current_thread()] = rank
            while self.frozen[rank].is_set():  # so that nothing more is said
                self._stands.add(rank)
                time.sleep(0.001)
            return self.waits[rank]

        def says(loss: Loss) -> None:
            self.events.put((rank, "says", loss))

        def ends(loss: Loss | None) -> None:
            self.events.put((rank, "ends", loss))

        return Heartbeats(self.persons, rank, others, waits, says, ends)

    def monotonic(self) -> float:
        self._read[threading.current_thread()] = self.now
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.put(seconds)
        self.awake.wait(PATIENCE)

    def _wait(self, connections: list[Connection], seconds: float) -> list[Any]:
        this = threading.current_thread()
        if seconds:  # until its next beat there is nothing that it has not done
            self._rested[self._ranks[this]] = self._read[this]
        return connection.wait(connections, 0.001 if seconds else 0.0)

    def pass_time(self, seconds: float) -> None:
        """Each that is still there beats as often as it does in so much time."""
        for _ in range(round(seconds / heartbeats.BEAT)):
            self.now += heartbeats.BEAT
            self._settle()

    def _settle(self) -> None:
        until = time.monotonic() + PATIENCE
        for rank, member in enumerate(self.members):
            while not (self._rested.get(rank) == self.now or rank in self._stands or member._closed.is_set()):
                assert time.monotonic() < until, f"{rank} does not beat"
                time.sleep(0.001)

    def freeze(self, rank: int) -> None:
        """Let it do nothing any more."""
        self.frozen[rank].set()
        self.pass_time(heartbeats.BEAT)

    def heard(self, count: int) -> set[Event]:
        return {self.events.get(timeout=PATIENCE) for _ in range(count)}

    def close(self) -> None:
        for rank, member in enumerate(self.members):
            self.frozen[rank].clear()
            member.close()
        for thread in self._ranks:
            thread.join(PATIENCE)


@pytest.fixture
def circle(monkeypatch: pytest.MonkeyPatch) -> Iterator[Circle]:
    monkeypatch.setattr(heartbeats, "STUCK", 20.0)
    made = Circle(4, monkeypatch)
    yield made
    made.close()


def test_nobody_is_lost_who_computes_for_long(circle: Circle) -> None:
    circle.waits[:3] = [1, 1, 1]
    circle.pass_time(2 * max(heartbeats.SILENT, heartbeats.STUCK))
    assert circle.events.empty()


def test_one_that_is_silent(circle: Circle) -> None:
    """The first process says it, and all others end."""
    circle.freeze(2)
    circle.pass_time(2 * heartbeats.SILENT)
    loss = Loss(circle.persons[2])
    assert circle.heard(4) == {(0, "says", loss), (0, "ends", loss), (1, "ends", loss), (3, "ends", loss)}


def test_the_first_is_silent(circle: Circle) -> None:
    """The next one on each machine says it."""
    circle.freeze(0)
    circle.pass_time(2 * heartbeats.SILENT)
    loss = Loss(circle.persons[0])
    said = {(1, "says", loss), (2, "says", loss)}
    assert circle.heard(5) == said | {(rank, "ends", loss) for rank in (1, 2, 3)}


def test_whoever_does_not_say_it_gives_the_other_time_to(circle: Circle) -> None:
    """It would end what is lost, and the other say that it has ended without a word."""
    loss = Loss(circle.persons[0])
    circle.awake.clear()
    loses = threading.Thread(target=circle.members[3]._lost, args=(loss,))
    loses.start()
    assert circle.slept.get(timeout=PATIENCE) == 2 * heartbeats.BEAT
    circle.pass_time(heartbeats.BEAT)
    assert circle.events.empty()
    circle.awake.set()
    assert circle.heard(2) == {(0, "ends", loss), (3, "ends", loss)}  # it was told so
    loses.join()


def test_one_that_has_ended(circle: Circle) -> None:
    circle.freeze(1)
    for reached in circle.members[1].others:
        with socket.socket(fileno=os.dup(reached.fileno())) as its_end:
            its_end.shutdown(socket.SHUT_RDWR)
    loss = Loss(circle.persons[1], ended=True)
    assert circle.heard(4) == {(0, "says", loss), *((rank, "ends", loss) for rank in (0, 2, 3))}


def test_one_that_leaves_takes_the_others_along(circle: Circle) -> None:
    """It has said why; they do not."""
    circle.members[3].close()
    circle.pass_time(3 * heartbeats.FAREWELL)
    assert circle.heard(3) == {(rank, "ends", None) for rank in (0, 1, 2)}


def test_waits_that_end_are_not_taken_for_one(circle: Circle) -> None:
    for _ in range(10):
        circle.waits[:] = [each + 1 for each in circle.waits]
        circle.pass_time(heartbeats.STUCK / 4)
    assert circle.events.empty()


def test_all_wait_for_one_another(circle: Circle) -> None:
    circle.waits[:] = [3, 1, 2, 2]
    circle.pass_time(2 * heartbeats.STUCK)
    loss = Loss(None)
    assert circle.heard(5) == {(0, "says", loss), *((rank, "ends", loss) for rank in range(4))}


@pytest.mark.parametrize("said", [b"", b"\0", b"5", b"[1, 5]", b"\0\0\0\x011", bytes(1000)], ids=repr)
def test_a_stranger_is_not_let_in(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it keep the others out, by what it says or by falling silent."""
    monkeypatch.setattr(heartbeats, "FAREWELL", 0.5)
    meeting = MeetingPoint()
    with socket.create_connection(("localhost", meeting.port)) as stranger:
        stranger.sendall(said)
        reach("localhost", meeting.port, "guessed", 1, PATIENCE)
        own = reach("localhost", meeting.port, meeting.token, 300, PATIENCE)
        met = meeting.all(1, PATIENCE, lambda: 0)
    assert list(met.values()) == [300]
    next(iter(own)).send_bytes(b"it is I")
    assert next(iter(met)).recv_bytes() == b"it is I"


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "::1"])
def test_the_first_is_met_at_each_of_its_addresses(address: str) -> None:
    """Whatever its name is to itself: on many machines `/etc/hosts` has a loopback address for it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        socket.create_server((address, 0), family=family).close()
    except OSError:
        pytest.skip(f"{address} is no address of this machine")
    meeting = MeetingPoint()
    reach(address, meeting.port, meeting.token, 1, PATIENCE)
    assert list(meeting.all(1, PATIENCE, lambda: 0).values()) == [1]


def test_the_first_does_not_wait_for_one_that_has_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """But, for some seconds, for those that have not: it keeps count of who failed."""
    monkeypatch.setattr(heartbeats, "BEAT", 0.01)
    with pytest.raises(ConnectionError, match="2 of the processes did not reach the first"):
        MeetingPoint().all(2, PATIENCE, lambda: 2)
    with pytest.raises(ConnectionError, match="1 of the processes did not"):
        MeetingPoint().all(1, 0.05, lambda: 0)
    meeting = MeetingPoint()
    own = reach("localhost", meeting.port, meeting.token, 1, PATIENCE)
    with pytest.raises(ConnectionError, match="1 of the processes did not"):
        meeting.all(2, PATIENCE, lambda: 1)
    del own
    monkeypatch.setattr(heartbeats, "FAREWELL", 0.05)
    with pytest.raises(ConnectionError, match="2 of the processes did not"):
        MeetingPoint().all(2, PATIENCE, lambda: 1)


def test_a_machine_is_known_by_its_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is something to know it by; else by its name."""
    (tmp_path / "boot_id").write_text("a number\n")
    monkeypatch.setattr(whose, "_KERNEL", tmp_path / "boot_id")
    here = Person.here(3)
    assert (here.rank, here.machine, here.host, here.number) == (3, "a number", socket.gethostname(), os.getpid())
    monkeypatch.setattr(whose, "_KERNEL", tmp_path / "none")
    assert Person.here(3).machine == socket.gethostname()


def test_only_one_that_is_still_there_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of a process that has ended may be another's."""
    killed = list[int]()
    monkeypatch.setattr(os, "kill", lambda number, _: killed.append(number))
    persons = [Person(rank, "here", "host", NOBODY + rank, 1) for rank in range(2)]
    away = [replace(persons[1], machine="there"), replace(persons[1], host="container"), replace(persons[1], parent=2)]
    away.append(replace(persons[1], space="pid:[2]"))
    for who in away:
        Heartbeats([persons[0], who], 0, {}, lambda: 0, lambda loss: None, lambda loss: None)._end(Loss(who))
    assert not killed
    for loss in (Loss(persons[1], ended=True), Loss(persons[0]), Loss(None), Loss(persons[1])):
        Heartbeats(persons, 0, {}, lambda: 0, lambda loss: None, lambda loss: None)._end(loss)
    assert killed == [persons[1].number]
