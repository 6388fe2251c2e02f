"""What something costs in processor time, on a machine that is busy with something else. The collector of cycles is off
meanwhile: it walks through what other tests hold."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
TRIES = 6


@contextmanager
def _clock() -> Iterator[Callable[[], float]]:
    """The processor seconds since it began."""
    gc.disable()
    begun = time.process_time()
    try:
        yield lambda: time.process_time() - begun
    finally:
        gc.enable()


def seconds(act: Callable[[], object]) -> float:
    with _clock() as clock:
        act()
        return clock()


@contextmanager
def less_than(most: float) -> Iterator[None]:
    """What is done in here takes less than so many processor seconds: a bound that is far away, since it may take some
    times as many on a busy machine."""
    with _clock() as clock:
        yield
        took = clock()
    assert took < most, f"it took {took:.2f} s"


def times_as_much(
    act: Callable[[], T], usual: Callable[[], T], most: float, cost: Callable[[Callable[[], T]], float] = seconds
) -> float:
    """How many times as much it costs to `act` as what is `usual`: by the least of each, since what else runs adds and
    never takes. It is tried until that is less than `most`, or often enough."""
    acts, usuals = list[float](), list[float]()
    for _ in range(TRIES):
        usuals += (cost(usual) for _ in range(3))
        acts.append(cost(act))
        if min(acts) < most * min(usuals):
            break
    return min(acts) / min(usuals)
