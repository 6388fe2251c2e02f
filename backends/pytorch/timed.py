"""How long a process waits for others, and whether it does."""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ParamSpec

import torch.distributed as dist
from torch.utils._python_dispatch import TorchDispatchMode

from attndsl.running.processes import Result

P = ParamSpec("P")


class TimedCollectives:
    """`torch.distributed`, with the `seconds` that this process has been in it, waiting for the others included. While
    one of its threads is, `waits` counts how often it was (else it is 0)."""

    def __init__(self) -> None:
        self.seconds, self._times, self._open, self._lock = 0.0, 0, list[int](), threading.Lock()

    @property
    def waits(self) -> int:
        with self._lock:
            return self._open[-1] if self._open else 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(dist, name)
        if not inspect.isfunction(found):
            return found

        timed = self.timed(found)
        setattr(self, name, timed)
        return timed

    def timed(self, function: Callable[P, Result]) -> Callable[P, Result]:
        """The function, with the time counted that is spent in it."""

        @functools.wraps(function)
        def timed(*arguments: P.args, **named: P.kwargs) -> Result:
            began = time.perf_counter()
            try:
                with self.waiting():
                    return function(*arguments, **named)
            finally:
                with self._lock:
                    self.seconds += time.perf_counter() - began

        return timed

    @contextlib.contextmanager
    def sending(self) -> Iterator[None]:
        """In here this process may wait for others, in what `DTensor`s send: the time counts that these spend on it."""
        with self.waiting(), _Sent(self):
            yield

    @contextlib.contextmanager
    def waiting(self) -> Iterator[None]:
        """In here this process may wait for others."""
        with self._lock:
            self._times = this = self._times + 1
            self._open.append(this)
        try:
            yield
        finally:
            with self._lock:
                self._open.remove(this)


TIMED = TimedCollectives()
"""What a written file calls on the CPU, where a collective is over when its call is."""


class _Sent(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Times what is sent by the operators that `DTensor` computes with."""

    def __init__(self, collectives: TimedCollectives) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.collectives = collectives

    def __torch_dispatch__(
        self,
        operator: Any,
        types: Sequence[type],
        arguments: Sequence[Any] = (),
        named: Mapping[str, Any] | None = None,
    ) -> Any:
        if any(kind.__module__.startswith("torch.distributed") for kind in types):
            return NotImplemented  # what they compute with comes here in turn
        timed = self.collectives.timed(operator) if operator.namespace == "_c10d_functional" else operator
        return timed(*arguments, **(named or {}))


__all__ = ["TIMED", "TimedCollectives"]
