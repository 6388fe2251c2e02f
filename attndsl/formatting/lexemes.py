"""Tokens → lexemes: each token with the comments and empty lines around it, in lines, brackets and braces."""

from __future__ import annotations

from collections.abc import Iterator

from attndsl.records import dataclass, field
from attndsl.syntax.lexer import CLOSING, NEWLINE, Token
from attndsl.syntax.tables import END

OPERAND_ENDS = frozenset({"NAME", "NUMBER", "STRING", "TRUE", "FALSE", "RPAR", "RSQB", "RBRACE", "VARIANT_NAME"})
"""After one of these an operator has two operands, and a bracket calls, subscripts or lists."""

DOCS = ("DOC", "FILE_DOC")


@dataclass(slots=True)
class Lexeme:
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
class Listed:
    """`( … )` or `[ … ]`, in parts; each but the last ends with its comma."""

    open: Lexeme
    parts: list[list[Item]]
    close: Lexeme


@dataclass(slots=True)
class Braces:
    """`{ … }`. `owner` is the first word of the declaration."""

    open: Lexeme
    lines: list[Sentence]
    close: Lexeme
    owner: str

    @property
    def in_a_line(self) -> bool:
        """Whether it may stand on one line: it was written so, or has nothing in it."""
        inside = [self.close, *(lexeme for line in self.lines for lexeme in line.lexemes())]
        return (
            len(self.lines) <= 1
            and not (self.open.behind or any(it.starts or any(it.above) for it in inside))
            and not any(it.behind for it in inside[1:])
            and (self.open.line == self.close.line or not self.lines)
        )


Item = Lexeme | Listed | Braces


@dataclass(slots=True)
class Sentence:
    """A statement, a declaration, an entry, or the `///` lines before one."""

    items: list[Item]
    owner: str

    @property
    def first(self) -> Lexeme:
        return next(self.lexemes())

    def lexemes(self) -> Iterator[Lexeme]:
        return _lexemes(self.items)


def _lexemes(items: list[Item]) -> Iterator[Lexeme]:
    for item in items:
        match item:
            case Lexeme():
                yield item
            case Listed():
                yield item.open
                for part in item.parts:
                    yield from _lexemes(part)
                yield item.close
            case Braces():
                yield item.open
                for line in item.lines:
                    yield from line.lexemes()
                yield item.close


@dataclass(slots=True)
class FileText:
    """The lines of a file, and its end, which may have comments above."""

    lines: list[Sentence]
    end: Lexeme


def read(text: str, tokens: list[Token]) -> FileText:
    """The lines of a text without mistakes."""
    reader = _Reader(_with_comments(text, tokens))
    lines = reader.lines("", END)
    return FileText(lines, reader.lexemes[reader.at])


def _with_comments(text: str, tokens: list[Token]) -> list[Lexeme]:
    lexemes: list[Lexeme] = []
    end, line, starts = 0, 0, True
    for token in tokens:
        if token.kind == NEWLINE:
            starts = True
            continue
        between = text[end : token.start].split("\n")
        behind = between[0].strip()
        if lexemes:
            lexemes[-1].behind = behind
        above = [it.strip() for it in between[1 if lexemes else 0 : -1]]
        # A comment is never in the last of these lines: a token stands there, or the text ends.
        if token.kind == END and between[1 if lexemes else 0 :]:
            above.append(between[-1].strip())
        line += len(between) - 1
        opens_body = bool(lexemes) and lexemes[-1].kind == "LBRACE"
        above = _one_empty_line(above) if starts or opens_body else [it for it in above if it]
        written = token.text.rstrip() if token.kind in DOCS else token.text
        lexemes.append(Lexeme(token.kind, written, above, starts=starts, line=line))
        line += token.text.count("\n")
        starts = token.kind in DOCS
        end = token.end
    return lexemes


def _one_empty_line(above: list[str]) -> list[str]:
    return [it for number, it in enumerate(above) if it or not number or above[number - 1]]


class _Reader:
    def __init__(self, lexemes: list[Lexeme]) -> None:
        self.lexemes = lexemes
        self.at = 0

    def take(self) -> Lexeme:
        self.at += 1
        return self.lexemes[self.at - 1]

    def lines(self, owner: str, until: str) -> list[Sentence]:
        found: list[Sentence] = []
        while self.lexemes[self.at].kind != until:
            found.append(self.line(owner or self.lexemes[self.at].kind))
        return found

    def line(self, owner: str) -> Sentence:
        items: list[Item] = []
        while True:
            items.append(self.item(owner, items))
            following = self.lexemes[self.at]
            if following.starts or following.kind in (END, "RBRACE"):
                return Sentence(_without_last_comma(items), owner)

    def item(self, owner: str, before: list[Item]) -> Item:
        lexeme = self.take()
        lexeme.unary = lexeme.kind == "MINUS" and not (before and last_of(before[-1]).kind in OPERAND_ENDS)
        if lexeme.text in ("(", "["):
            return self.brackets(lexeme, owner)
        if lexeme.text == "{":
            return Braces(lexeme, self.lines(owner, "RBRACE"), self.take(), owner)
        lexeme.tight = owner == "VARIANT" and lexeme.kind == "EQUALS"
        return lexeme

    def brackets(self, open: Lexeme, owner: str) -> Listed:
        closing = CLOSING[open.text]
        parts: list[list[Item]] = []
        part: list[Item] = []
        typed = False
        while self.lexemes[self.at].text != closing or self.lexemes[self.at].kind == "STRING":
            item = self.item(owner, part)
            part.append(item)
            if not isinstance(item, Lexeme):
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
        return Listed(open, parts, self.take())


def first_of(item: Item) -> Lexeme:
    """The first lexeme of an item."""
    return item if isinstance(item, Lexeme) else item.open


def last_of(item: Item) -> Lexeme:
    """The last lexeme of an item."""
    return item if isinstance(item, Lexeme) else item.close


def _without_last_comma(items: list[Item]) -> list[Item]:
    """The items without a comma at their end; its comments go to what stands before it."""
    comma = items[-1]
    if len(items) == 1 or not isinstance(comma, Lexeme) or comma.kind != "COMMA":
        return items
    before = last_of(items[-2])
    comments = [before.behind, *comma.above, comma.behind]
    if any(comments[:-1]) and comma.comments:
        return items
    before.behind = before.behind or comma.behind
    return items[:-1]
