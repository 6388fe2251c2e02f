"""ELMo's features against one-hot words: what is compared differs in the words' vectors and in nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest

from attndsl.data.table import read_table, split_table
from attndsl.elaborate import elaborate, open_spec
from attndsl.recipe.recipe import Recipe, read_recipe
from attndsl.records import fields
from attndsl.values import hyperparameters_of
from tests.scripts import script as load_script

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("features")


def recipe(name: str) -> Recipe:
    spec = open_spec(name)
    return read_recipe(spec.train, hyperparameters_of(elaborate(spec, {})))


def test_both_sides_have_one_recipe_and_one_classifier(script: ModuleType) -> None:
    one, other = (recipe(name) for name in script.SIDES.values())
    differ = {f.name for f in fields(Recipe) if f.compare and getattr(one, f.name) != getattr(other, f.name)}
    assert differ == {"objective", "tokenizer", "special", "freeze"}
    assert (one.objective.kind, one.objective.options) == (other.objective.kind, other.objective.options)
    graphs = [elaborate(open_spec(name), {}) for name in script.SIDES.values()]
    task = [[info.address for info in graph.parameters if info.address.startswith("task.")] for graph in graphs]
    assert task[0] == task[1] != []
    assert len({graph.hyperparameters["task"] for graph in graphs}) == 1


def test_of_elmo_the_weights_of_its_layers_are_learnt_and_nothing_else(script: ModuleType) -> None:
    graph = elaborate(open_spec(script.SIDES["ELMo's features"]), {})
    addresses = [address for info in graph.parameters for address in info.addresses()]
    kept = recipe(script.SIDES["ELMo's features"]).frozen(addresses)
    assert {address for address in addresses if address not in kept and not address.startswith("task.")} == {
        "scalar_mix.weight",
        "scalar_mix.gamma",
    }


def test_what_is_held_out_is_the_same_throughout(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "HELD_OUT", 20)
    docstrings = read_table({"text": [f"text {i}" for i in range(120)], "label": ["x", "y"] * 60})
    seen, learnt = set(), []
    for rows in (25, 60):
        columns, share = script.parts(docstrings, rows)
        train, held_out = split_table(read_table(columns), share)
        assert len(train) == rows
        seen.add(tuple(held_out.columns["text"]))
        learnt.append(set(train.columns["text"]))
    assert len(seen) == 1
    assert not learnt[1] & set(*seen)
    assert learnt[0] < learnt[1]


def test_the_table_in_the_tour_is_the_measured_one(script: ModuleType) -> None:
    shown = script.TABLE.search(script.TOUR.read_text(encoding="utf-8"))
    assert shown is not None
    assert shown[0].split("-->\n", 1)[1].split("<!-- /")[0] == script.table(
        json.loads(script.FIGURES.read_text("utf-8"))
    )
