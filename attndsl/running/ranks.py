"""The devices of a mesh in one process: each is a thread, and they meet where they exchange arrays. Nothing waits
forever: a device that fails, or comes to no meeting, ends them all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Barrier, BrokenBarrierError, Thread
from typing import TypeVar

from attndsl.layouts import Mesh
from attndsl.lazy import Array
from attndsl.records import dataclass

T = TypeVar("T")
Dimensions = Sequence[tuple[str, int]]
"""The dimensions of a mesh and their sizes; along the last one the ranks are consecutive."""

TIMEOUT = 60.0
"""Seconds that a device waits for the others."""


class Parted(Exception):
    """Devices that should have met did not: one ended, or they were on the way to different meetings."""


@dataclass(slots=True)
class Meeting:
    """Where the devices meet that differ in their place along one dimension alone."""

    barrier: Barrier
    given: list[tuple[object, Array | None]]


@dataclass(slots=True)
class Member:
    """One device, as a `Communicator`."""

    places: dict[str, int]
    meetings: dict[str, Meeting]

    def rank(self, on: str) -> int:
        """Its place along the mesh dimension `on`."""
        return self.places[on]

    def exchange(self, on: str, array: Array) -> Sequence[Array]:
        """What each device along `on` gives here. Raises `Parted` where one of them gives something that does not fit,
        or nothing."""
        meeting = self.meetings[on]
        kind = array.shape, array.dtype
        meeting.given[self.places[on]] = kind, array
        try:
            meeting.barrier.wait()
            found = list(meeting.given)
            meeting.barrier.wait()  # only then may one of them give something new
        except BrokenBarrierError:
            raise Parted(f"not all devices along `{on}` came to exchange {array.dtype}{list(array.shape)}") from None
        if any(other != kind for other, _ in found):
            raise Parted(f"the devices along `{on}` exchange {[str(other) for other, _ in found]}")
        return [given for _, given in found if given is not None]


def on_ranks(dimensions: Dimensions, work: Callable[[int, Member], T], *, timeout: float = TIMEOUT) -> list[T]:
    """What `work` gives on every device, by rank: it is called with the rank and the communicator, all at once. Raises
    what the first device raised that failed by itself; `Parted` where they wait for one another for `timeout`
    seconds."""
    members = _members(dimensions, timeout)
    found: dict[int, T] = {}
    failed: dict[int, BaseException] = {}

    def run(rank: int, member: Member) -> None:
        try:
            found[rank] = work(rank, member)
        except BaseException as problem:
            failed[rank] = problem
            for meeting in member.meetings.values():
                meeting.barrier.abort()

    threads = [Thread(target=run, args=pair, daemon=True) for pair in enumerate(members)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise min(failed.items(), key=lambda item: (isinstance(item[1], Parted), item[0]))[1]
    return [found[rank] for rank in range(len(members))]


def _members(dimensions: Dimensions, timeout: float) -> list[Member]:
    """All devices, each with the meetings that it shares."""
    meetings: dict[tuple[str, tuple[int, ...]], Meeting] = {}
    mesh, members = Mesh(tuple(dimensions)), list[Member]()
    for rank in range(mesh.devices):
        places, own = mesh.coordinates(rank), dict[str, Meeting]()
        for name, size in dimensions:
            others = tuple(place for other, place in places.items() if other != name)
            if (name, others) not in meetings:
                meetings[name, others] = Meeting(Barrier(size, timeout=timeout), [("nothing", None)] * size)
            own[name] = meetings[name, others]
        members.append(Member(places, own))
    return members
