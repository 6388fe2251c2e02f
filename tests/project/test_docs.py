"""What is generated is up to date."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from attndsl.elaborate import shipped
from tests.scripts import script

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_of_commands_is_what_the_commands_say():
    written = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert written == script("commands").page(), "run `python scripts/commands.py`"


DRAWINGS = script("drawings")


@pytest.mark.parametrize("name", [name for name in shipped() if name not in DRAWINGS.TOO_SMALL])
def test_every_family_is_drawn_as_it_is(name):
    """What is written in the drawing and what it says to those who do not see it; with Graphviz, every word."""
    from attndsl.drawing import picture
    from attndsl.drawing.output import scene_of

    graph, path = DRAWINGS.graph_of(name), ROOT / "docs" / f"{name}.svg"
    assert path.is_file(), "run `python scripts/drawings.py`"
    written = DRAWINGS.texts(path.read_text(encoding="utf-8"))
    scene = scene_of(graph)
    assert {scene.title, scene.description} <= written.keys(), "run `python scripts/drawings.py`"
    if shutil.which("dot"):
        assert written == DRAWINGS.texts(str(picture(graph))), "run `python scripts/drawings.py`"


def test_two_models_are_drawn_as_their_page_shows_them():
    written = DRAWINGS.texts((ROOT / "docs" / "diff.svg").read_text(encoding="utf-8"))
    scene = DRAWINGS.changes()
    assert {scene.title, scene.description} <= written.keys(), "run `python scripts/drawings.py`"


def test_the_figure_of_attention_is_the_measured_one():
    alignment = script("alignment")
    figures = json.loads(alignment.FIGURES.read_text(encoding="utf-8"))
    again = "run `python scripts/alignment.py --draw`"
    assert alignment.DRAWING.read_text(encoding="utf-8") == alignment.drawing(figures), again
    assert alignment.TABLE.search(alignment.TOUR.read_text(encoding="utf-8"))[0] == alignment.table(figures), again
    assert figures.keys() == {*alignment.TASKS, "dates", "fed"}
    assert figures["fed"].keys() == alignment.FED.keys()
    for task in figures.keys() - {"fed"}:
        without, attending = (dict(figures[task][way]["by_length"]) for way in alignment.WAYS)
        longest = max(without)
        assert attending[longest] >= 0.95
        if task in ("copied", "reversed"):
            assert without[1] == 1
            assert without[longest] <= 0.1


def test_language_models_are_the_measured_ones_and_carried_states_help():
    models = script("language_models")
    figures = json.loads(models.FIGURES.read_text(encoding="utf-8"))
    again = "run `python scripts/language_models.py --render`"
    assert figures.keys() == models.MODELS.keys()
    assert models.PLOT.read_text(encoding="utf-8") == models.plot(figures), again
    assert models.TABLE.search(models.TOUR.read_text(encoding="utf-8"))[0] == models.table(figures), again
    last = {name: each["held_out"][-1][1] for name, each in figures.items()}
    assert last["LSTM"] < last["LSTM, states not carried"]


def test_what_contributors_are_told_of_is_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = [*re.findall(r"`?(scripts/\w+(?:\.py)?)\b", text), *re.findall(r"\]\(([\w/.-]+)\)", text)]
    assert len(named) > 12
    assert [name for name in named if not (ROOT / name).exists()] == []
