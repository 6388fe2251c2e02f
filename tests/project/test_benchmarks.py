"""The scripts that measure: each is described by its command, and nothing else is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
SCRIPTS = sorted(path for path in FOLDER.glob("*.py") if "__main__" in path.read_text(encoding="utf-8"))
COMMAND = re.compile(r"python benchmarks/(\w+\.py)")


def test_the_page_has_every_script() -> None:
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert set(COMMAND.findall(page)) == {path.name for path in SCRIPTS}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_says_how_to_run_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert set(COMMAND.findall(text.split('"""')[1])) == {path.name}
    assert "in_turn" in text or path.name in {"passes.py", "editor.py"}, "all sides are measured in turn"
