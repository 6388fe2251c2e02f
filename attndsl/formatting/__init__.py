"""One layout for `.attn` texts.

A text is laid out from its tokens alone: what is written stays as it is written, and only what stands between the
tokens changes. So the graph stays the same, and comments stay before, behind or between the tokens where they stood.
"""

from __future__ import annotations

from attndsl.diagnostics import AttnError, Source
from attndsl.formatting.reading import read
from attndsl.formatting.writing import write
from attndsl.syntax.lexer import Token
from attndsl.syntax.limits import room_to_recurse
from attndsl.syntax.parser import parse


def format_text(text: str, name: str) -> str:
    """The text in the one layout, in which it stays when it is formatted again. Raises `AttnError` with every mistake
    where the text does not parse; `name` is what the messages call it."""
    tokens: list[Token] = []
    _, problems = parse(Source(name, text), tokens)
    if problems:
        raise AttnError(*problems)
    with room_to_recurse():
        return write(read(text, tokens))
