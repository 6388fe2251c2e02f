"""Being asked to stop: Ctrl-C, and SIGTERM as schedulers send it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether somebody has asked to stop: `stop` is called when it is so, and `interrupt` at a second Ctrl-C. A further
    SIGTERM says nothing new: who stops a job may send one to all of its processes, and launchers pass on theirs."""

    def __init__(self, stop: Callable[[], None], interrupt: Callable[[], None]) -> None:
        self.stop, self.interrupt = stop, interrupt
        self.to_stop = self.by_hand = False

    def __call__(self) -> bool:
        return self.to_stop

    def receive(self, number: int, frame: FrameType | None) -> None:
        by_hand = number == signal.SIGINT
        if by_hand and self.by_hand:
            self.interrupt()
        self.by_hand |= by_hand
        if not self.to_stop:
            self.to_stop = True
            self.stop()


def _interrupted() -> None:
    raise KeyboardInterrupt


@contextmanager
def asked_to_stop(
    stop: Callable[[], None] = lambda: None, interrupt: Callable[[], None] = _interrupted
) -> Iterator[StopRequest]:
    """While it lasts, Ctrl-C and SIGTERM only make a `StopRequest`. Only the main thread gets signals: in another one
    nothing changes."""
    asked = StopRequest(stop, interrupt)
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, asked.receive)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
