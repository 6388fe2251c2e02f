"""What several processes agree on, and in which order they act: here each is a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from attndsl.diagnostics import AttnError, error
from attndsl.running.processes import Agreed, Processes


def among(machines: Sequence[int], act: Callable[[Processes], Any]) -> list[Any]:
    """What `act` gives each of the processes of which so many are on each machine, by rank."""
    size = sum(machines)
    told: list[Any] = [None] * size
    met = threading.Barrier(size, timeout=30)

    class Thread(Processes):
        def __init__(self, rank: int, local: int) -> None:
            self.rank, self.local, self.size = rank, local, size

        def gather(self, value: Any) -> list[Any]:
            told[self.rank] = value
            met.wait()
            found = list(told)
            met.wait()
            return found

    places = [local for count in machines for local in range(count)]
    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(act, [Thread(rank, local) for rank, local in enumerate(places)]))


def test_the_first_acts_first_then_one_of_each_machine_then_the_rest() -> None:
    """What the first leaves in a folder that all see, the first processes of other machines find there."""
    acted: list[int] = []

    def act(process: Processes) -> int:
        def action() -> int:
            time.sleep(0.1 if process.is_first else 0.05 if process.local == 0 else 0)  # whoever is to be first is slow
            acted.append(process.rank)
            return process.rank

        return process.in_turn(action)

    assert among([3, 1, 2], act) == list(range(6))
    assert acted[0] == 0
    assert sorted(acted[1:3]) == [3, 4]
    assert sorted(acted[3:]) == [1, 2, 5]


def test_where_one_fails_in_its_turn_the_next_do_not_act() -> None:
    acted: list[int] = []

    def act(process: Processes) -> Exception:
        def action() -> None:
            acted.append(process.rank)
            if process.rank == 2:
                raise error("E0705", "the disk is full", help="make room")

        with pytest.raises(Agreed) as problem:
            process.in_turn(action)
        return problem.value.problem

    found = among([2, 2], act)
    assert acted == [0, 2]
    for problem in found:
        assert isinstance(problem, AttnError)
        assert "this is so for process 2 of 4" in str(problem)
