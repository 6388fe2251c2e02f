"""The page of the library is the one that its generator writes, and it names everything that there is."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from attndsl.elaborate.files import standard_names
from attndsl.elaborate.primitives import CONSTANTS, names, rule_of
from tests.scripts import script

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def library_page() -> ModuleType:
    return script("library_page")


def test_the_page_is_up_to_date(library_page: ModuleType) -> None:
    assert library_page.PAGE.read_text(encoding="utf-8") == library_page.page()


def test_checking_says_so(
    library_page: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert library_page.main(["--check"]) == 0
    monkeypatch.setattr(library_page, "PAGE", tmp_path / "library.md")
    assert library_page.main(["--check"]) == 1
    assert "scripts/library_page.py" in capsys.readouterr().err
    assert not library_page.PAGE.exists()
    assert library_page.main([]) == 0
    assert library_page.main(["--check"]) == 0


def test_everything_is_there(library_page: ModuleType) -> None:
    text = library_page.page()
    assert all(f"### {name}\n" in text for name in standard_names() if not name.startswith("_"))
    assert all(f"| `{name}` |" in text for name in names())
    assert all(f"`{name}`" in text for name in CONSTANTS)


def test_everything_is_documented() -> None:
    assert all(rule.doc for rule in map(rule_of, names()) if rule is not None)
