"""Tables for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

GAP = "  "


def aligned(headings: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str] = ()) -> list[str]:
    """The lines of a table in plain columns; those called `numbers` are aligned at the right."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    lines = []
    for row in (headings, *rows):
        cells = [
            cell.rjust(width) if heading in numbers else cell.ljust(width)
            for cell, width, heading in zip(row, widths, headings, strict=True)
        ]
        lines.append(GAP.join(cells).rstrip())
    return lines
