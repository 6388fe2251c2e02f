"""What a line looks like by its first word: the keywords stand in the grammar, and nowhere else."""

from __future__ import annotations

import re
from functools import lru_cache

from attndsl.records import Frozen
from attndsl.syntax.tables import tables


class Lines(Frozen):
    """Patterns for the beginning of a line: a declaration's, or what is most likely a statement or a declaration."""

    declaration: re.Pattern[str]
    like_statement: re.Pattern[str]
    like_declaration: re.Pattern[str]


@lru_cache(maxsize=1)
def lines() -> Lines:
    known = tables()

    def either(words: frozenset[str]) -> str:
        return f"(?:{'|'.join(sorted(words))})"

    declaration = rf"{either(known.declarations)}[ \t]+[\"A-Za-z_]"
    return Lines(
        re.compile(declaration),
        re.compile(
            rf"""\s*(?: \}} | /// | {either(known.statements & known.reserved)}\b
              | {either(known.statements - known.reserved)}[ \t]+[A-Za-z_]
              | {declaration}
              | [A-Za-z_]\w*[ \t]*(?:=(?!=)|,|:|[-+*/]=|<-))""",
            re.VERBOSE,
        ),
        re.compile(rf"///|(?!{either(known.statements)}\b)[A-Za-z_]\w*[ \t]+[A-Za-z_]"),
    )


def starts_declaration(text: str, offset: int) -> bool:
    """Whether a declaration starts at `offset`, at the very beginning of its line."""
    return (offset == 0 or text[offset - 1] == "\n") and lines().declaration.match(text, offset) is not None
