"""What editors need to know of the language without a server, from the grammar.

    python scripts/textmate.py

writes grammars/attn.tmLanguage.json (colours) and grammars/language-configuration.json (comments, brackets, indents); a
test says when they are out of date.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from attndsl.highlighting import ColourRule, rules

GRAMMARS = Path(__file__).resolve().parents[1] / "grammars"

SCOPES = {
    "doc": "comment.line.documentation.attn",
    "comment": "comment.line.number-sign.attn",
    "string": "string.quoted.double.attn",
    "declaration": "storage.type.attn",
    "declared": "entity.name.type.attn",
    "space": "",
    "keyword": "keyword.control.attn",
    "constant": "constant.language.attn",
    "operator": "keyword.operator.attn",
    "operator word": "keyword.operator.word.attn",
    "type": "support.type.attn",
    "number": "constant.numeric.attn",
    "argument": "variable.parameter.attn",
    "called": "entity.name.function.attn",
    "name": "variable.other.attn",
    "punctuation": "punctuation.attn",
}


def _pattern(rule: ColourRule) -> dict[str, Any]:
    if len(rule.kinds) == 1:
        return {"name": SCOPES[rule.kinds[0]], "match": rule.pattern}
    names = {str(i): {"name": SCOPES[kind]} for i, kind in enumerate(rule.kinds, 1) if SCOPES[kind]}
    return {"match": rule.pattern, "captures": names}


def grammar() -> dict[str, Any]:
    return {
        "name": "attn",
        "scopeName": "source.attn",
        "fileTypes": ["attn"],
        "patterns": [_pattern(rule) for rule in rules()],
    }


def configuration() -> dict[str, Any]:
    pairs = [["{", "}"], ["[", "]"], ["(", ")"]]
    return {
        "comments": {"lineComment": "#"},
        "brackets": pairs,
        "autoClosingPairs": [*pairs, ['"', '"']],
        "surroundingPairs": [*pairs, ['"', '"']],
        "indentationRules": {"increaseIndentPattern": r"^[^#\"]*\{[^}]*$", "decreaseIndentPattern": r"^\s*\}"},
        "onEnterRules": [{"beforeText": r"^\s*///.*$", "action": {"indent": "none", "appendText": "/// "}}],
    }


def files() -> dict[Path, str]:
    """The texts of the files."""
    made = {"attn.tmLanguage.json": grammar(), "language-configuration.json": configuration()}
    return {GRAMMARS / name: json.dumps(data, indent=2, ensure_ascii=False) + "\n" for name, data in made.items()}


def main() -> int:
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
