"""A text that is read again and again while somebody types: only the declarations that changed are parsed anew.

A declaration starts a line, so a text falls into parts that can be parsed one by one. A part has a source of its own,
whose spans count from its beginning, and which knows where in the file it stands now: what was parsed stays right when
lines are added above it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from attndsl.diagnostics import Diagnostic, Source, Span
from attndsl.syntax.keywords import starts_declaration
from attndsl.syntax.limits import MAX_BYTES, survey, too_deep
from attndsl.syntax.parser import Parsing, parse
from attndsl.syntax.tree import File

_BEFORE = re.compile(r"(?:^(?:///|#)[^\n]*\n)+\Z", re.MULTILINE)
"""The lines right above a declaration that belong to it: its doc and its comments."""


class FilePart(Source):
    """The text of one declaration, or of what stands before the first."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(name, text)
        self.start = 0
        self._whole: Source = self
        self._lines_above = 0

    @property
    def whole(self) -> Source:
        return self._whole

    def move(self, whole: Source, start: int) -> None:
        """Stand at `start` of the file from now on."""
        self._whole, self.start = whole, start
        self._lines_above = whole.position(start)[0] - 1

    def position(self, offset: int) -> tuple[int, int]:
        line, column = super().position(offset)
        return line + self._lines_above, column

    def line(self, number: int) -> str:
        return super().line(number - self._lines_above)


class Parts:
    """What is known of the parts of one text, as it was last."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bool], list[tuple[FilePart, File, bool]]] = {}
        self.parsed = 0
        """How many parts were parsed, not remembered, for the text as it is."""

    def parse(self, source: Source) -> tuple[File, list[Diagnostic]]:
        """What `attndsl.syntax.parser.parse` gives for the text, with a source of its own for each declaration. With
        mistakes the mistakes are those of the whole text."""
        self.parsed = 0
        if len(source.text) > MAX_BYTES:
            return parse(source)
        before, self._known = self._known, {}
        files: list[File] = []
        clean = True
        for start, end in _bounds(source.text):
            text = source.text[start:end]
            key = (text, start == 0)
            known = before.get(key)
            part, file, well = known.pop() if known else self._parsed(source.name, text)
            part.move(source, start)
            self._known.setdefault(key, []).append((part, file, well))
            clean = clean and well and (start == 0 or file.doc is None)
            files.append(file)
        declarations = tuple(declaration for file in files for declaration in file.declarations)
        file = File(Span(source, 0, len(source.text)), declarations, files[0].doc)
        if clean and declarations:
            return file, []
        whole, problems = parse(source)
        return (file, problems) if problems else (whole, [])

    @contextmanager
    def as_they_are(self) -> Iterator[None]:
        """Afterwards all is known and stands where it did before, whatever other text was parsed meanwhile."""
        known = {key: list(parts) for key, parts in self._known.items()}
        places = [(part, part.whole, part.start) for parts in known.values() for part, _, _ in parts]
        try:
            yield
        finally:
            self._known = known
            for part, whole, start in places:
                part.move(whole, start)

    def _parsed(self, name: str, text: str) -> tuple[FilePart, File, bool]:
        """One part with its tree, and whether nothing is wrong with it."""
        self.parsed += 1
        part = FilePart(name, text)
        brackets = survey(part)
        if brackets.refusal is not None:
            return part, File(Span(part, 0, len(text)), (), None), False
        parsing = Parsing(part, brackets)
        file = parsing.run()
        well = not (parsing.diagnostics or parsing.builder.diagnostics)
        if well and brackets.may_be_deep and too_deep(file):
            return part, File(file.span, (), None), False
        return part, file, well


def _bounds(text: str) -> list[tuple[int, int]]:
    """Where the parts of a text begin and end; the first begins with the text."""
    starts = [0]
    at = text.find("\n") + 1
    while at:
        if starts_declaration(text, at):
            above = _BEFORE.search(text, starts[-1], at)
            start = above.start() if above is not None else at
            if start > starts[-1]:
                starts.append(start)
        at = text.find("\n", at) + 1
    return list(zip(starts, [*starts[1:], len(text)], strict=True))
