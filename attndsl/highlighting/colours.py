"""The rules, in which the words and marks are those of `grammars/attn.lark`."""

from __future__ import annotations

import re
from collections.abc import Iterable

from attndsl.records import Frozen
from attndsl.syntax.tables import tables
from attndsl.types import DTYPES

_CONSTANTS = ("true", "false")
_OPERATORS_IN_WORDS = ("and", "or", "not", "in")
_BRACKETS = ("(", ")", "[", "]", "{", "}")
_SEPARATORS = (",", ":", ".")


class ColourRule(Frozen):
    """What matches `pattern` is of a kind: of one for each of its groups, or as a whole. Patterns are of the part that
    Python's `re` and Oniguruma have in common."""

    kinds: tuple[str, ...]
    pattern: str


def rules() -> tuple[ColourRule, ...]:
    """The first that matches at a place says what stands there; white space and all else is plain."""
    known = tables()
    name, number, string = (known.patterns[kind] for kind in ("NAME", "NUMBER", "STRING"))
    controls = known.reserved - {*_CONSTANTS, *_OPERATORS_IN_WORDS}
    # What may be a name too is a keyword before a name or a text on its line, as the lexer has it.
    words = known.words.keys() - known.reserved - {*_OPERATORS_IN_WORDS}
    marks = [mark for mark in known.marks if mark not in (*_BRACKETS, *_SEPARATORS)]
    named = "model", "block", "mask", "bias", "maps"
    return (
        ColourRule(("doc",), r"///[^\n]*"),
        ColourRule(("comment",), r"#[^\n]*"),
        ColourRule(("string",), string),
        ColourRule(("declaration", "space", "declared"), rf"\b({_either(named)})([ \t]+)({name})(?=[ \t]*[({{])"),
        ColourRule(
            ("declaration", "space", "name", "punctuation", "declared"),
            rf"\b(variant|train)([ \t]+)({name})([ \t]*:[ \t]*)({known.patterns['VARIANT_NAME']})",
        ),
        ColourRule(("keyword",), rf"\b{_either(controls)}\b"),
        ColourRule(("constant",), rf"\b{_either(_CONSTANTS)}\b"),
        ColourRule(("operator word",), rf"\b{_either(_OPERATORS_IN_WORDS)}\b(?=[ \t]+[^ \t=,\]]|\()"),
        ColourRule(("keyword",), r"\brequire\b(?![ \t]*(?:=(?!=)|,|:|[-+*/]=|<-))"),
        ColourRule(("keyword",), r"\bconfig\b(?=[ \t]*\{)"),
        ColourRule(
            ("keyword",), rf"(?<!\.)\b{_either(words)}\b(?=[ \t]+(?!(?:in|if|else|and|or|as|where)\b)[A-Za-z_\"])"
        ),
        ColourRule(("keyword",), r"\boptional\b(?=[ \t]*(?:$|[{=#]|where\b))"),
        ColourRule(("type",), rf"\b{_either(DTYPES)}\b(?=[ \t]*[\[(])"),
        ColourRule(("number",), rf"(?<![A-Za-z0-9_]){number}"),
        ColourRule(("argument",), rf"\b{name}(?=[ \t]*=(?!=))"),
        ColourRule(("called",), rf"\b{name}(?=\()"),
        ColourRule(("operator", "space", "called"), rf"(\|>)([ \t]*)({name})"),
        ColourRule(("name",), rf"\b{name}"),
        ColourRule(("operator",), _either(marks)),
        ColourRule(("punctuation",), _either((*_BRACKETS, *_SEPARATORS))),
    )


def _either(words: Iterable[str]) -> str:
    """One of these, the longest first."""
    return f"(?:{'|'.join(map(re.escape, sorted(words, key=lambda word: (-len(word), word))))})"
