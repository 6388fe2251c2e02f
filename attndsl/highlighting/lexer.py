"""The lexer that Pygments finds by its entry point."""

from __future__ import annotations

from typing import Any, ClassVar

from pygments.lexer import RegexLexer, bygroups
from pygments.token import Comment, Keyword, Name, Number, Operator, Punctuation, String, Text, Whitespace

from attndsl.highlighting.colours import rules

TOKENS: dict[str, Any] = {
    "doc": String.Doc,
    "comment": Comment.Single,
    "string": String.Double,
    "declaration": Keyword.Declaration,
    "declared": Name.Class,
    "space": Whitespace,
    "keyword": Keyword,
    "constant": Keyword.Constant,
    "operator": Operator,
    "operator word": Operator.Word,
    "type": Keyword.Type,
    "number": Number,
    "argument": Name.Attribute,
    "called": Name.Function,
    "name": Name,
    "punctuation": Punctuation,
}


def _tokens() -> list[tuple[str, Any]]:
    found = []
    for rule in rules():
        kinds = [TOKENS[kind] for kind in rule.kinds]
        found.append((rule.pattern, kinds[0] if len(kinds) == 1 else bygroups(*kinds)))
    return [*found, (r"\s+", Whitespace), (r".", Text)]


class AttnLexer(RegexLexer):
    """Specs of attndsl."""

    name = "attn"
    aliases: ClassVar[list[str]] = ["attn", "attndsl"]
    filenames: ClassVar[list[str]] = ["*.attn"]
    mimetypes: ClassVar[list[str]] = ["text/x-attn"]
    tokens: ClassVar[dict[str, Any]] = {"root": _tokens()}
