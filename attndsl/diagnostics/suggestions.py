"""What an author may have meant: the known name nearest to an unknown one.

Every suggestion comes from `nearest`. It knows a slip of the fingers (letters left out, doubled, swapped or replaced,
one for every three letters of the name), another spelling (`LayerNorm`, `norm_layer`), and a name given in part
(`embed`, `batch_size` for `batch`). It never gives back the name itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

SEARCHES = 60
"""Searches in one run: three times the number of diagnostics shown. Later mistakes come without a suggestion."""

LONGEST = 80
"""Characters of a name: a longer one is no slip of the fingers."""

MOST = 400
"""Candidates compared letter by letter, those with the likeliest first letters and lengths first."""

FEW = 40
"""Candidates among which the first letters of a name are enough: `padding` for `pad`, but not `sinusoid` for `sin`."""

SHORTEST = 4
"""Letters that a beginning or a part of a name needs to stand for the whole."""

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
    likely = {other for other in candidates if other != name and len(other) <= LONGEST}
    if len(likely) > MOST:
        likely = set(sorted(likely, key=lambda it: (it[:1] != name[:1], abs(len(it) - len(name)), it))[:MOST])
    ranked = [(rank, other) for other in likely if (rank := _rank(name, other, few=len(likely) <= FEW)) is not None]
    return min(ranked)[1] if ranked else None


def _rank(name: str, other: str, *, few: bool) -> tuple[int, int] | None:
    """How far `other` is from `name`, the likeliest kind of slip first; None where it is none."""
    words, others = _words(name), _words(other)
    if "".join(words) == "".join(others):
        return (0, 0)
    if sorted(words) == sorted(others):
        return (1, 0)
    edits = edit_distance(name.lower(), other.lower(), allowed_edits(name, other))
    if edits is not None:
        return (2, edits)
    short, long = sorted((words, others), key=lambda it: (len(it), sum(map(len, it))))
    if max(map(len, short), default=0) >= SHORTEST and set(short) < set(long):
        return (3, 2 * (len(long) - len(short)) + (long[: len(short)] != short))
    if len(name) >= SHORTEST and other.lower().startswith(name.lower()):
        return (4, len(other) - len(name))
    if few and len(other) >= SHORTEST - 1 and name.startswith(other):
        return (5, len(name) - len(other))
    return None


def _words(name: str) -> list[str]:
    """`layer_norm`, `layer-norm` and `LayerNorm` as the words `layer` and `norm`."""
    return (
        re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower().replace("-", "_").replace(".", "_").strip("_").split("_")
    )


def allowed_edits(name: str, other: str) -> int:
    """The letters of `name` that may be wrong where `other` is meant: one in three, of the shorter; none in two."""
    shorter = min(len(name), len(other))
    if shorter < 2 or (len(name) == len(other) < 4 and sorted(name.lower()) != sorted(other.lower())):
        return 0  # `pos` is not `cos`
    return max(1, shorter // 3)


def edit_distance(a: str, b: str, most: int) -> int | None:
    """How many letters must be put in, left out, replaced or swapped with their neighbour to make `b` of `a` (the
    Damerau-Levenshtein distance with restricted transpositions); None where it is more than `most`."""
    if abs(len(a) - len(b)) > most:
        return None
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i in range(1, len(a) + 1):
        before, above, row = row, before, [i]
        for j in range(1, len(b) + 1):
            cost = a[i - 1] != b[j - 1]
            best = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + cost)
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                best = min(best, above[j - 2] + 1)
            row.append(best)
        if min(row) > most:
            return None
    return row[-1] if row[-1] <= most else None


def listed(parts: Sequence[str], word: str = "and") -> str:
    """`a, b and c`; empty where there is nothing."""
    return f" {word} ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)


def first_of(names: Sequence[str], most: int) -> str:
    """The first `most` names in a row, and `…` where there are more."""
    return ", ".join(map(quoted, names[:most])) + (", …" if len(names) > most else "")


def shortened(text: str, most: int = 60) -> str:
    """A text of the author's on one line, cut where it is too long for a message."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"


class Fix(str):
    """A help line that an editor can carry out: write `instead` in the place of `wrong`."""

    wrong: str
    instead: str

    @classmethod
    def of(cls, line: str, wrong: str, instead: str) -> Fix:
        fix = cls(line)
        fix.wrong, fix.instead = wrong, instead
        return fix


def did_you_mean(name: str, candidates: Iterable[str]) -> tuple[str, ...]:
    """A help line for an unknown name, as a tuple that may be empty."""
    found = nearest(name, candidates)
    return (Fix.of(f"did you mean `{found}`?", name, found),) if found else ()


def quoted(name: str) -> str:
    """A name as a message shows it, whatever characters a damaged file has put there."""
    safe = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in name)
    return f"`{safe}`" if len(safe) <= 120 else f"`{safe[:100]}…`"
