"""The index of the pages in docs/errors: every code with its title, by range.

    python scripts/errors_page.py

writes docs/errors/README.md; a test says when it is out of date.
"""

from __future__ import annotations

import sys
from pathlib import Path

from attndsl.diagnostics.codes import RANGES, codes, read_code

PAGE = Path(__file__).resolve().parents[1] / "docs" / "errors" / "README.md"

HEAD = """# Errors

A page for every code that a message can carry: what it means, an example that gives it and one that does not. `attndsl
explain E0203` prints the same. A new code is a new page, and `python scripts/errors_page.py` makes this index.
"""


def page() -> str:
    parts = [HEAD]
    for prefix, about in RANGES.items():
        entries = [read_code(code) for code in codes() if code.startswith(prefix)]
        lines = [f"- [{entry.code}]({entry.code}.md): {entry.title}\n" for entry in entries]
        parts.append(f"\n## {prefix}xx: {about}\n\n" + "".join(lines))
    return "".join(parts)


def main() -> int:
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
