"""The page on the architecture: its programs print what it says, its list of rooms is the one that is tested."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

from tests.project.test_rooms import ROOMS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "architecture.md").read_text(encoding="utf-8")
PROGRAM = re.compile(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_programs_print_what_stands_below_them() -> None:
    programs = PROGRAM.findall(PAGE)
    assert len(programs) == PAGE.count("```python") > 3
    names: dict[str, Any] = {}
    for program, printed in programs:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(program, names)
        assert out.getvalue() == printed


def test_every_room_is_told_in_its_order() -> None:
    told = re.findall(r"^\| `([\w.]+)` \| .+ \|$", PAGE.partition("\n## The rooms\n")[2], re.MULTILINE)
    assert told == [room for room in ROOMS if not room.startswith("__")]


def test_the_files_that_it_names_are_there() -> None:
    root = Path(__file__).resolve().parents[2]
    for name in re.findall(r"`((?:\w+/)+\w+\.(?:py|attn|lark))`", PAGE):
        assert any((root / folder / name).is_file() for folder in ("", "attndsl")), name
