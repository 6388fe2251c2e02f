"""Every warning of a spec: in `cases/CODE.txt`, programs that give it exactly where `«…»` stands, and, without these
marks, their nearest relatives that give none."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from attndsl.api.checking import check_spec
from attndsl.diagnostics import Diagnostic, collected
from attndsl.diagnostics.codes import codes
from attndsl.elaborate import open_text
from attndsl.elaborate.settings import Setting

FOLDER = Path(__file__).parent / "cases"


class Case(NamedTuple):
    code: str
    title: str
    text: str
    spans: list[tuple[int, int]]


def cases() -> list[Case]:
    found = []
    for path in sorted(FOLDER.glob("*.txt")):
        for part in re.split(r"^--- ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            title, _, marked = part.partition("\n")
            found.append(Case(path.stem, title, *underlined(marked)))
    return found


def underlined(marked: str) -> tuple[str, list[tuple[int, int]]]:
    """A text without its marks, and the places that they enclosed."""
    text, spans = "", []
    for part in re.split("(«.*?»)", marked, flags=re.DOTALL):
        if part.startswith("«"):
            spans.append((len(text), len(text) + len(part) - 2))
        text += part.strip("«»")
    return text, spans


def told(text: str, **settings: Setting) -> list[Diagnostic]:
    """The warnings of a spec, which is right."""
    with collected() as found:
        check_spec(open_text(text), settings)
    return found


CASES = cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.code}-{case.title}")
def test_a_warning_is_told_where_it_stands_and_nowhere_else(case: Case) -> None:
    found = told(case.text)
    places = [(it.primary.span.start, it.primary.span.end) for it in found if it.primary]
    assert (places, {it.code for it in found}) == (case.spans, {case.code} if case.spans else set())


def test_every_warning_of_a_spec_has_cases_and_two_near_ones() -> None:
    for code in (code for code in codes() if code.startswith("W01")):
        of_code = [case for case in CASES if case.code == code]
        assert any(case.spans for case in of_code), code
        assert len([case for case in of_code if not case.spans]) >= 2, code


HALF = "block half(x: [*]) -> [*] {\n  return x / 2\n}\n"


def test_a_setting_is_a_use_of_a_block() -> None:
    text = HALF + "model M(act=gelu) {\n  input x: [B]\n  output y = act(x)\n}"
    assert [it.code for it in told(text)] == ["W0101"]
    assert told(text, act="half") == []


def test_a_file_without_a_model_is_there_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    parts = HALF + "block double(by=2)(x: [*]) -> [*] {\n  return 2 * x\n}\n"
    (tmp_path / "parts.attn").write_text(parts, encoding="utf-8")
    (found,) = told('use "parts.attn"\nmodel M {\n  input x: [B]\n  output y = half(x)\n}')
    assert found.primary is not None
    assert (found.primary.span.source.name, found.primary.span.text) == ("parts.attn", "by")
