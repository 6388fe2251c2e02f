"""What can be laid out in several ways, and the choice among them: a line that is too long is broken at its loosest
places first, and what can stay on one line does (Wadler, A prettier printer, 2003)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from attndsl.formatting.lexemes import Lexeme

WIDTH = 120
"""Lines are no longer than this, where they can be broken."""


class Space(NamedTuple):
    """A space that stays one."""


class Break(NamedTuple):
    """A space, or the end of a line."""


class Grouped(NamedTuple):
    """On one line, or with each of its own breaks as the end of a line."""

    parts: Sequence[Doc]


class Fill(NamedTuple):
    """As many parts on each line as fit, with spaces between them."""

    parts: Sequence[Doc]


class Next(NamedTuple):
    """A part of a fill that is not its first."""

    part: Doc


class Nest(NamedTuple):
    """Lines that start in it are indented by `by`."""

    by: int
    part: Doc


class Align(NamedTuple):
    """Lines that start in it start below its own start; where that is more than `within` from the margin, `by` from the
    margin instead, and then a `fresh` one begins with a new line."""

    part: Doc
    within: int
    by: int
    fresh: bool = False


class ArrangedLine(NamedTuple):
    """A line of the result, and the comment at its end."""

    code: str
    comment: str = ""


class BodyLines(NamedTuple):
    """Lines of their own."""

    lines: Sequence[ArrangedLine]


Doc = Lexeme | Space | Break | Grouped | Fill | Next | Nest | Align | BodyLines | Sequence["Doc"]


class Arrangement:
    """A statement, laid out on lines that start at `margin`."""

    def __init__(self, margin: int) -> None:
        self.margin = margin
        self.lines: list[ArrangedLine] = []
        self.line = " " * margin
        self.ended = False  # whether a comment ended the line, so that the next lexeme starts another one
        self.waiting: list[tuple[int, bool, Doc]] = []  # margin, whether breaks stay spaces, what is to be laid out

    def lay_out(self, doc: Doc) -> list[ArrangedLine]:
        """The lines of a document."""
        self.waiting.append((self.margin, False, doc))
        while self.waiting:
            self._step(*self.waiting.pop())
        if not self.ended:
            self._end(0)
        return self.lines

    def _step(self, margin: int, flat: bool, doc: Doc) -> None:
        match doc:
            case Lexeme():
                self._lexeme(margin, doc)
            case Space():
                self._space()
            case Break():
                if flat:
                    self._space()
                else:
                    self._end(margin)
            case Grouped():
                self._push(margin, flat or self._fits(margin, doc.parts), doc.parts)
            case Fill():
                self._push(margin, flat, [*doc.parts[:1], *map(Next, doc.parts[1:])])
            case Next():
                if flat or self._fits(margin, (Space(), doc.part)):
                    self._space()
                else:
                    self._end(margin)
                self.waiting.append((margin, flat, doc.part))
            case Nest():
                self.waiting.append((margin + doc.by, flat, doc.part))
            case Align():
                self._align(margin, flat, doc)
            case BodyLines():
                if not self.ended:
                    self._end(0)
                self.lines += doc.lines
                self.line, self.ended = " " * self.margin, False
            case _:
                self._push(margin, flat, doc)

    def _push(self, margin: int, flat: bool, parts: Sequence[Doc]) -> None:
        self.waiting.extend((margin, flat, part) for part in reversed(parts))

    def _lexeme(self, margin: int, lexeme: Lexeme) -> None:
        comments = [it for it in lexeme.above if it]
        if comments and not self.ended and self.line.strip():
            self._end(margin)
        self.lines += [ArrangedLine(" " * margin + comment) for comment in comments]
        if comments or self.ended:
            self.line, self.ended = " " * margin, False
        self.line += " " * lexeme.pad + lexeme.text
        if lexeme.behind:
            self.lines.append(ArrangedLine(self.line.rstrip(), lexeme.behind))
            self.ended = True

    def _space(self) -> None:
        if not self.ended:
            self.line += " "

    def _end(self, margin: int) -> None:
        if not self.ended:
            self.lines.append(ArrangedLine(self.line.rstrip()))
            self.line = " " * margin

    def _align(self, margin: int, flat: bool, doc: Align) -> None:
        at = len(self.line)
        if not self.ended and at - margin <= doc.within:
            margin = at
        else:
            margin += doc.by
            if doc.fresh and not flat:
                self._end(margin)
        self.waiting.append((margin, flat, doc.part))

    def _fits(self, margin: int, doc: Doc) -> bool:
        """Whether `doc` fits on this line without a break, and what follows it does up to the next place where the line
        may end."""
        room = WIDTH - (margin if self.ended else len(self.line))
        first, ended = True, False
        for leaf in _leaves(doc, flat=True):
            if isinstance(leaf, Lexeme):
                if ended or (any(leaf.above) and not first):
                    return False
                room -= leaf.pad + len(leaf.text)
                first, ended = False, bool(leaf.behind)
            elif isinstance(leaf, BodyLines):
                return room >= 0
            else:
                room -= 1
            if room < 0:
                return False
        for margin, leaf in self._following():
            if ended or room < 0:
                break
            if isinstance(leaf, Lexeme) and not any(leaf.above):
                room -= leaf.pad + len(leaf.text)
                ended = bool(leaf.behind)
            elif isinstance(leaf, Space):
                room -= 1
            elif not isinstance(leaf, Align) or WIDTH - room - margin > leaf.within:
                break
        return room >= 0

    def _following(self) -> Iterator[tuple[int, Leaf]]:
        for margin, flat, doc in reversed(self.waiting):
            for leaf in _leaves(doc, flat):
                yield margin, leaf


Leaf = Lexeme | Space | Break | Align | BodyLines


def _leaves(doc: Doc, flat: bool) -> Iterator[Leaf]:
    """What is written for `doc`, in order; a break only where it is not `flat`, and outside of groups, which stay on
    one line if they can."""
    match doc:
        case Lexeme() | Space() | BodyLines():
            yield doc
        case Break():
            yield Space() if flat else doc
        case Next():
            yield Space() if flat else Break()
            yield from _leaves(doc.part, flat)
        case Nest() | Align():
            if isinstance(doc, Align) and doc.fresh and not flat:
                yield doc
            yield from _leaves(doc.part, flat)
        case Fill():
            yield from _leaves([*doc.parts[:1], *map(Next, doc.parts[1:])], flat)
        case Grouped():
            yield from _leaves(doc.parts, flat=True)
        case _:
            for part in doc:
                yield from _leaves(part, flat)
