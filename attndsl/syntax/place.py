"""Where the parser stopped: what stands there, what came before, what could have followed, and how to say so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from attndsl.diagnostics import Diagnostic, Label, Span, listed
from attndsl.syntax.lexer import NEWLINE, Token
from attndsl.syntax.tables import END

if TYPE_CHECKING:
    from attndsl.syntax.parser import Parsing

COMPARISONS = ("EQUAL", "UNEQUAL", "LESS", "AT_MOST", "MORE", "AT_LEAST", "IN")
OPERANDS = ("NAME", "NUMBER", "STRING", "LPAR", "TRUE", "FALSE", "LSQB", "SCOPE", "UNROLLED", "REPEAT", "SCAN")
OPERATORS = (
    *("OR", "AND", *COMPARISONS, "BAR", "AMPERSAND", "PLUS", "MINUS", "TIMES", "DIVIDE", "FLOOR_DIVIDE"),
    *("REMAINDER", "POWER", "PIPE"),
)
AFTER_VALUE = (*OPERATORS, "IF", "AS", "DOT", "LPAR", "LSQB")
STARTS_VALUE = (*OPERANDS, "MINUS", "NOT")


class ParserPlace:
    """Where the parser stopped: the token, what stands before it, and what could stand in its place."""

    def __init__(self, parser: Parsing, token: Token, depth: int) -> None:
        self.parser = parser
        self.source = parser.source
        self.text = parser.text
        self.token = token
        self.kind = token.kind
        self.parts = parser.values[depth:]
        self.at_start = depth == len(parser.values)
        self.start = token.start if self.at_start else parser.starts[depth]
        self.before = parser.ends[-1]
        opened = [bracket for bracket in parser.open_tokens() if bracket in self.parts]
        self.bracket: Token | None = opened[-1] if opened else None
        self.at_top = not parser.open_braces()
        row = parser.tables.rows[parser.before[-1]]
        self.expected = {kind for kind in row if (kind.isupper() or kind in (NEWLINE, END)) and parser.accepts(kind)}

    @property
    def first_word(self) -> str:
        found = re.match(r"[A-Za-z_]\w*", self.text[self.start : self.start + 60])
        return found.group() if found else ""

    def span(self, start: int | None = None, end: int | None = None) -> Span:
        """The token's span (of the end of a line or file: the place after the last thing before it)."""
        if start is None and self.kind in (NEWLINE, END):
            return Span(self.source, self.before, self.before)
        return Span(self.source, self.token.start if start is None else start, self.token.end if end is None else end)

    def shown(self) -> str:
        if self.kind == NEWLINE:
            return "the end of the line"
        if self.kind == END:
            return "the end of the file"
        text = self.token.text
        return f"`{text}`" if len(text) <= 40 else f"`{text[:37]}…`"

    def say(
        self,
        code: str,
        message: str,
        span: Span | None = None,
        label: str = "",
        *,
        other: Label | None = None,
        help: str | Iterable[str] = (),
    ) -> Diagnostic:
        return Diagnostic(
            code,
            message,
            Label(self.span() if span is None else span, label),
            secondary=(other,) if other else (),
            helps=(help,) if isinstance(help, str) else tuple(help),
        )

    def expectation(self) -> str:
        """What could stand here, in words: `an expression`, "`,` or `)`"."""
        expected = set(self.expected)
        words = []
        if expected.issuperset(("NAME", "NUMBER", "LPAR")):
            words.append("a value")
            expected.difference_update(STARTS_VALUE)
        elif "PLUS" in expected:
            expected.difference_update(AFTER_VALUE)
        for kind, name in (
            ("NAME", "a name"),
            ("VARIANT_NAME", "the variant's name"),
            ("NUMBER", "a number"),
            ("STRING", "a string in quotes"),
        ):
            if kind in expected:
                words.append(name)
        spelling = {kind: text for text, kind in (*self.parser.tables.words.items(), *self.parser.tables.marks.items())}
        words += sorted(f"`{spelling[kind]}`" for kind in expected if kind in spelling)
        if NEWLINE in expected or END in expected:
            words.append("the end of the line")
        return listed(words, "or") if len(words) <= 8 else ""

    def unexpected(self) -> Diagnostic:
        expectation = self.expectation()
        label = f"expected {expectation}" if expectation else ""
        if self.kind in (NEWLINE, END):
            return self.say("E0010", f"the {'line' if self.kind == NEWLINE else 'file'} ends too early", label=label)
        return self.say("E0010", f"{self.shown()} is not allowed here", label=label)


class DeclaredNames:
    """The axes of tensors as far as a text declares them: `input x: [B, T, width]`."""

    def __init__(self, text: str) -> None:
        self.text = text

    def axes(self, expression: str) -> Sequence[str]:
        declared = re.findall(rf"\b{re.escape(expression)}\s*:\s*(?:[a-z]+)?\[([^\[\]]*)\]", self.text)
        return [axis.partition("=")[0].strip() for axis in declared[-1].split(",")] if declared else []

    def options(self, name: str) -> Sequence[str] | None:
        return None
