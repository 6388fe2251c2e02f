"""What stands in one column on lines that follow each other."""

from __future__ import annotations

from collections.abc import Iterable

from attndsl.formatting.docs import WIDTH

WIDEST_GAP = 32
"""Spaces between two parts of a line that an eye still crosses."""


def columns(cells: Iterable[tuple[int, int]]) -> list[int]:
    """Where the right part of each line begins, for lines with a left and a right part of these widths: in one column,
    as long as that makes no line too long and no gap too wide."""
    found: list[int] = []
    run: list[tuple[int, int]] = []
    for cell in cells:
        if run and not _together([*run, cell]):
            found += _column(run)
            run = []
        run.append(cell)
    return found + _column(run)


def _together(run: list[tuple[int, int]]) -> bool:
    column = max(left for left, _ in run)
    return all(column + right <= WIDTH and column - left <= WIDEST_GAP for left, right in run)


def _column(run: list[tuple[int, int]]) -> list[int]:
    return [max(left for left, _ in run)] * len(run) if run else []
