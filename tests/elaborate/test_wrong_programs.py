"""Every wrong program gets the right code on the right line, the conflicting place, and one error for one mistake.

The whole text of each message is compared with `golden/NAME.txt`; to write those anew after a change of wording, run
this file with `ATTNDSL_GOLDEN=write` and read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from attndsl.diagnostics import AttnError
from attndsl.diagnostics.report import render
from attndsl.elaborate import load
from tests.costs import less_than
from tests.elaborate.wrong_programs import PROGRAMS, Wrong

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.name)
def test_wrong_program(program: Wrong, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("wrong.attn").write_text(program.text, encoding="utf-8")
    with less_than(1), pytest.raises(AttnError) as caught:
        load("wrong.attn", program.settings)
    found = [(d.code, d.primary.span.line if d.primary else 0) for d in caught.value.diagnostics]
    assert found == [(code, line) for code, line, _ in program.expected]
    for diagnostic, (_, _, other) in zip(caught.value.diagnostics, program.expected, strict=True):
        if other is not None:
            assert other in [label.span.line for label in diagnostic.secondary]
        assert diagnostic.primary is None or diagnostic.primary.span.source.name.endswith("wrong.attn")
    text = render(caught.value.diagnostics, color=False)
    golden = GOLDEN / f"{program.name}.txt"
    if os.environ.get("ATTNDSL_GOLDEN") == "write":
        GOLDEN.mkdir(exist_ok=True)
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_names_are_distinct() -> None:
    names = [p.name for p in PROGRAMS]
    assert len(names) == len(set(names))
    assert {p.stem for p in GOLDEN.glob("*.txt")} == set(names)
