"""Words of Python with a tag each: what every name in the standard library's statements is there."""

from __future__ import annotations

import ast
import io
import keyword
import tokenize
import warnings
from collections.abc import Iterator
from pathlib import Path

from attndsl.data.columns import Table
from attndsl.data.counter import integers
from attndsl.data.examples.library import sources

SHORTEST, LONGEST = 4, 40  # words of a statement
_PURPOSE = 0x4E414D45
_OTHERS = {tokenize.NUMBER: "number", tokenize.STRING: "string", tokenize.OP: "operator"}


def names_table(count: int) -> Table:
    """`count` different statements of one line, from files of the library that a counter draws: columns `tokens` (its
    words), `tags` (for each a role: keyword, operator, number, string, or of a name whether it is called, assigned to,
    an attribute, an argument, a module, a parameter, defined or read) and `group`, the file: what is held out is of
    files that were never seen."""
    files = sources()
    ranks = integers(_PURPOSE, 0, 0, below=1 << 30, count=len(files)).tolist()
    found: dict[tuple[str, ...], tuple[list[str], str]] = {}
    for _, (path, name) in sorted(zip(ranks, files, strict=True), key=lambda each: (each[0], each[1][1])):
        for words, tags in _statements(path) if len(found) < count else ():
            found.setdefault(tuple(words), (tags, name))
    rows = list(found.items())[:count]
    return Table(
        {
            "tokens": [list(words) for words, _ in rows],
            "tags": [tags for _, (tags, _) in rows],
            "group": [name for _, (_, name) in rows],
        },
        "`example:names`",
    )


def _statements(path: Path) -> Iterator[tuple[list[str], list[str]]]:
    """The words and tags of the statements in a file that stand on a line of their own."""
    try:
        text = path.read_text(encoding="utf-8")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (OSError, SyntaxError, ValueError, tokenize.TokenError):  # templates that are not Python yet
        return
    roles = dict(_roles(tree))
    lines: dict[int, list[tokenize.TokenInfo]] = {}
    for token in tokens:
        if token.type in _OTHERS or token.type == tokenize.NAME:
            lines.setdefault(token.start[0], []).append(token)
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and node.lineno == node.end_lineno:
            line = [t for t in lines.get(node.lineno, ()) if t.start[1] >= node.col_offset]
            words = [token.string for token in line]
            if SHORTEST <= len(words) <= LONGEST and all(word.isascii() and " " not in word for word in words):
                yield words, [_tag(token, roles) for token in line]


def _tag(token: tokenize.TokenInfo, roles: dict[tuple[int, int], str]) -> str:
    if token.type != tokenize.NAME:
        return _OTHERS[token.type]
    return "keyword" if keyword.iskeyword(token.string) else roles.get(token.start, "read")


def _roles(tree: ast.AST) -> Iterator[tuple[tuple[int, int], str]]:
    """What names are, by line and column; a call says more of what is called than its own node does, and comes last."""
    called: list[tuple[tuple[int, int], str]] = []
    for node in ast.walk(tree):
        match node:
            case ast.Name(ctx=ast.Store()):
                yield (node.lineno, node.col_offset), "assigned"
            case ast.Attribute():
                yield _attribute(node), "attribute"
            case ast.keyword(arg=str()):
                yield (node.lineno, node.col_offset), "argument"
            case ast.arg():
                yield (node.lineno, node.col_offset), "parameter"
            case ast.alias():
                yield (node.lineno, node.col_offset), "module"
            case ast.FunctionDef() | ast.ClassDef():
                yield (node.lineno, node.col_offset + (4 if isinstance(node, ast.FunctionDef) else 6)), "defined"
            case ast.Call(func=ast.Name() as function):
                called.append(((function.lineno, function.col_offset), "called"))
            case ast.Call(func=ast.Attribute() as function):
                called.append((_attribute(function), "called"))
    yield from called


def _attribute(node: ast.Attribute) -> tuple[int, int]:
    """Where the name behind the dot stands."""
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return node.end_lineno, node.end_col_offset - len(node.attr)
