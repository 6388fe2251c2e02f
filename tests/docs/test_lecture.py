"""docs/lecture.ipynb: its cells run in order, and show what is kept in it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.scripts import script

SCRIPT = script("lecture")
TEXT = SCRIPT.NOTEBOOK.read_text(encoding="utf-8")
NOTEBOOK: dict[str, Any] = json.loads(TEXT)
CODE = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
NUMBER = re.compile(r"\d+(?:\.\d+)?")


@pytest.fixture(scope="module")
def shown() -> list[list[dict[str, Any]]]:
    found: list[list[dict[str, Any]]] = SCRIPT.outputs(NOTEBOOK)
    return found


def test_the_cells_show_what_is_kept(shown: list[list[dict[str, Any]]]) -> None:
    """Texts to the letter; the greys of a picture may be rounded to the next one."""
    for number, (cell, outputs) in enumerate(zip(CODE, shown, strict=True), 1):
        again = f"cell {number}: run `python scripts/lecture.py`"
        assert len(cell["outputs"]) == len(outputs), again
        for kept, made in zip(cell["outputs"], outputs, strict=True):
            if "image/svg+xml" not in made.get("data", {}):
                assert kept == made, again
                continue
            pictures = ["".join(each["data"]["image/svg+xml"]) for each in (kept, made)]
            one, other = ([float(found) for found in NUMBER.findall(picture)] for picture in pictures)
            assert NUMBER.sub("", pictures[0]) == NUMBER.sub("", pictures[1]), again
            assert max(abs(a - b) for a, b in zip(one, other, strict=True)) <= 1, again


def test_it_has_formulas_masks_and_numbers() -> None:
    forms = [next(iter(output["data"])) for cell in CODE for output in cell["outputs"] if "data" in output]
    assert forms.count("text/markdown") >= 4
    assert forms.count("image/svg+xml") >= 5
    prose = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "markdown"]
    assert len(prose) >= len(CODE) - 4


def test_a_picture_is_the_mask(shown: list[list[dict[str, Any]]]) -> None:
    """The first heat map: dark at and below the diagonal."""
    pictures = [
        "".join(output["data"]["image/svg+xml"])
        for outputs in shown
        for output in outputs
        if "image/svg+xml" in output.get("data", {})
    ]
    greys = [int(found) for found in re.findall(r"rgb\((\d+),", pictures[0])]
    assert greys == [0 if k <= q else 255 for q in range(16) for k in range(16)]


def test_the_file_is_a_notebook_as_jupyter_writes_it() -> None:
    assert NOTEBOOK["nbformat"] == 4
    assert NOTEBOOK["nbformat_minor"] == 5
    assert SCRIPT.text_of(NOTEBOOK) == TEXT
    ids = [cell["id"] for cell in NOTEBOOK["cells"]]
    assert len(set(ids)) == len(ids)
    assert [cell["execution_count"] for cell in CODE] == list(range(1, len(CODE) + 1))
    for cell in NOTEBOOK["cells"]:
        code = {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        assert cell.keys() == {"cell_type", "id", "metadata", "source"} | code


def test_a_cell_that_fails_is_noticed() -> None:
    broken = {"cells": [{"cell_type": "code", "source": ["1 / 0"]}]}
    with pytest.raises(ZeroDivisionError):
        SCRIPT.outputs(broken)
