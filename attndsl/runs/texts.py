"""In what the texts of runs differ: each model's texts by letters, and the lines that changed from the first."""

from __future__ import annotations

import difflib
import string
from collections.abc import Iterator, Sequence
from pathlib import Path

from attndsl.runs.history import History

MOST = 8  # lines of a difference


def lettered(histories: Sequence[History]) -> dict[Path, str]:
    """A letter for each text of a model, `a` for the first; runs of the same text have the same."""
    known: dict[str, list[object]] = {}
    found = {}
    for each in histories:
        texts = known.setdefault(each.model, [])
        if each.texts not in texts:
            texts.append(each.texts)
        found[each.folder] = _letter(texts.index(each.texts))
    return found


def changes(histories: Sequence[History]) -> Iterator[str]:
    """What the other texts of a model have that the first has not, and the other way round, line by line."""
    letters = lettered(histories)
    first: dict[str, History] = {}
    told: set[tuple[str, str]] = set()
    for each in histories:
        before = first.setdefault(each.model, each)
        letter = letters[each.folder]
        if before is each or letter == "a" or (each.model, letter) in told:
            continue
        told.add((each.model, letter))
        yield f"text {letter} is not text a:"
        lines = [*_lines(before.texts, each.texts)]
        yield from (f"  {line}" for line in lines[:MOST])
        if len(lines) > MOST:
            yield f"  … and {len(lines) - MOST} lines more"


def _lines(before: dict[str, str], after: dict[str, str]) -> Iterator[str]:
    for place in dict.fromkeys((*before, *after)):
        old, new = (text.get(place, "").splitlines() for text in (before, after))
        matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
        for kind, a, b, c, d in matcher.get_opcodes():
            if kind != "equal":
                yield from (f"{place}:{number + 1}: - {old[number].strip()}" for number in range(a, b))
                yield from (f"{place}:{number + 1}: + {new[number].strip()}" for number in range(c, d))


def _letter(number: int) -> str:
    above, last = divmod(number, 26)
    return (_letter(above - 1) if above else "") + string.ascii_lowercase[last]
