"""Lines of lexemes → text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from attndsl.formatting.columns import columns
from attndsl.formatting.docs import WIDTH, ArrangedLine, Arrangement, BodyLines, Doc, Space
from attndsl.formatting.expressions import ARROWS, statement
from attndsl.formatting.lexemes import DOCS, Braces, FileText, Item, Lexeme, Listed, Sentence, first_of, last_of

INDENT = 2
BEFORE_COMMENT = 2
"""Spaces between what is written on a line and the comment behind it, at least."""


def write(text: FileText) -> str:
    """The text, each line with its end."""
    _part_declarations(text.lines)
    return "".join(line + "\n" for line in _with_comments(_body(text.lines, 0, text.end)))


# ---------------------------------------------------------------- the lines of a body


def _body(lines: Sequence[Sentence], margin: int, end: Lexeme) -> list[ArrangedLine]:
    """The lines of a body, at `margin`, with the comments before its `end`."""
    _align(lines, margin)
    written: list[ArrangedLine] = []
    for line in lines:
        written += _above(line.first, margin)
        written += _line(line, margin)
    written += _above(end, margin)
    while written and written[-1] == ArrangedLine(""):
        written.pop()
    while written and written[0] == ArrangedLine(""):
        del written[0]
    return written


def _above(lexeme: Lexeme, margin: int) -> list[ArrangedLine]:
    """The comments and empty lines above, which are no longer there then."""
    found = [ArrangedLine(" " * margin + comment if comment else "") for comment in lexeme.above]
    lexeme.above = []
    return found


def _line(line: Sentence, margin: int) -> list[ArrangedLine]:
    if line.first.kind in DOCS:
        return [ArrangedLine(" " * margin + _doc(it)) for it in line.first.text.split("\n")]
    short = _short(line, margin)
    if short is not None:
        return [short]

    def expanded(body: Braces) -> Doc:
        return [body.open, BodyLines(_body(body.lines, margin + INDENT, body.close)), body.close]

    return Arrangement(margin).lay_out(statement(line, expanded))


def _short(line: Sentence, margin: int) -> ArrangedLine | None:
    """The line where it takes one, braces and all."""
    if not all(it.in_a_line for it in _braces(line.items)):
        return None
    written = Arrangement(margin).lay_out(statement(line, _on_one_line))
    return written[0] if len(written) == 1 and len(written[0].code) <= WIDTH else None


def _doc(line: str) -> str:
    text = line.strip().removeprefix("///").rstrip()
    return f"/// {text.removeprefix(' ')}" if text else "///"


def _on_one_line(body: Braces) -> Doc:
    inside = [(Space(), statement(line, _on_one_line)) for line in body.lines]
    return [body.open, *inside, Space(), body.close]


def _braces(items: Iterable[Item]) -> Iterable[Braces]:
    """The braces of a statement, without those inside others."""
    for item in items:
        if isinstance(item, Braces):
            yield item
        elif isinstance(item, Listed):
            for part in item.parts:
                yield from _braces(part)


# ---------------------------------------------------------------- declarations


def _part_declarations(lines: Sequence[Sentence]) -> None:
    """Put an empty line between declarations, except between those of a kind that take one line each and stand
    together, and none between one and its `///` lines."""
    before: Sentence | None = None
    doc: Lexeme | None = None
    for line in lines:
        first = line.first
        if first.kind == "FILE_DOC":
            continue
        if doc is not None:
            first.above = [it for it in first.above if it]
        if first.kind == "DOC":
            doc = first
            continue
        top = doc or first
        together = before is not None and doc is None and _alike(before, line)
        if "" not in top.above and not together:
            top.above.insert(0, "")
        before, doc = line, None


def _alike(one: Sentence, other: Sentence) -> bool:
    return one.first.kind == other.first.kind and _short(one, 0) is not None and _short(other, 0) is not None


# ---------------------------------------------------------------- columns


def _align(lines: Sequence[Sentence], margin: int) -> None:
    """Put what is alike on lines that follow each other in one column: the `=` of a recipe, the arrows of a `weights`
    section, the braces of variants."""
    run: list[Sentence] = []
    for line in lines:
        if run and (line.first.above or _place(line, margin) is None):
            _align_run(run, margin)
            run = []
        if _place(line, margin) is not None:
            run.append(line)
    _align_run(run, margin)


def _align_run(run: Sequence[Sentence], margin: int) -> None:
    cells: list[tuple[int, int]] = []
    for line in run:
        place = _place(line, margin)
        head = Arrangement(margin).lay_out(statement(Sentence(line.items[:place], line.owner), _on_one_line))
        whole = _short(line, margin)
        left = len(head[-1].code)
        cells.append((left, _width(whole) - left if whole else 1))
    for line, (left, _), column in zip(run, cells, columns(cells), strict=True):
        first_of(line.items[_place(line, margin) or 0]).pad = column - left


def _place(line: Sentence, margin: int) -> int | None:
    """Where the part of a line is that goes under the one of the line before."""
    kinds = [first_of(item).kind for item in line.items]
    found: frozenset[str] = frozenset()
    if line.owner == "TRAIN" and kinds[0] == "NAME":
        found = frozenset({"EQUALS"})
    elif line.owner == "VARIANT" and kinds[0] == "VARIANT":
        found = frozenset({"LBRACE"})
    elif line.owner in ("WEIGHTS", "MAPS") and kinds[0] == "STRING" and "COMMA" not in kinds and _short(line, margin):
        found = ARROWS
    place = next((number for number, kind in enumerate(kinds) if kind in found), None)
    is_first = place and (last_of(line.items[place - 1]).behind or first_of(line.items[place]).above)  # on a line
    return None if is_first else place


def _width(line: ArrangedLine) -> int:
    return len(line.code) + (BEFORE_COMMENT + len(line.comment) if line.comment else 0)


def _with_comments(lines: Sequence[ArrangedLine]) -> list[str]:
    """The lines with the comments behind them, which are in one column on lines that follow each other."""
    found: list[str] = []
    for commented, run in groupby(lines, lambda line: bool(line.comment)):
        together = list(run)
        cells = [(len(line.code) + BEFORE_COMMENT, len(line.comment)) for line in together]
        places = columns(cells) if commented else [0] * len(together)
        found += [line.code.ljust(place) + line.comment for line, place in zip(together, places, strict=True)]
    return found
