"""Who opens a file or a folder of the code reads first what it is for, and what goes in and comes out."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = [
    file
    for top in ("attndsl", "backends")
    for file in sorted((ROOT / top).rglob("*.py"))
    if file.relative_to(ROOT).parts[:2] != ("attndsl", "backends")  # a link to the other
]
ROOMS = [file.parent for file in FILES if file.name == "__init__.py" and file.parent != ROOT / "attndsl"]


def docstring(file: Path) -> str:
    return ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""


def test_every_module_says_what_it_is() -> None:
    assert [file.relative_to(ROOT).as_posix() for file in FILES if not docstring(file)] == []


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.relative_to(ROOT).as_posix())
def test_every_room_says_what_it_is_given_and_what_it_gives(room: Path) -> None:
    text = docstring(room / "__init__.py")
    assert len(re.findall(r"[.:](?=\s|$)", text)) >= 2, (
        "one sentence says what a room is, another what it takes and makes"
    )
    assert re.search(r"\bgiven\b", text, re.IGNORECASE)
    assert re.search(r"\bgives?\b", text)
