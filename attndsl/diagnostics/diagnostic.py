"""What is said when something is wrong: places, messages, and the one error that carries them.

A `Diagnostic` names a place (`Label` over a `Span`), the place it conflicts with, the derivation in the
author's own names (`notes`) and the way out (`helps`). `attndsl.diagnostics.report` turns diagnostics into text or
JSON; `attndsl.diagnostics.codes` explains every code. Nothing in this module formats or prints; an error asks `report`
when somebody wants to read it.

An error is raised. A warning goes to whoever listens: the part that finds one says `warn(…)`, wherever it is called
from; the command line prints what it hears, a `Model` keeps it, and where nobody listens, nobody needs to look.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import Any

from attndsl.diagnostics.suggestions import Fix
from attndsl.records import Frozen, replace

ERROR, WARNING = "error", "warning"

MOST_TOLD = 20
"""How many mistakes are told in one go; of the others, how many there are."""


class Source:
    """A text that spans point into: a file's contents with the name that it goes by in messages; or a part of a file
    (`attndsl.syntax.parts`), which begins `start` characters after the beginning of the `whole`."""

    start = 0

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text

    def __repr__(self) -> str:
        return f"Source({self.name!r})"

    @property
    def whole(self) -> Source:
        """The file that this is a part of: itself."""
        return self

    @cached_property
    def line_starts(self) -> list[int]:
        starts = [0]
        at = self.text.find("\n")
        while at >= 0:
            starts.append(at + 1)
            at = self.text.find("\n", at + 1)
        return starts

    def position(self, offset: int) -> tuple[int, int]:
        """The line and column, both counted from 1, of the character at `offset`."""
        line = bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of line `number` (from 1), without its end."""
        starts = self.line_starts
        end = starts[number] if number < len(starts) else len(self.text)
        return self.text[starts[number - 1] : end].rstrip("\r\n")


class Span(Frozen):
    """The characters `start <= offset < end` of a source."""

    source: Source
    start: int
    end: int

    @property
    def line(self) -> int:
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        return self.source.position(self.start)[1]

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]

    def to(self, other: Span) -> Span:
        """From the start of this span to the end of `other`, in the same source."""
        return Span(self.source, self.start, max(self.end, other.end))

    @property
    def in_file(self) -> Span:
        """The same characters, of the whole file."""
        source = self.source
        return (
            self if source.whole is source else Span(source.whole, self.start + source.start, self.end + source.start)
        )

    def beside(self, other: Span) -> bool:
        """Whether both are of one file."""
        return self.source.whole is other.source.whole

    def __str__(self) -> str:
        line, column = self.source.position(self.start)
        return f"{self.source.name}:{line}:{column}"


class Label(Frozen):
    """A span with what to write beside its underline (may be empty)."""

    span: Span
    text: str = ""


class Diagnostic(Frozen):
    """One mistake, or one thing that is hardly what was meant (`severity` says which). `primary` is None only where
    there is no text to point at (a file that does not exist)."""

    code: str
    message: str
    primary: Label | None = None
    secondary: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    helps: tuple[str, ...] = ()
    severity: str = ERROR

    @property
    def fixes(self) -> Iterator[tuple[str, Span, str]]:
        """The helps that say exactly what to write: the help, the place that it is for, and what to write there."""
        if self.primary is None:
            return
        span = self.primary.span
        for help in self.helps:
            if isinstance(help, Fix):
                places = [it.start() for it in re.finditer(rf"(?<!\w){re.escape(help.wrong)}(?!\w)", span.text)]
                if span.text == help.wrong or len(places) == 1:
                    start = span.start + (0 if span.text == help.wrong else places[0])
                    yield str(help), Span(span.source, start, start + len(help.wrong)), help.instead

    @property
    def is_warning(self) -> bool:
        return self.severity == WARNING

    def __str__(self) -> str:
        import attndsl.diagnostics.report

        return attndsl.diagnostics.report.render((self,), color=False)


class AttnError(Exception):
    """The root of every error that a user can cause; carries one diagnostic for each mistake found. As text it is what
    the command line prints: every mistake with its place and the way out."""

    def __init__(self, *diagnostics: Diagnostic) -> None:
        super().__init__("; ".join(f"[{d.code}] {d.message}" for d in diagnostics[:MOST_TOLD]))
        self.diagnostics = diagnostics

    def __reduce__(self) -> tuple[type[AttnError], tuple[Diagnostic, ...]]:
        """For another process: an exception is made again of its arguments, which is a text here."""
        return type(self), self.diagnostics

    def __str__(self) -> str:
        import attndsl.diagnostics.report

        return attndsl.diagnostics.report.render(self.diagnostics, color=False)

    def _render_traceback_(self) -> list[str]:
        """What notebooks show instead of a traceback."""
        import attndsl.diagnostics.report

        return attndsl.diagnostics.report.for_notebook(self)


def error(
    code: str,
    message: str,
    span: Span | None = None,
    label: str = "",
    *,
    other: Label | Iterable[Label] = (),
    note: str | Iterable[str] = (),
    help: str | Iterable[str] = (),
) -> AttnError:
    """An `AttnError` with one diagnostic; single labels, notes and helps need no tuple."""
    return AttnError(
        Diagnostic(
            code,
            message,
            Label(span, label) if span is not None else None,
            (other,) if isinstance(other, Label) else tuple(other),
            (note,) if isinstance(note, str) else tuple(note),
            (help,) if isinstance(help, str) else tuple(help),
        )
    )


def warning(code: str, message: str, span: Span | None = None, label: str = "", **parts: Any) -> Diagnostic:
    """A warning, for `attndsl.diagnostics.warn`; it is made as `error` makes one of an error."""
    return replace(error(code, message, span, label, **parts).diagnostics[0], severity=WARNING)


# ---------------------------------------------------------------- warnings on their way

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
    known: set[Diagnostic] = set()

    def keep(group: tuple[Diagnostic, ...]) -> None:
        new = [it for it in dict.fromkeys(group) if it not in known]
        known.update(new)
        found.extend(new)

    with listening(keep):
        yield found
