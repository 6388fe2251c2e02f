"""Shapes at the ends of lines: the type of what a line makes, where it is not written there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from attndsl.diagnostics import Span
from attndsl.editing.workspace import Analysis
from attndsl.graph import Value
from attndsl.records import Frozen
from attndsl.syntax import tree

_REST = re.compile(r"[ \t]*(?:as[ \t]+\w+)?[ \t]*(?:#[^\n]*)?(?=\r?\n|\Z)")


class Inlay(Frozen):
    """A type to show behind the line (counted from 1) that ends at `offset`."""

    line: int
    offset: int
    text: str


@lru_cache(maxsize=4)  # an editor asks for the lines that it shows, each time that it shows others
def inlays(analysis: Analysis) -> tuple[Inlay, ...]:
    """The types of the tensors that lines end with; of a pipe over several lines, of each of its stages."""
    found: dict[int, tuple[int, Inlay]] = {}
    typed = set(_typed(analysis))
    for model in analysis.models:
        for span, value in model.recorder.values.items():
            if not isinstance(value, Value) or not value.type.axes or span.source.whole is not analysis.source:
                continue
            rest = _REST.match(span.source.text, span.end)
            line = span.source.position(span.end)[0]
            if rest is None or line in typed:
                continue
            known = found.get(line)
            if known is None or span.start < known[0]:
                inlay = Inlay(line, rest.end() + span.source.start, str(value.type))
                found[line] = (span.start, inlay)
    return tuple(inlay for _, (_, inlay) in sorted(found.items()))


def _typed(analysis: Analysis) -> Iterator[int]:
    """The lines on which a type is written already."""
    for declaration in analysis.file.declarations:
        for node in tree.walk(declaration):
            type_ = getattr(node, "type", None)
            if isinstance(node, (tree.Assign, tree.InputDecl, tree.ParamDecl, tree.OutputDecl)) and type_ is not None:
                yield _line(node.span)


def _line(span: Span) -> int:
    return span.source.position(span.end)[0]
