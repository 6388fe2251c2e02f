"""Being asked to stop: Ctrl-C, and SIGTERM as schedulers send it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stops_go_to(receive: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """While it lasts, what asks to stop goes to `receive`. Only the main thread gets signals: in another one nothing
    changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, receive)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
