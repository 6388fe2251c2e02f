"""Hold what must hold of formatting on random programs, each in order and in disorder with comments everywhere.

    python scripts/formatting.py                     a thousand
    python scripts/formatting.py --count 10000 --seed 1
    python scripts/formatting.py --show 17           one program, and what is wrong with it

Whatever changes a second time, says something else, loses a comment or shows how it was written is printed with the
number that makes the same program again.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from attndsl.formatting import format_text
from tests.formatting.properties import disordered, violations
from tests.programs.many import hold, options
from tests.programs.writer import Program


def main(arguments: list[str] | None = None) -> int:
    return hold(options(__doc__).parse_args(arguments), wrong, shown)


def wrong(number: int) -> list[str]:
    text = Program.random(number).text
    disorder = disordered(text, number, comments=True)
    return [*violations(text), *(f"in disorder: {what}" for what in violations(disorder))]


def shown(number: int) -> str:
    disorder = disordered(Program.random(number).text, number, comments=True)
    return f"{disorder}\n{format_text(disorder, 'random')}"


if __name__ == "__main__":
    sys.exit(main())
