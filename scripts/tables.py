"""The parser's tables, from the grammar.

    python scripts/tables.py

writes attndsl/syntax/tables.json; a test says when it is out of date.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from attndsl.syntax.tables import build

ROOT = Path(__file__).resolve().parents[1]
TABLES = ROOT / "attndsl" / "syntax" / "tables.json"


def text() -> str:
    """The tables as JSON, with a line for each state and each rule."""
    data = build((ROOT / "grammars" / "attn.lark").read_text(encoding="utf-8"))

    def lines(value: object) -> str:
        if isinstance(value, list) and value and not isinstance(value[0], str):
            return "[\n" + ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in value) + "\n]"
        return json.dumps(value, separators=(",", ":"))

    return "{\n" + ",\n".join(f"{json.dumps(key)}: {lines(value)}" for key, value in data.items()) + "\n}\n"


def main() -> int:
    TABLES.write_text(text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
