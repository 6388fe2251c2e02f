"""The text of every syntax error, compared with `syntax_errors.txt`.

That file holds programs, each with what is said about it. To write the messages anew after a change of wording, run
this file with `ATTNDSL_GOLDEN=write` and read the difference; to add a program, add it there between two rulers,
without any message, and do the same.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from attndsl.diagnostics import Source
from attndsl.diagnostics.report import render
from attndsl.syntax.parser import parse

GOLDEN = Path(__file__).parent / "syntax_errors.txt"
RULER, DIVIDER = "=" * 100, "-" * 100


def _entries() -> list[tuple[str, str]]:
    """Every program with its expected messages."""
    entries = []
    for entry in GOLDEN.read_text(encoding="utf-8").split(f"{RULER}\n")[1:]:
        program, _, expected = entry.partition(f"{DIVIDER}\n")
        entries.append((program, expected.rstrip("\n")))
    return entries


def _messages(program: str) -> str:
    _, found = parse(Source("my.attn", program))
    return render(found, color=False)


def _name(program: str) -> str:
    return re.sub(r"\W+", " ", program.replace("model M(width=8) {\n", "").strip())[:40]


if os.environ.get("ATTNDSL_GOLDEN") == "write":
    GOLDEN.write_text(
        "".join(f"{RULER}\n{program}{DIVIDER}\n{_messages(program)}\n" for program, _ in _entries()), encoding="utf-8"
    )


@pytest.mark.parametrize(("program", "expected"), [pytest.param(*entry, id=_name(entry[0])) for entry in _entries()])
def test_syntax_error(program, expected):
    assert expected
    assert _messages(program) == expected


def test_every_syntax_code_is_shown():
    """E0001 to E0004 are about files and limits, and have tests of their own."""
    shown = set(re.findall(r"error\[(E\d{4})\]", "".join(expected for _, expected in _entries())))
    assert shown == {f"E00{number:02}" for number in (5, 6, *range(10, 21))}
