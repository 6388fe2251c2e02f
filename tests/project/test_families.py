"""The table of trained families in the README: what stands there was measured, and its commands work."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.docs import tour
from tests.scripts import script as load_script

ROOT = Path(__file__).resolve().parents[2]
# What each has to reach on held-out data: at least so much, or so many times what the best constant answer gets.
LEAST = {
    "transformer:nano": ("exact match", 0.98, 1.0),
    "bart:nano": ("exact match", 0.98, 1.0),
    "t5:nano": ("exact match", 0.98, 1.0),
    "seq2seq:nano": ("exact match", 0.95, 1.0),
    "seq2seq:nano-additive": ("exact match", 0.98, 1.0),
    "rnn_tagger:nano": ("token accuracy", 0.95, 1.5),
    "vit:nano": ("accuracy", 0.95, 1.0),
    "clip:nano": ("zero-shot accuracy", 0.9, 1.0),
    "bert:nano": ("masked tokens", 0.0, 3.0),
    "bert:nano-classifier": ("accuracy", 0.0, 1.5),
    "gpt1:nano-classifier": ("accuracy", 0.0, 1.5),
    "roberta:nano-classifier": ("accuracy", 0.0, 1.5),
    "elmo:nano-classifier": ("accuracy", 0.0, 1.5),
}
MINUTES = 5


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("families")


@pytest.fixture(scope="module")
def figures(script: ModuleType) -> dict:
    return json.loads(script.FIGURES.read_text(encoding="utf-8"))


def test_the_table_is_the_measured_one(script: ModuleType, figures: dict) -> None:
    shown = script.TABLE.search(script.README.read_text(encoding="utf-8"))
    assert shown is not None
    assert shown[0].split("-->\n", 1)[1].split("<!-- /")[0] == script.table(figures)
    assert figures["runs"].keys() == script.RUNS.keys()


def test_no_recipe_for_two_cores_is_left_out(script: ModuleType) -> None:
    from attndsl.elaborate import open_spec, shipped
    from attndsl.syntax import tree

    own = {
        f"{name}:{declaration.variant.text}"
        for name in shipped()
        for declaration in open_spec(name).file.declarations
        if isinstance(declaration, tree.Train) and declaration.variant and declaration.variant.text.startswith("nano")
    }
    assert own == script.RUNS.keys()


@pytest.mark.parametrize("name", LEAST)
def test_what_was_measured_keeps_the_promise(figures: dict, name: str) -> None:
    metric, least, times = LEAST[name]
    found = next(m for m in figures["runs"][name]["metrics"] if m["name"] == metric)
    assert found["value"] > least
    assert found["value"] > times * found["baseline"]
    assert figures["runs"][name]["seconds"] < 60 * MINUTES


def test_the_figures_are_those_of_the_recipes(figures: dict) -> None:
    from attndsl.elaborate import elaborate, open_spec
    from attndsl.recipe.recipe import read_recipe
    from attndsl.values import hyperparameters_of

    for name, run in figures["runs"].items():
        spec = open_spec(name)
        assert read_recipe(spec.train, hyperparameters_of(elaborate(spec, {}))).steps == run["steps"]


@pytest.mark.slow
@pytest.mark.torch
def test_the_commands_work(
    script: ModuleType, attndsl: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With two steps each, one after the other. Those that the tour shows are run there."""
    shown = {command.arguments for command in tour.commands()}
    monkeypatch.chdir(tmp_path)
    others = [c for name in script.RUNS if (c := tuple(shlex.split(script.command(name))[1:])) not in shown]
    assert len(others) < len(script.RUNS) / 2
    for arguments in others:
        done = attndsl(*arguments, "--steps", "2", "--set", "evaluate_batches=1")
        assert done.code == 0, done.err
        assert re.search(r"^on held-out data:$", done.out, re.MULTILINE)
