"""docs/diagrams.md: its commands draw the pictures that it shows."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Finished
from tests.drawing.conftest import HAS_GRAPHVIZ
from tests.scripts import script

DOCS = Path(__file__).resolve().parents[2] / "docs"
DRAWINGS = script("drawings")
PAGE = (DOCS / "diagrams.md").read_text(encoding="utf-8")
needs_graphviz = pytest.mark.skipif(not HAS_GRAPHVIZ, reason="Graphviz is not installed")


@needs_graphviz
@pytest.mark.parametrize("command", DRAWINGS.commands())
def test_a_command_draws_what_is_shown(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attndsl: Callable[..., Finished]
) -> None:
    monkeypatch.chdir(tmp_path)
    DRAWINGS.write_files(tmp_path)
    done = attndsl(*shlex.split(command))
    name = command.split()[-1]
    assert (done.code, done.err, done.out) == (0, "", f"drew {name}\n")
    drawn, shown = ((folder / name).read_text(encoding="utf-8") for folder in (tmp_path, DOCS))
    assert DRAWINGS.texts(drawn) == DRAWINGS.texts(shown), "run `python scripts/drawings.py`"


def test_every_picture_is_drawn_by_a_command() -> None:
    assert len(DRAWINGS.commands()) == PAGE.count("```console") >= 6
    assert re.findall(r"^!\[.*\]\((.*)\)$", PAGE, re.MULTILINE) == [each.split()[-1] for each in DRAWINGS.commands()]


def test_what_the_page_shows_in_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    if not HAS_GRAPHVIZ:
        pytest.skip("Graphviz is not installed")
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert {path.name for path in tmp_path.iterdir()} == {"gpt2.svg", "unrolled.svg"}
