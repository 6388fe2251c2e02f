"""What somebody may have meant: the nearest of the names that there are, as long as somebody reads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

SEARCHES = 60
"""Searches in one run: three times as many as mistakes are told. After these a mistake comes without a suggestion."""

LONGEST = 80
"""Characters of a name; nobody slips in one that is longer."""

MOST = 400
"""Candidates that are looked at closely, those of the likeliest lengths and first letters before others."""

_left: ContextVar[list[int] | None] = ContextVar("left", default=None)


@contextmanager
def few_suggestions() -> Iterator[None]:
    """Within it, at most `SEARCHES` names are searched for, so that a text with n wrong names costs n and not n²."""
    if _left.get() is not None:
        yield
        return
    token = _left.set([SEARCHES])
    try:
        yield
    finally:
        _left.reset(token)


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that `name` is most likely a slip for, or None; ties go to the alphabetically first."""
    left = _left.get()
    if left is not None:
        if not left[0]:
            return None
        left[0] -= 1
    if len(name) > LONGEST:
        return None
    # What is more than 7/3 as long, or less than 3/7, cannot be near enough.
    likely = {other for other in candidates if 3 * len(other) <= 7 * len(name) and 3 * len(name) <= 7 * len(other)}
    if len(likely) > MOST:
        likely = set(sorted(likely, key=lambda it: (it[:1] != name[:1], abs(len(it) - len(name)), it))[:MOST])
    import difflib  # only a mistake pays for it

    found = difflib.get_close_matches(name, sorted(likely), n=1, cutoff=0.6)
    return found[0] if found else None


def did_you_mean(name: str, candidates: Iterable[str]) -> tuple[str, ...]:
    """A help line for an unknown name, as a tuple that may be empty."""
    found = nearest(name, candidates)
    return (f"did you mean `{found}`?",) if found else ()
