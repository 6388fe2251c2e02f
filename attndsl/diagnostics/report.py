"""Diagnostics as text for people (with or without colour) and as JSON for tools.

error[E0203]: `hidden` is added to `width`
  --> my.attn:9:10
   |
 3 | model M(width=768, heads=12, hidden=770) {
   |         --------- x: [B, T, width] since line 6
   …
 9 |     x += linear(layer_norm(x), hidden)
   |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ [B, T, hidden]
   |
   = help: project back with `linear(…, width)`
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any, TextIO

from attndsl.diagnostics import MOST_TOLD, AttnError, Diagnostic, Label, Source, Span
from attndsl.records import Frozen

SCHEMA = "attndsl.diagnostics/1"
"""What `to_json` returns; its version goes up when a field changes its meaning or goes away."""

TAB = 4
MAX_WIDTH = 110
"""Columns of a source line that are shown; longer lines are cut around what is underlined."""

_STYLES = {
    "error": "1;31",
    "warning": "1;33",
    "secondary": "1;34",
    "frame": "1;34",
    "bold": "1",
    "note": "1",
    "help": "1;36",
}


def wants_color(stream: TextIO) -> bool:
    """Whether to write colours to `stream`: `NO_COLOR` forbids them, `FORCE_COLOR` demands them (each when set and not
    empty; the first wins), otherwise a terminal that is not `TERM=dumb` gets them."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    if os.environ.get("TERM") == "dumb":
        return False
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


def to_json(diagnostics: Iterable[Diagnostic]) -> dict[str, Any]:
    """Diagnostics as data for `json.dumps`.

    ``{"schema": "attndsl.diagnostics/1", "diagnostics": [{"severity", "code", "message", "primary", "secondary",
    "notes", "helps", "fixes"}, …], "more": 0}`` where `severity` is error or warning (errors come first), `primary` a
    label or null, `secondary` a list of labels, `notes` and `helps` lists of strings; `fixes` are the helps that a
    program can carry out, ``{"help", "place", "write"}``: `write` goes where the label `place` is. A label is
    ``{"file", "start", "end", "text"}``; `start` and `end` (which is after the last character) are ``{"line",
    "column", "offset"}``, lines and columns counted from 1, offsets from 0, all in Unicode characters. There are at
    most `MOST_TOLD` diagnostics, and `more` says how many there are beside them.
    """
    shown, more = _told(diagnostics)

    def position(source: Source, offset: int) -> dict[str, int]:
        line, column = source.position(offset)
        return {"line": line, "column": column, "offset": offset}

    def label(it: Label) -> dict[str, Any]:
        span = it.span.in_file
        return {
            "file": span.source.name,
            "start": position(span.source, span.start),
            "end": position(span.source, span.end),
            "text": it.text,
        }

    return {
        "schema": SCHEMA,
        "diagnostics": [
            {
                "severity": d.severity,
                "code": d.code,
                "message": d.message,
                "primary": label(d.primary) if d.primary else None,
                "secondary": [label(it) for it in d.secondary],
                "notes": list(d.notes),
                "helps": [str(help) for help in d.helps],
                "fixes": [{"help": help, "place": label(Label(at)), "write": text} for help, at, text in d.fixes],
            }
            for d in shown
        ],
        "more": more,
    }


def _told(diagnostics: Iterable[Diagnostic]) -> tuple[list[Diagnostic], int]:
    """Those that are shown, errors before warnings, and how many others there are."""
    found = sorted(diagnostics, key=lambda it: it.is_warning)
    return found[:MOST_TOLD], max(0, len(found) - MOST_TOLD)


def counted(diagnostics: Iterable[Diagnostic]) -> str:
    """How many warnings there are, for the line after them: `2 warnings`; nothing where there are none."""
    number = sum(it.is_warning for it in diagnostics)
    return f"{number:,} warning{'' if number == 1 else 's'}" if number else ""


def render(diagnostics: Iterable[Diagnostic], *, color: bool) -> str:
    """The diagnostics one after the other, with an empty line between them; no newline at the end. After
    `MOST_TOLD` of them stands how many more there are."""
    shown, more = _told(diagnostics)
    texts = [_Report(d, color).text() for d in shown]
    return "\n\n".join([*texts, f"… and {more:,} more"] if more else texts)


def for_notebook(problem: AttnError) -> list[str]:
    """What a notebook shows of an error, line by line: the diagnostics, and the line of the user's own that they came
    from (not the way through our code). With `ATTNDSL_TRACEBACK` set, the whole traceback."""
    import traceback

    if os.environ.get("ATTNDSL_TRACEBACK"):
        return "".join(traceback.format_exception(problem)).splitlines()
    lines = render(problem.diagnostics, color=not os.environ.get("NO_COLOR")).split("\n")
    ours = str(Path(__file__).resolve().parents[1]) + os.sep
    theirs = list(takewhile(lambda f: not f.filename.startswith(ours), traceback.extract_tb(problem.__traceback__)))
    if theirs and theirs[-1].line:
        lines += ["", f"in line {theirs[-1].lineno}: {theirs[-1].line}"]
    return lines


# ---------------------------------------------------------------- characters on a screen


def printable(text: str) -> str:
    """`text` without characters that could move the cursor, colour the terminal or turn the writing round."""
    if text.isprintable():
        return text
    return "".join(
        c if c == "\n" or c.isprintable() else f"\\x{ord(c):02x}" if ord(c) < 256 else f"\\u{ord(c):04x}" for c in text
    )


QUOTED = 160
"""Characters of the author's text that a message quotes at a time."""

LONGEST = 1_200
"""Characters of a message, a note or a help."""

_LONG_QUOTE = re.compile(rf"`[^`]{{{QUOTED},}}`")


def as_message(text: str) -> str:
    """`text` as it is shown: what it quotes is cut in the middle where that is long, and so is the whole."""
    if len(text) > QUOTED:
        text = _LONG_QUOTE.sub(lambda found: f"`{_shortened(found.group()[1:-1], QUOTED)}`", text)
    return printable(_shortened(text, LONGEST))


def _shortened(text: str, most: int) -> str:
    """The beginning and the end of a text that is longer than `most`."""
    return text if len(text) <= most else f"{text[: most - most // 5]}…{text[-(most // 5) :]}"


def _cells(line: str) -> tuple[str, list[int]]:
    """The line as it is shown (tabs as spaces, controls as `�`), and the column where each of its characters starts."""
    shown: list[str] = []
    columns: list[int] = []
    at = 0
    for character in line:
        columns.append(at)
        if character == "\t":
            width = TAB - at % TAB
            character = " " * width
        elif not character.isprintable():
            character, width = "�", 1
        elif unicodedata.combining(character):
            width = 0
        else:
            width = 2 if unicodedata.east_asian_width(character) in "WF" else 1
        shown.append(character)
        at += width
    columns.append(at)
    return "".join(shown), columns


def _cut(shown: str, first: int, last: int) -> str:
    """The characters of `shown` in the columns `first <= column < last`; half a wide character becomes a space."""
    out: list[str] = []
    at = 0
    for character in shown:
        wide = unicodedata.east_asian_width(character) in "WF"
        width = 0 if unicodedata.combining(character) else 2 if wide else 1
        if first <= at and at + width <= last:
            out.append(character)
        elif width == 2 and first < at + width and at < last:
            out.append(" ")
        at += width
    return "".join(out)


# ---------------------------------------------------------------- one diagnostic


class _Mark(Frozen):
    """A part of a line to underline, in columns; `text` stands beside it."""

    start: int
    end: int
    text: str
    is_primary: bool


class _Report:
    def __init__(self, diagnostic: Diagnostic, color: bool) -> None:
        self.diagnostic = diagnostic
        self.color = color
        labels = [diagnostic.primary] if diagnostic.primary else []
        labels += diagnostic.secondary
        self.gutter = max((len(str(_last_line(label.span))) for label in labels), default=0) + 2

    def paint(self, style: str, text: str) -> str:
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.color and text else text

    def style(self, mark: _Mark) -> str:
        return self.diagnostic.severity if mark.is_primary else "secondary"

    def text(self) -> str:
        d = self.diagnostic
        lines = [self.paint(d.severity, f"{d.severity}[{d.code}]") + self.paint("bold", f": {as_message(d.message)}")]
        bar = " " * self.gutter + self.paint("frame", "|")
        if d.primary:
            sources = [d.primary.span.source]
            for label in d.secondary:
                if label.span.source not in sources:
                    sources.append(label.span.source)
            for source in sources:
                lines += self.excerpt(source)
            if d.notes or d.helps:
                lines.append(bar)
        for kind, texts in (("note", d.notes), ("help", d.helps)):
            for text in texts:
                head = f"{'':{self.gutter}}{self.paint('frame', '=')} {self.paint(kind, kind)}: "
                first, *rest = as_message(text).split("\n")
                lines.append(head + first)
                lines += [" " * (self.gutter + len("= note: ")) + line for line in rest]
        return "\n".join(lines)

    def excerpt(self, source: Source) -> list[str]:
        """The lines of one source that the diagnostic speaks of, underlined."""
        primary = self.diagnostic.primary
        assert primary is not None
        labels = [(label, False) for label in self.diagnostic.secondary if label.span.source is source]
        if primary.span.source is source:
            labels.insert(0, (primary, True))
        arrow = "-->" if labels[0][1] else ":::"
        place = Span(source, labels[0][0].span.start, labels[0][0].span.start)
        lines = [" " * (self.gutter - 1) + self.paint("frame", arrow) + f" {printable(str(place))}"]
        bar = " " * self.gutter + self.paint("frame", "|")
        lines.append(bar)
        marks = _marks(source, labels)
        previous: int | None = None
        for number in sorted(marks):
            if previous is not None:
                if number - previous == 2 and len(source.line(previous + 1)) <= MAX_WIDTH:
                    lines.append(self.source_line(previous + 1, _cells(source.line(previous + 1))[0]))
                elif number - previous >= 2:
                    lines.append(" " * self.gutter + self.paint("frame", "…"))
            previous = number
            shown, columns = _cells(source.line(number))
            for group, first in _windows(marks[number], columns[-1]):
                lines += self.marked_line(number, shown, group, first, columns[-1])
        return lines

    def source_line(self, number: int, shown: str) -> str:
        return f"{self.paint('frame', f'{number:>{self.gutter - 1}} |')} {shown}".rstrip()

    def marked_line(self, number: int, shown: str, marks: Sequence[_Mark], first: int, width: int) -> list[str]:
        """A line from column `first` on, the row that underlines it, and a row for each text without room there."""
        last = first + MAX_WIDTH
        if first > 0 or width > last:
            left, right = "…" if first else "", "…" if width > last else ""
            shown = left + _cut(shown, first + len(left), last - len(right)) + right
        lines = [self.source_line(number, shown)]
        placed = []
        for mark in marks:
            start = min(max(mark.start - first, 0), MAX_WIDTH - 1)
            placed.append(_Mark(start, min(max(mark.end - first, start + 1), MAX_WIDTH), mark.text, mark.is_primary))
        row: list[tuple[str, str]] = [(" ", "")] * max(mark.end for mark in placed)
        for mark in sorted(placed, key=lambda mark: mark.is_primary):
            sign = "^" if mark.is_primary else "-"
            row[mark.start : mark.end] = [(sign, self.style(mark))] * (mark.end - mark.start)
        waiting = sorted((mark for mark in placed if mark.text), key=lambda mark: (mark.start, mark.end))
        beside = ""
        if waiting and waiting[-1].end == len(row):
            beside = " " + self.paint(self.style(waiting[-1]), waiting.pop().text)
        bar = " " * self.gutter + self.paint("frame", "|") + " "
        lines.append(bar + self.paint_row(row) + beside)
        while waiting:
            mark = waiting.pop()
            stems: list[tuple[str, str]] = [(" ", "")] * mark.start
            for other in waiting:
                if other.start < mark.start:
                    stems[other.start] = ("|", self.style(other))
            lines.append(bar + self.paint_row(stems) + self.paint(self.style(mark), mark.text))
        return lines

    def paint_row(self, row: Sequence[tuple[str, str]]) -> str:
        parts: list[str] = []
        at = 0
        while at < len(row):
            style = row[at][1]
            end = at
            while end < len(row) and row[end][1] == style:
                end += 1
            text = "".join(character for character, _ in row[at:end])
            parts.append(self.paint(style, text) if style else text)
            at = end
        return "".join(parts)


def _last_line(span: Span) -> int:
    return span.source.position(max(span.start, span.end - 1))[0]


def _marks(source: Source, labels: Sequence[tuple[Label, bool]]) -> dict[int, list[_Mark]]:
    """What to underline, by line. A span over several lines is underlined on its first and its last one."""
    marks: dict[int, list[_Mark]] = {}
    for label, is_primary in labels:
        span = label.span
        first, last = span.line, _last_line(span)
        text = as_message(label.text).replace("\n", " ")
        _, columns = _cells(source.line(first))
        start = min(span.start - source.line_starts[first - 1], len(columns) - 1)
        if first == last:
            end = min(span.end - source.line_starts[first - 1], len(columns) - 1)
            marks.setdefault(first, []).append(_Mark(columns[start], columns[end], text, is_primary))
            continue
        marks.setdefault(first, []).append(_Mark(columns[start], columns[-1], "", is_primary))
        line = source.line(last)
        _, columns = _cells(line)
        indent = len(line) - len(line.lstrip())
        end = min(span.end - source.line_starts[last - 1], len(columns) - 1)
        marks.setdefault(last, []).append(_Mark(columns[min(indent, end)], columns[end], text, is_primary))
    return marks


def _windows(marks: Sequence[_Mark], width: int) -> list[tuple[list[_Mark], int]]:
    """Marks that can be shown together, each group with the first column to show."""
    if width <= MAX_WIDTH:
        return [(list(marks), 0)]
    groups: list[list[_Mark]] = []
    for mark in sorted(marks, key=lambda mark: mark.start):
        if groups and mark.end - groups[-1][0].start <= MAX_WIDTH * 3 // 4:
            groups[-1].append(mark)
        else:
            groups.append([mark])
    return [(group, _first_column(group, width)) for group in groups]


def _first_column(group: Sequence[_Mark], width: int) -> int:
    """Nothing is cut on the left while the marks fit; otherwise the marks stand in the middle."""
    start, end = group[0].start, max(mark.end for mark in group)
    if end <= MAX_WIDTH - 2:
        return 0
    room = MAX_WIDTH - min(end - start, MAX_WIDTH * 3 // 4)
    return max(0, min(start - room // 2, width - MAX_WIDTH))
