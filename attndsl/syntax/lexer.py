"""Text → tokens, one at a time, as the parser asks for them.

The lexer knows what the parser can use next (its current row of actions), so that `layer`, `mask`, `in` and the other
keywords are words only where they can start something, and `a<-b` compares where nothing is written to. It also decides
which newlines end a statement (the rules stand at the top of `grammars/attn.lark`).
"""

from __future__ import annotations

import re
from collections.abc import Container

from attndsl.syntax.tables import END, Tables

NEWLINE = "_NEWLINE"
BAD = "BAD"
"""The kind of a character, or of a run of them, that starts no token."""

CLOSING = {"(": ")", "[": "]", "{": "}"}

# The next line goes on with the statement when it starts like this. `///` is a docstring, and `//` at the start of a
# line is what other languages start a comment with: a division would be a silent surprise.
_CONTINUES = re.compile(
    r"""[|&+*%^=!<>{] | /(?!/) | ->
      | (?:and|or|else|as)\b
      | where(?=[ \t]+[A-Za-z0-9_(-])
      | with(?=[ \t]+[A-Za-z_])""",
    re.VERBOSE,
)
_BLANK = re.compile(r"[ \t\r\f]*(?:#[^\n]*)?")
_LINES = re.compile(r"(?:[ \t\r\f]*(?:#[^\n]*)?\n)*[ \t\r\f]*(?:#[^\n]*$)?")
_DOC = re.compile(r"///[^\n]*(?:\n[ \t]*///[^\n]*)*")
_BLANK_LINE = re.compile(r"\n[ \t\r]*(?:\n|$)")

# A keyword that may also be a name is the keyword only before another name on the same line. `require` starts a
# statement unless what follows makes that statement give `require` a value.
_BEFORE_NAME = re.compile(r"[ \t]+(?!(?:if|else|and|or|as)\b|(?:where|with)[ \t]+(?!in\b)[A-Za-z0-9_(-])[A-Za-z_]")
_BEFORE_CONDITION = re.compile(r"(?![ \t]*(?:=(?!=)|,|:|[-+*/]=|<-))")

# Where nothing else matches: the longest run that an author would see as one thing.
_BAD_RUN = re.compile(r"[^\s\x00-\x7f]+|.", re.DOTALL)

# After these a newline says nothing.
_NO_END_AFTER = frozenset({"", NEWLINE, "LBRACE", "COMMA", "DOC", "FILE_DOC"})


def next_text(text: str, offset: int) -> int:
    """Where the first line with something on it begins to say it, from the line that starts at `offset`."""
    return _LINES.match(text, offset).end()  # type: ignore[union-attr]


def continues_at(text: str, offset: int) -> bool:
    """Whether the first line with something on it, from the line that starts at `offset`, goes on with a statement."""
    return _CONTINUES.match(text, next_text(text, offset)) is not None


class Token:
    """The characters from `start` to `end`; `kind` is a terminal of the grammar, `$END`, or `BAD`."""

    __slots__ = ("end", "kind", "start", "text")

    def __init__(self, kind: str, text: str, start: int, end: int) -> None:
        self.kind = kind
        self.text = text
        self.start = start
        self.end = end

    def __repr__(self) -> str:
        return f"Token({self.kind}, {self.text!r}, {self.start})"


class Vocabulary:
    """What the tables say about tokens, compiled once."""

    def __init__(self, tables: Tables) -> None:
        self.words = tables.words
        self.reserved = tables.reserved
        self.marks = tables.marks
        patterns = tables.patterns
        longest_first = sorted(tables.marks, key=len, reverse=True)
        self.pattern = re.compile(
            "|".join(f"(?P<{name}>{patterns[name]})" for name in ("NAME", "NUMBER", "STRING"))
            + "|(?P<MARK>"
            + "|".join(map(re.escape, longest_first))
            + ")"
        )
        self.variant = re.compile(patterns["VARIANT_NAME"])


class Lexer:
    """A position in a text. `unclosed` holds the offsets of brackets that nothing closes: newlines count in those."""

    def __init__(self, text: str, vocabulary: Vocabulary, unclosed: Container[int] = ()) -> None:
        self.text = text
        self.vocabulary = vocabulary
        self.unclosed = unclosed
        self.at = 0
        self.previous = ""
        self.brackets: list[str] = []

    def resume(self, at: int, brackets: list[str]) -> None:
        """Go on at `at` as at the start of a statement, within `brackets`."""
        self.at = at
        self.previous = NEWLINE
        self.brackets = brackets

    def next(self, row: dict[str, int]) -> Token:
        """The token at the current position, for a parser that can use the symbols in `row`."""
        token = self._read(row)
        self.at = token.end
        self.previous = token.kind
        if token.kind in ("LPAR", "LSQB", "LBRACE"):
            if token.start not in self.unclosed:
                self.brackets.append(token.text)
        elif token.kind in ("RPAR", "RSQB", "RBRACE") and self.brackets and CLOSING[self.brackets[-1]] == token.text:
            self.brackets.pop()
        return token

    def _read(self, row: dict[str, int]) -> Token:
        text, vocabulary = self.text, self.vocabulary
        start = _BLANK.match(text, self.at).end()  # type: ignore[union-attr]
        if start >= len(text) or text[start] == "\n":
            end = _LINES.match(text, start).end()  # type: ignore[union-attr]
            if self._ends_statement(end):
                return Token(NEWLINE, "\n", start, end)
            start = end
            if start >= len(text):
                return Token(END, "", start, start)

        if text.startswith("///", start):
            return self._doc(start, row)
        if "VARIANT_NAME" in row:
            found = vocabulary.variant.match(text, start)
            if found:
                return Token("VARIANT_NAME", found.group(), start, found.end())
        match = vocabulary.pattern.match(text, start)
        if match is None:
            run = _BAD_RUN.match(text, start)
            return Token(BAD, run.group(), start, run.end())  # type: ignore[union-attr]
        kind = match.lastgroup or BAD
        word, end = match.group(), match.end()
        if kind == "NAME":
            return Token(self._word(word, end, row), word, start, end)
        if kind == "MARK":
            kind = vocabulary.marks[word]
            if kind == "TAKES" and kind not in row and "LESS" in row:
                return Token("LESS", "<", start, start + 1)
        return Token(kind, word, start, end)

    def _ends_statement(self, next_line: int) -> bool:
        if self.previous in _NO_END_AFTER or (self.brackets and self.brackets[-1] != "{"):
            return False
        return _CONTINUES.match(self.text, next_line) is None

    def _word(self, word: str, end: int, row: dict[str, int]) -> str:
        kind = self.vocabulary.words.get(word)
        if kind is None:
            return "NAME"
        if word in self.vocabulary.reserved:
            return kind
        if kind not in row:
            return "NAME"
        if "NAME" in row:
            follow = _BEFORE_CONDITION if kind == "REQUIRE" else _BEFORE_NAME
            return kind if follow.match(self.text, end) else "NAME"
        return kind

    def _doc(self, start: int, row: dict[str, int]) -> Token:
        line_start = self.text.rfind("\n", 0, start) + 1
        if self.text[line_start:start].strip():
            return Token(BAD, "///", start, start + 3)
        run = _DOC.match(self.text, start)
        assert run is not None
        kind = "DOC"
        if "FILE_DOC" in row and _BLANK_LINE.match(self.text, run.end()):
            kind = "FILE_DOC"
        return Token(kind, run.group(), start, run.end())


def doc_text(run: str) -> str:
    """The text of `///` lines, without the marks and the space after them."""
    lines = (line.strip()[3:] for line in run.split("\n"))
    return "\n".join(line[1:].rstrip() if line.startswith(" ") else line.rstrip() for line in lines)
