"""The mistakes that people make who know other languages: one diagnostic for each, with its place and what to write.

`mistakes.txt` holds statements of one model, each entry with what is printed for it. To write the messages anew after a
change of wording, run this file with `ATTNDSL_GOLDEN=write` and read the difference; to add a mistake, add it there
between two rulers, without any message, and do the same.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from attndsl.diagnostics import AttnError, Diagnostic
from attndsl.diagnostics.report import render
from attndsl.elaborate import elaborate, open_text

GOLDEN = Path(__file__).parent / "mistakes.txt"
RULER, DIVIDER = "=" * 100, "-" * 100

MODEL = """\
model Fragment(vocab=64, context=32, depth=3, width=8, hidden=12, heads=2, p=0.1) {{
  input x: [B, T, width]
  input memory: [B, S, width]
  input tokens: int[B, T] where T <= context, tokens < vocab
  input valid: bool[B, T]
  param w: [width, hidden]
{}  output result = x
}}
"""


def entries() -> list[tuple[str, str]]:
    found = []
    for entry in GOLDEN.read_text(encoding="utf-8").split(f"{RULER}\n")[1:]:
        statements, _, expected = entry.partition(f"{DIVIDER}\n")
        found.append((statements, expected.rstrip("\n")))
    return found


def diagnostics(statements: str) -> Sequence[Diagnostic]:
    text = MODEL.format("".join(f"  {line}" for line in statements.splitlines(keepends=True)))
    with pytest.raises(AttnError) as caught:
        elaborate(open_text(text), {})
    return caught.value.diagnostics


if os.environ.get("ATTNDSL_GOLDEN") == "write":
    GOLDEN.write_text(
        "".join(
            f"{RULER}\n{statements}{DIVIDER}\n{render(diagnostics(statements), color=False)}\n"
            for statements, _ in entries()
        ),
        encoding="utf-8",
    )


@pytest.mark.parametrize(
    ("statements", "expected"), [pytest.param(*entry, id=re.sub(r"\W+", " ", entry[0])[:40]) for entry in entries()]
)
def test_a_mistake_gives_one_diagnostic_with_its_place_and_its_mend(statements: str, expected: str) -> None:
    found = diagnostics(statements)
    assert render(found, color=False) == expected
    (diagnostic,) = found
    assert diagnostic.primary is not None
    first = MODEL.partition("{}")[0].count("\n") + 1
    assert first <= diagnostic.primary.span.line <= first + statements.count("\n") + 1
    says_what_is_missing = diagnostic.message.endswith("is missing") or " is missing before " in diagnostic.message
    said = (diagnostic.message, diagnostic.primary.text)
    assert diagnostic.helps or says_what_is_missing or any("is needed" in text or "write `" in text for text in said)
