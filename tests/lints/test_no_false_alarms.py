"""No shipped spec and no program of the pages warns."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from attndsl.api.checking import check_spec
from attndsl.diagnostics import collected
from attndsl.elaborate import Spec, open_spec, open_text, shipped

ROOT = Path(__file__).resolve().parents[2]
ARCHITECTURES = sorted((ROOT / "tests" / "architectures").glob("*.attn"))
SHIPPED = [name for spec in shipped() for name in (spec, *(f"{spec}:{v.name.text}" for v in open_spec(spec).variants))]
# Those of language.md and of the errors' pages are read where they are tested.
PAGES = [ROOT / "README.md", *sorted(p for p in (ROOT / "docs").glob("**/*.md") if p.parent.name != "errors")]
PROGRAM = re.compile(r"^```attn\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROGRAMS = {
    f"{page.relative_to(ROOT)}:{text.count(chr(10), 0, found.start()) + 1}": found[1]
    for page in PAGES
    for text in [page.read_text(encoding="utf-8")]
    for found in PROGRAM.finditer(text)
    if re.search(r"^model ", found[1], re.MULTILINE) and 'use "' not in found[1]
}


def warned(spec: Spec) -> list[str]:
    with collected() as found:
        check_spec(spec)
    return [str(it) for it in found]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_spec_does_not_warn(name: str) -> None:
    assert warned(open_spec(name)) == []


@pytest.mark.parametrize("path", ARCHITECTURES, ids=lambda path: path.stem)
def test_an_architecture_of_the_tests_does_not_warn(path: Path) -> None:
    assert warned(open_spec(str(path))) == []


@pytest.mark.parametrize("place", PROGRAMS)
def test_a_program_of_a_page_does_not_warn(place: str) -> None:
    assert warned(open_text(PROGRAMS[place])) == []
