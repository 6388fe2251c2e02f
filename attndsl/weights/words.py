"""Words: what a name stands for in the lines of a `weights` section that are written once and mean several tensors.

A word is bound by a list in a published name (`"{part in [query -> q, key -> k]}."`) or by a call of `maps`. It stands
for a text where a published name has it in braces, and for a layer or an index on the right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from attndsl.diagnostics import AttnError, Span, error
from attndsl.records import Frozen, fields, replace
from attndsl.syntax import tree
from attndsl.weights.patterns import index_of

_PIECES = re.compile(r"(\{[^{}]*\})")
_LIST = re.compile(r"\{\s*([A-Za-z_]\w*)\s+in\b\s*(.*)\}", re.DOTALL)
_ELEMENT = re.compile(r"\s*([\w.-]+)\s*(?:->\s*([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*|[0-9]+)\s*)?", re.ASCII)
_PATH = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*|[0-9]+", re.ASCII)
_NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*", re.ASCII)


class Word(Frozen):
    """What a name stands for: `text` in a published name (None where it cannot stand there), `own` on the right;
    `is_index` where that is the number of a layer, and not its name."""

    text: str | None
    own: tree.Expr
    is_index: bool = False


Words = Mapping[str, Word]


def word_of(value: tree.Expr, indices: frozenset[str]) -> Word:
    """What an argument makes its parameter stand for, where `indices` are the variables that count layers."""
    if isinstance(value, tree.String):
        return Word(value.value, value)
    index = index_of(value)
    if index is not None and index.symbols <= indices:
        return Word(str(index) if not index.symbols else f"{{{index}}}", value, is_index=True)
    return Word(_path_text(value), value)


def _path_text(value: tree.Expr) -> str | None:
    if isinstance(value, tree.Name):
        return value.text
    if isinstance(value, tree.Attribute) and (base := _path_text(value.base)) is not None:
        return f"{base}.{value.name.text}"
    return None


# ---------------------------------------------------------------- published names


def variables_in(text: str) -> frozenset[str]:
    """The variables that stand in a name's braces, those of lists left out."""
    pieces = [piece for piece in _PIECES.findall(text) if not _LIST.fullmatch(piece)]
    bound = {match[1] for piece in _PIECES.findall(text) if (match := _LIST.fullmatch(piece))}
    return frozenset(name for piece in pieces for name in _NAME.findall(piece)) - bound


def bound_in(text: str) -> frozenset[str]:
    """The words that a name's lists bind."""
    return frozenset(match[1] for piece in _PIECES.findall(text) if (match := _LIST.fullmatch(piece)))


def spellings(string: tree.String, words: Words) -> Iterator[tuple[str, Words]]:
    """The names that a published name means, each with the words that hold for it: one for each choice of elements of
    its lists. E0626 for a list that is not one."""
    yield from _spelled(string, [m for m in _PIECES.split(string.value) if m], "", words, 0)


def _spelled(string: tree.String, pieces: list[str], before: str, words: Words, at: int) -> Iterator[tuple[str, Words]]:
    for place, piece in enumerate(pieces):
        span = _within(string, at, piece)
        at += len(piece)
        if match := _LIST.fullmatch(piece):
            for text, word in _elements(match[2], span, words):
                yield from _spelled(string, pieces[place + 1 :], before + text, {**words, match[1]: word}, at)
            return
        before += _filled(piece, words, span) if piece.startswith("{") else piece
    yield before, words


def _elements(listed: str, span: Span, words: Words) -> Iterator[tuple[str, Word]]:
    inside = listed.strip()
    elements = inside[1:-1].removesuffix(",").split(",") if inside.startswith("[") and inside.endswith("]") else [""]
    seen: set[str] = set()
    for element in elements:
        match = _ELEMENT.fullmatch(element)
        own = match and (match[2] or match[1])
        if match is None or not own or not _PATH.fullmatch(own) or match[1] in seen:
            again = match is not None and match[1] in seen
            raise error(
                "E0626",
                f"`{element.strip()}` is in this list twice" if again else f"`{span.text}` has no list of names",
                span,
                help="a list has published names, each with the name that it has here where that is another: "
                "`{part in [q, k, v]}`, `{part in [query -> q, key -> k]}`",
            )
        seen.add(match[1])
        is_index = words[own].is_index if own in words else own.isdecimal()
        yield match[1], Word(match[1], substituted(_path(own, span), words), is_index)


def _path(text: str, span: Span) -> tree.Expr:
    if text.isdecimal():
        return tree.Number(span, int(text))
    first, *rest = text.split(".")
    found: tree.Expr = tree.Name(span, first)
    for name in rest:
        found = tree.Attribute(span, found, tree.Identifier(span, name))
    return found


def _filled(piece: str, words: Words, span: Span) -> str:
    """What stands in braces, with what its words stand for."""
    inside = piece[1:-1].strip()
    used = [name for name in _NAME.findall(inside) if name in words]
    for name in used:
        word = words[name]
        if word.text is None or (name != inside and not word.is_index):
            raise error(
                "E0626",
                f"`{name}` is not a string that a published name could have here",
                span,
                f"it stands for `{word.own.span.text}`",
                help='a string is an argument of its own: `maps layer(name, at) { … }`, `layer("attn", h[i].attn)`',
            )
    if inside in used:
        return words[inside].text or ""
    return (
        "{" + _NAME.sub(lambda m: f"({(words[m[0]].text or '').strip('{}')})" if m[0] in words else m[0], inside) + "}"
    )


def _within(string: tree.String, at: int, piece: str) -> Span:
    """Where a piece of a text stands; the text itself, where it is not written as it reads."""
    span = string.span
    start = span.start + 1 + at
    return Span(span.source, start, start + len(piece)) if span.text == f'"{string.value}"' else span


# ---------------------------------------------------------------- the right side


def substituted(node: Any, words: Words) -> Any:
    """A tree (or a tuple of trees) with what its words stand for. `at[part]` is the layer of that name below `at`."""
    if isinstance(node, tuple):
        changed = tuple(substituted(part, words) for part in node)
        return changed if any(a is not b for a, b in zip(changed, node, strict=True)) else node
    if not isinstance(node, tree.Tree) or not words:
        return node
    if isinstance(node, tree.Name):
        return words[node.text].own if node.text in words else node
    if isinstance(node, tree.Subscript):
        found = substituted(node.base, words)
        for entry in node.entries:
            word = words.get(entry.index.text) if is_plain(entry) and isinstance(entry.index, tree.Name) else None
            if word is not None and not word.is_index:
                found = _below(found, word.own, node.span)
            else:
                found = tree.Subscript(node.span, found, (substituted(entry, words),))
        return found
    changes = {field.name: substituted(getattr(node, field.name), words) for field in fields(type(node))}
    same = all(value is getattr(node, name) for name, value in changes.items())
    return node if same else replace(node, **changes)


def is_plain(entry: tree.SubscriptEntry) -> bool:
    """Whether a subscript's entry is an index alone, as in `h[i]`."""
    return entry.index is not None and entry.axis is None and not entry.is_slice and entry.below is None


def _below(base: tree.Expr, path: tree.Expr, span: Span) -> tree.Expr:
    match path:
        case tree.Name():
            return tree.Attribute(span, base, tree.Identifier(span, path.text))
        case tree.Attribute():
            return tree.Attribute(span, _below(base, path.base, span), path.name)
        case tree.Subscript():
            return tree.Subscript(span, _below(base, path.base, span), path.entries)
    raise not_a_layer(path, span)


def not_a_layer(path: tree.Expr, span: Span) -> AttnError:
    return error("E0625", f"`{path.span.text}` is not the name of a layer", span, help="a name, or a number: `h[attn]`")
