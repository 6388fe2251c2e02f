"""What something costs: in steps, which are the same on any machine, however busy; and whether it ends soon."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

TRIES = 6


def steps(act: Callable[[], object]) -> int:
    """The lines of Python that it runs, and its calls. What C does in one step counts as one, however long it takes."""
    counted = 0

    def count(frame: FrameType, event: str, argument: object) -> object:
        nonlocal counted
        counted += 1
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        act()
    finally:
        sys.settrace(before)
    return counted


@contextmanager
def _clock() -> Iterator[Callable[[], float]]:
    """The processor seconds since it began. The collector of cycles is off meanwhile: it walks over what other tests
    hold."""
    gc.disable()
    begun = time.process_time()
    try:
        yield lambda: time.process_time() - begun
    finally:
        gc.enable()


def seconds(act: Callable[[], object], times: int = 1) -> float:
    """The processor seconds of so many times."""
    with _clock() as clock:
        for _ in range(times):
            act()
        return clock()


def is_ever_less(cost: Callable[[], float], than: Callable[[], float]) -> bool:
    """Whether it costs less, at one of some tries: both last about as long, so that what else runs slows both."""
    return any(cost() < than() for _ in range(TRIES))


@contextmanager
def less_than(most: float) -> Iterator[None]:
    """What is done in here takes less than so many processor seconds: a bound that is far away, since it may take some
    times as many on a busy machine."""
    with _clock() as clock:
        yield
        took = clock()
    assert took < most, f"it took {took:.2f} s"
