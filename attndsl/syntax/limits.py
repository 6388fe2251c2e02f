"""How large, how deep and how long a text may be, and the one pass over it that finds out before the parser starts.

The limits keep every later walk over the tree far from Python's recursion limit and every run short. They lie an order
of magnitude above what any published architecture needs.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from attndsl.diagnostics import Diagnostic, Label, Source, Span
from attndsl.records import dataclass, field
from attndsl.syntax.keywords import starts_declaration
from attndsl.syntax.lexer import CLOSING, continues_at, next_text
from attndsl.syntax.tree import Argument, AxisList, AxisTerm, Identifier, SubscriptEntry, Tree, children

MAX_BYTES = 256 * 1024
"""The largest file."""

MAX_NESTING = 200
"""Brackets of any kind inside one another."""

MAX_CHAIN = 1_000
"""Operators, calls, subscripts and attributes in a row, with no comma or end of statement between them."""

MAX_DEPTH = 220
"""Expressions and statements inside one another in the tree, brackets or not: `a ^ b ^ c`, `x.a.b`, `else if`. A walk
that takes four calls for each still fits in Python's own limit of 1,000."""

MAX_DIGITS = 30
"""Digits of a whole number."""

_WRAPPERS = (Argument, AxisList, AxisTerm, Identifier, SubscriptEntry)  # not levels of their own
_DEPTH_NEEDS = 60  # fewer brackets and operators than this cannot build a tree that is too deep


@dataclass(slots=True)
class Brackets:
    """Which bracket closes which (by offset), and what is out of order."""

    closing: dict[int, int] = field(default_factory=dict)
    unclosed: dict[int, int] = field(default_factory=dict)
    """Bracket that nothing closes → where that showed: at a bracket of an outer pair, a declaration, or the end."""
    stray: set[int] = field(default_factory=set)
    """Closing brackets that close nothing."""
    may_be_deep: bool = False
    refusal: Diagnostic | None = None
    """The limit that the text goes beyond, if any; then the rest of it was not looked at."""


_POINTS = re.compile(
    r"""[()\[\]{}\n,]
      | "(?:[^"\\\n]|\\.)*"?
      | \#[^\n]* | ///[^\n]*
      | \|>? | // | [-+*/%^&<>]=? | [=!]= | \.(?=[A-Za-z_])
      | \b(?:and|or|not|if|else)\b""",
    re.VERBOSE,
)


def survey(source: Source) -> Brackets:
    """Pair the brackets of a text and hold it against the limits."""
    text = source.text
    found = Brackets()
    opened: list[int] = []
    chains = [0]  # per open bracket: operators since the last comma or the start of the statement
    deepest = longest = looked_at = 0
    for point in _POINTS.finditer(text):
        mark = point.group()
        first = mark[0]
        if first in "([{":
            chains[-1] += 1
            longest = max(longest, chains[-1])
            opened.append(point.start())
            chains.append(0)
            if len(opened) > deepest:
                deepest = len(opened)
                if deepest > MAX_NESTING:
                    found.refusal = _too_nested(source, opened)
                    return found
        elif first in ")]}":
            _close(found, text, opened, point.start())
            del chains[len(opened) + 1 :]
        elif first == ",":
            chains[-1] = 0
        elif first == "\n":
            if starts_declaration(text, point.end()):
                found.unclosed.update((bracket, point.end()) for bracket in opened)
                opened, chains = [], [0]
            elif point.end() > looked_at and (not opened or text[opened[-1]] == "{"):
                # The lines up to there hold nothing, and need not be looked at one by one.
                looked_at = next_text(text, point.end())
                if not continues_at(text, looked_at):
                    chains[-1] = 0
        elif first not in '"#' and mark[:3] != "///":
            chains[-1] += 1
            longest = max(longest, chains[-1])
        if longest > MAX_CHAIN:
            found.refusal = _too_long(source, point.start())
            return found
    found.unclosed.update((bracket, len(text)) for bracket in opened)
    found.may_be_deep = deepest + longest > _DEPTH_NEEDS
    return found


def _close(found: Brackets, text: str, opened: list[int], at: int) -> None:
    """Pair the closing bracket at `at` with the nearest opening one of its kind; `)` and `]` never across a `{`."""
    mark = text[at]
    for depth in range(len(opened) - 1, -1, -1):
        opening = text[opened[depth]]
        if CLOSING[opening] == mark:
            found.unclosed.update((bracket, at) for bracket in opened[depth + 1 :])
            found.closing[opened[depth]] = at
            del opened[depth:]
            return
        if opening == "{":
            break
    found.stray.add(at)


def _too_nested(source: Source, opened: list[int]) -> Diagnostic:
    at = opened[-1]
    return Diagnostic(
        "E0004",
        f"more than {MAX_NESTING} nested brackets",
        Label(Span(source, at, at + 1), f"bracket {len(opened)}"),
        secondary=(Label(Span(source, opened[0], opened[0] + 1), "the outermost one"),),
        helps=("give parts of it names of their own, with `name = …` before this statement",),
    )


def _too_long(source: Source, at: int) -> Diagnostic:
    return Diagnostic(
        "E0004",
        f"more than {MAX_CHAIN:,} operators in a row",
        Label(Span(source, at, at + 1), "still going on here"),
        helps=("give parts of it names of their own, or say what repeats with `repeat`",),
    )


def too_deep(root: Tree) -> Diagnostic | None:
    """A refusal where the tree is deeper than `MAX_DEPTH`; walks with a stack of its own."""
    waiting: list[tuple[Tree, int]] = [(root, 0)]
    while waiting:
        node, depth = waiting.pop()
        if depth > MAX_DEPTH:
            return Diagnostic(
                "E0004",
                f"more than {MAX_DEPTH} nested expressions and statements",
                Label(
                    Span(node.span.source, node.span.start, min(node.span.start + 1, node.span.end)),
                    "too deep here",
                ),
                helps=("give parts of it names of their own, with `name = …` before this statement",),
            )
        inside = depth if isinstance(node, _WRAPPERS) else depth + 1
        waiting.extend((child, inside) for child in children(node))
    return None


@contextmanager
def room_to_recurse() -> Iterator[None]:
    """Let a walk over a tree recurse as deep as `MAX_DEPTH` allows, whatever Python's limit is now."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, 20 * MAX_DEPTH))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def too_large(name: str, size: int) -> Diagnostic:
    return Diagnostic(
        "E0003",
        f"`{name}` is too large: {size:,} bytes",
        notes=(f"an attn file has at most {MAX_BYTES:,} bytes ({MAX_BYTES // 1024} KiB)",),
        helps=("is it an `.attn` file? parts of a large one can move to files of their own, and come back with `use`",),
    )
