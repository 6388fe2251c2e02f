"""The small things that the text form of a graph is made of: words, sizes, axes, types."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TypeVar

from attndsl.sizes import Size
from attndsl.types import Axis, Type

T = TypeVar("T")
WORD = re.compile(r"[A-Za-z_*$][\w.*$']*")
SYMBOL = re.compile(r"[A-Za-z_][\w']*")
INTEGER = re.compile(r"-?\d+")
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


class GraphSyntaxError(ValueError):
    """A text that is not a graph: what was expected, and the line and column."""


class Cursor:
    """A place in a text, with what reads on from there; every reader skips blanks first."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    # ------------------------------------------------------------ characters

    def error(self, expected: str) -> GraphSyntaxError:
        found = self.text[self.at : self.at + 20].split("\n")[0] or "the end of the line"
        return self.refusal(f"expected {expected}, found {found!r}")

    def refusal(self, message: str) -> GraphSyntaxError:
        line = self.text.count("\n", 0, self.at) + 1
        column = self.at - self.text.rfind("\n", 0, self.at)
        return GraphSyntaxError(f"line {line}, column {column}: {message}")

    def skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def has(self, literal: str) -> bool:
        """Take `literal` if it comes next (a word only as a whole word)."""
        self.skip()
        if not self.text.startswith(literal, self.at):
            return False
        end = self.at + len(literal)
        if literal[-1].isalnum() and end < len(self.text) and (self.text[end].isalnum() or self.text[end] in "_.="):
            return False
        self.at = end
        return True

    def need(self, literal: str) -> None:
        if not self.has(literal):
            raise self.error(f"`{literal}`")

    def match(self, pattern: re.Pattern[str], expected: str) -> str:
        self.skip()
        found = pattern.match(self.text, self.at)
        if found is None:
            raise self.error(expected)
        self.at = found.end()
        return found.group()

    def string(self) -> str:
        return str(json.loads(self.match(STRING, "a string in quotes")))

    def word(self) -> str:
        self.skip()
        return self.string() if self.text.startswith('"', self.at) else self.match(WORD, "a name")

    def listed(self, item: Callable[[], T], end: str) -> tuple[T, ...]:
        """Items separated by commas up to and including `end`."""
        items: list[T] = []
        while not self.has(end):
            if items:
                self.need(",")
            items.append(item())
        return tuple(items)

    # ------------------------------------------------------------ sizes, axes, types

    def size(self) -> Size:
        total = -self.product() if self.has("-") else self.product()
        while True:
            if self.has("+"):
                total = total + self.product()
            elif self.has("-"):
                total = total - self.product()
            else:
                return total

    def product(self) -> Size:
        total = self.power()
        while True:
            if self.has("*"):
                total = total * self.power()
            elif self.has("//"):
                total = total // self.power()
            elif self.has("/"):
                total = total / self.power()
            elif self.has("%"):
                total = total % self.power()
            else:
                return total

    def power(self) -> Size:
        base = self.atom()
        return base ** int(self.match(INTEGER, "an exponent")) if self.has("^") else base

    def atom(self) -> Size:
        if self.has("("):
            size = self.size()
            self.need(")")
            return size
        self.skip()
        if self.text[self.at : self.at + 1].isdigit():
            return Size.of(int(self.match(INTEGER, "a number")))
        name = self.match(SYMBOL, "a size")
        if name in ("min", "max") and self.has("("):
            left, right = self.listed(self.size, ")")
            return left.minimum(right) if name == "min" else left.maximum(right)
        return Size.symbol(name)

    def axis(self) -> Axis:
        self.skip()
        start, name = self.at, ""
        if self.text.startswith('"', start):
            name = self.string()
            self.need("=")
        elif WORD.match(self.text, start):
            name = self.match(WORD, "an axis")
            if not self.has("="):
                name, self.at = "", start
        size = self.size()
        origin = self.size() if self.has("from") else Size.of(0)
        return Axis(name or str(size), size, origin)

    def type(self) -> Type:
        dtype = self.match(SYMBOL, "a dtype")
        self.need("[")
        return Type(dtype, self.listed(self.axis, "]"))


def parse_size(text: str) -> Size:
    """A size in its written form: `str` of the result is `text` again if `text` was in normal form."""
    cursor = Cursor(text)
    size = cursor.size()
    cursor.skip()
    if cursor.at != len(text):
        raise cursor.error("the end of the size")
    return size
