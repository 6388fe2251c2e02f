"""Tokens → pieces: each token with the comments and empty lines around it, in lines, brackets and braces."""

from __future__ import annotations

from collections.abc import Iterator

from attndsl.records import dataclass, field
from attndsl.syntax.lexer import CLOSING, NEWLINE, Token
from attndsl.syntax.tables import END

OPERAND_ENDS = frozenset({"NAME", "NUMBER", "STRING", "TRUE", "FALSE", "RPAR", "RSQB", "RBRACE", "VARIANT_NAME"})
"""After one of these an operator has two operands, and a bracket calls, subscripts or lists."""

DOCS = ("DOC", "FILE_DOC")


@dataclass(slots=True)
class Piece:
    """A token. `above` are the comments that stand on lines of their own before it, "" for an empty line among them."""

    kind: str
    text: str
    above: list[str] = field(default_factory=list)
    behind: str = ""
    """The comment at the end of its line."""
    starts: bool = False
    """Whether a statement, a declaration or an entry ended before it."""
    line: int = 0
    tight: bool = False
    """Whether no space goes around it, as around `=` in `mlp(act=gelu)`."""
    unary: bool = False
    pad: int = 0
    """Spaces before it that put it under the one of its kind on the line above."""

    @property
    def comments(self) -> bool:
        return bool(self.behind or any(self.above))


@dataclass(slots=True)
class Brackets:
    """`( … )` or `[ … ]`, in parts; each but the last ends with its comma."""

    open: Piece
    parts: list[list[Item]]
    close: Piece


@dataclass(slots=True)
class Braces:
    """`{ … }`. `owner` is the first word of the declaration."""

    open: Piece
    lines: list[Line]
    close: Piece
    owner: str

    @property
    def in_a_line(self) -> bool:
        """Whether it may stand on one line: it was written so, or has nothing in it."""
        inside = [self.close, *(piece for line in self.lines for piece in line.pieces())]
        return (
            len(self.lines) <= 1
            and not (self.open.behind or any(it.starts or any(it.above) for it in inside))
            and not any(it.behind for it in inside[1:])
            and (self.open.line == self.close.line or not self.lines)
        )


Item = Piece | Brackets | Braces


@dataclass(slots=True)
class Line:
    """A statement, a declaration, an entry, or the `///` lines before one."""

    items: list[Item]
    owner: str

    @property
    def first(self) -> Piece:
        return next(self.pieces())

    def pieces(self) -> Iterator[Piece]:
        return _pieces(self.items)


def _pieces(items: list[Item]) -> Iterator[Piece]:
    for item in items:
        match item:
            case Piece():
                yield item
            case Brackets():
                yield item.open
                for part in item.parts:
                    yield from _pieces(part)
                yield item.close
            case Braces():
                yield item.open
                for line in item.lines:
                    yield from line.pieces()
                yield item.close


@dataclass(slots=True)
class Text:
    """The lines of a file, and its end, which may have comments above."""

    lines: list[Line]
    end: Piece


def read(text: str, tokens: list[Token]) -> Text:
    """The lines of a text without mistakes."""
    reader = _Reader(_with_comments(text, tokens))
    lines = reader.lines("", END)
    return Text(lines, reader.pieces[reader.at])


def _with_comments(text: str, tokens: list[Token]) -> list[Piece]:
    pieces: list[Piece] = []
    end, line, starts = 0, 0, True
    for token in tokens:
        if token.kind == NEWLINE:
            starts = True
            continue
        between = text[end : token.start].split("\n")
        behind = between[0].strip()
        if pieces:
            pieces[-1].behind = behind
        above = [it.strip() for it in between[1 if pieces else 0 : -1]]
        # A comment is never in the last of these lines: a token stands there, or the text ends.
        if token.kind == END and between[1 if pieces else 0 :]:
            above.append(between[-1].strip())
        line += len(between) - 1
        opens_body = bool(pieces) and pieces[-1].kind == "LBRACE"
        above = _one_empty_line(above) if starts or opens_body else [it for it in above if it]
        written = token.text.rstrip() if token.kind in DOCS else token.text
        pieces.append(Piece(token.kind, written, above, starts=starts, line=line))
        line += token.text.count("\n")
        starts = token.kind in DOCS
        end = token.end
    return pieces


def _one_empty_line(above: list[str]) -> list[str]:
    return [it for number, it in enumerate(above) if it or not number or above[number - 1]]


class _Reader:
    def __init__(self, pieces: list[Piece]) -> None:
        self.pieces = pieces
        self.at = 0

    def take(self) -> Piece:
        self.at += 1
        return self.pieces[self.at - 1]

    def lines(self, owner: str, until: str) -> list[Line]:
        found: list[Line] = []
        while self.pieces[self.at].kind != until:
            found.append(self.line(owner or self.pieces[self.at].kind))
        return found

    def line(self, owner: str) -> Line:
        items: list[Item] = []
        while True:
            items.append(self.item(owner, items))
            following = self.pieces[self.at]
            if following.starts or following.kind in (END, "RBRACE"):
                return Line(_without_last_comma(items), owner)

    def item(self, owner: str, before: list[Item]) -> Item:
        piece = self.take()
        piece.unary = piece.kind == "MINUS" and not (before and last_of(before[-1]).kind in OPERAND_ENDS)
        if piece.text in ("(", "["):
            return self.brackets(piece, owner)
        if piece.text == "{":
            return Braces(piece, self.lines(owner, "RBRACE"), self.take(), owner)
        piece.tight = owner == "VARIANT" and piece.kind == "EQUALS"
        return piece

    def brackets(self, open: Piece, owner: str) -> Brackets:
        closing = CLOSING[open.text]
        parts: list[list[Item]] = []
        part: list[Item] = []
        typed = False
        while self.pieces[self.at].text != closing or self.pieces[self.at].kind == "STRING":
            item = self.item(owner, part)
            part.append(item)
            if not isinstance(item, Piece):
                continue
            if item.kind == "COLON":
                item.tight = open.text == "["
                typed = True
            elif item.kind == "EQUALS":
                item.tight = open.text == "[" or not typed
            elif item.kind == "COMMA":
                parts.append(part)
                part, typed = [], False
        if part:
            parts.append(part)
        elif parts:
            parts[-1] = _without_last_comma(parts[-1])
        return Brackets(open, parts, self.take())


def first_of(item: Item) -> Piece:
    """The first piece of an item."""
    return item if isinstance(item, Piece) else item.open


def last_of(item: Item) -> Piece:
    """The last piece of an item."""
    return item if isinstance(item, Piece) else item.close


def _without_last_comma(items: list[Item]) -> list[Item]:
    """The items without a comma at their end; its comments go to what stands before it."""
    comma = items[-1]
    if len(items) == 1 or not isinstance(comma, Piece) or comma.kind != "COMMA":
        return items
    before = last_of(items[-2])
    comments = [before.behind, *comma.above, comma.behind]
    if any(comments[:-1]) and comma.comments:
        return items
    before.behind = before.behind or comma.behind
    return items[:-1]
