"""Warnings on their way to whoever listens: what is not wrong by the rules of the language, but hardly what was meant.

A part that finds one says `warn(…)`, wherever it is called from. The command line listens and prints, a `Model` listens
and keeps; where nobody does, nothing is looked for (`is_heard`) and nothing happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from attndsl.diagnostics.diagnostic import Diagnostic

Listener = Callable[[tuple[Diagnostic, ...]], None]

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def warn(*found: Diagnostic) -> None:
    """Tell the innermost listener, if there is one, of warnings that belong together."""
    listener = _listener.get()
    if listener is not None and found:
        listener(found)


def is_heard() -> bool:
    """Whether anybody listens; without, nothing needs to be looked for."""
    return _listener.get() is not None


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Within it, `listener` gets the warnings, and nobody outside does."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def collected() -> Iterator[list[Diagnostic]]:
    """Within it, warnings are kept in a list, each once."""
    found: list[Diagnostic] = []
    with listening(lambda group: found.extend(one for one in dict.fromkeys(group) if one not in found)):
        yield found
