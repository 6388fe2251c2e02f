"""Tables of text and of code, and how they are written in Markdown and in LaTeX."""

from __future__ import annotations

from collections.abc import Sequence

from attndsl.records import Frozen
from attndsl.typesetting.escaping import (
    code_in_latex,
    code_in_markdown,
    in_latex,
    in_markdown,
    prose_in_latex,
    prose_in_markdown,
)


class Cell(Frozen):
    """`code` is as a spec writes it; `text` follows it, behind a space where there are both. `indent` counts levels."""

    text: str = ""
    code: str = ""
    indent: int = 0


class PaperTable(Frozen):
    """`groups` are rows with a rule between one group and the next. The first `left` columns hold text, which begins at
    the left; the others hold numbers, which end at the right. In `caption` and `notes`, code stands between `` ` ``."""

    caption: str
    head: tuple[Cell, ...]
    left: int
    groups: tuple[tuple[tuple[Cell, ...], ...], ...]
    notes: tuple[str, ...] = ()


def as_markdown(tables: Sequence[PaperTable]) -> str:
    """The tables in GitHub's dialect, each with its caption above and its notes below."""
    return "\n".join(map(_markdown, tables))


def as_latex(tables: Sequence[PaperTable]) -> str:
    """The tables as floats, for a document that loads `booktabs` and `textcomp` (part of LaTeX since 2020), in T1."""
    head = "% in the preamble: \\usepackage[T1]{fontenc} \\usepackage{booktabs} \\usepackage{textcomp}\n"
    return head + "\n".join(map(_latex, tables))


def _markdown(table: PaperTable) -> str:
    rows = [[_markdown_cell(cell) for cell in row] for group in table.groups for row in group]
    head = [_markdown_cell(cell) for cell in table.head]
    widths = [max(3, *(len(row[column]) for row in (head, *rows))) for column in range(len(head))]
    rule = ["-" * width if i < table.left else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    lines = [prose_in_markdown(table.caption), ""]
    for row in (head, rule, *rows):
        cells = (
            cell.ljust(width) if i < table.left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append(f"| {' | '.join(cells)} |")
    for note in table.notes:
        lines += ["", prose_in_markdown(note)]
    return "\n".join(lines) + "\n"


def _markdown_cell(cell: Cell) -> str:
    parts = (code_in_markdown(cell.code), in_markdown(cell.text))
    return "&emsp;" * cell.indent + " ".join(part for part in parts if part)


def _latex(table: PaperTable) -> str:
    columns = "l" * table.left + "r" * (len(table.head) - table.left)
    lines = [
        r"\begin{table}[t]",
        r"  \centering",
        rf"  \caption{{{prose_in_latex(table.caption)}}}",
        rf"  \begin{{tabular}}{{{columns}}}",
        r"    \toprule",
        _latex_row(table.head),
    ]
    for group in table.groups:
        lines += [r"    \midrule", *map(_latex_row, group)]
    lines += [r"    \bottomrule", r"  \end{tabular}"]
    lines += [rf"  \par\smallskip{{\footnotesize {prose_in_latex(note)}}}" for note in table.notes]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _latex_row(row: Sequence[Cell]) -> str:
    return "    " + " & ".join(map(_latex_cell, row)) + r" \\"


def _latex_cell(cell: Cell) -> str:
    parts = (code_in_latex(cell.code), in_latex(cell.text))
    return r"\quad " * cell.indent + " ".join(part for part in parts if part)
