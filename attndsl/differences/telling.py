"""Differences as text."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

from attndsl.differences.changes import Change, Differences
from attndsl.differences.classes import MEANINGS
from attndsl.inspection.table import quantity

MOST_SHAPES = 4
"""Parameters of another shape that are told one by one; `to_json` has them all."""


def told(found: Differences) -> str:
    """The changes by class, worst first, below what there is of parameters and FLOPs on both sides."""
    before, after = found.names
    if not found.changes:
        return f"{before} and {after} mean the same"
    count = len(found.changes)
    head = f"{before} → {after}: {count} {'change' if count == 1 else 'changes'}"
    lines = [f"{head}; equal up to renaming" if found.equal else head]
    lines += _numbers("parameters", found.parameters, lambda n: f"{n:,}")
    lines += _numbers("FLOPs", found.flops, quantity)
    width = min(max(len(it.where) for it in found.changes), 40)
    for kind, changes in groupby(found.changes, lambda it: it.kind):
        lines += ["", f"{kind}: {MEANINGS[kind]}"]
        lines += [f"  {it.where:<{width}}  {it.text}".rstrip() for it in _folded(list(changes))]
    return "\n".join(lines)


def _folded(changes: list[Change]) -> list[Change]:
    """The changes; of many shapes of parameters, as another width gives them, the first and how many more."""
    shapes = [it for it in changes if it.kind == "weights" and it.what == "shape"]
    if len(shapes) <= MOST_SHAPES:
        return changes
    first = shapes[0]
    told = Change(first.kind, first.what, first.where, f"{first.text}, and {len(shapes) - 1} more of another shape")
    return [told if it is first else it for it in changes if it is first or it not in shapes]


def _numbers(name: str, pair: tuple[int, int], shown: Callable[[int], str]) -> list[str]:
    texts = [shown(number).strip() for number in pair]
    return [f"{name} {texts[0]} → {texts[1]}"] if pair[0] != pair[1] else []
