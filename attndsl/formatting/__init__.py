"""One layout for `.attn` texts.

Given a text that parses; gives the same text with other spaces and ends of lines. It is laid out from its tokens alone,
which stay as they are written: so the graph stays the same, and comments stay between the tokens where they stood.
"""

from __future__ import annotations

from attndsl.diagnostics import AttnError, Source
from attndsl.formatting.lexemes import read
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
