"""Hyperparameters, keys of a recipe and verbs by the names that they have elsewhere."""

from __future__ import annotations

import pytest

from attndsl.cli import main
from attndsl.cli.verbs import VERBS
from attndsl.diagnostics import AttnError
from attndsl.elaborate import elaborate, open_text
from attndsl.habits import table
from attndsl.recipe.fitting import split_settings
from attndsl.recipe.recipe import KEYS, Recipe, option_owners


@pytest.mark.parametrize(("name", "here"), table.HYPERPARAMETERS.items())
def test_a_hyperparameter(name: str, here: str) -> None:
    text = f"model M({here}=2) {{\n  input x: [B, T]\n  output y = x * {here}\n}}\n"
    with pytest.raises(AttnError) as caught:
        elaborate(open_text(text), {name: 3})
    assert caught.value.diagnostics[0].helps == (f"it is called `{here}` here",)


def test_a_hyperparameter_that_a_model_lacks_is_not_suggested() -> None:
    with pytest.raises(AttnError) as caught:
        elaborate(open_text("model M(n=2) {\n  input x: [B, T]\n  output y = x * n\n}\n"), {"n_layer": 3})
    assert caught.value.diagnostics[0].helps == ("it has n",)


@pytest.mark.parametrize(("name", "here"), table.RECIPE.items())
def test_a_key_of_a_recipe(name: str, here: str) -> None:
    assert here in KEYS or here in option_owners()
    assert split_settings({name: "1"}, {"n": 1}) == ({}, {name: "1"})
    with pytest.raises(AttnError) as caught:
        Recipe().override({name: "1"})
    assert caught.value.diagnostics[0].helps == (f"it is called `{here}` here",)


@pytest.mark.parametrize(("name", "here"), table.VERBS.items())
def test_a_verb(name: str, here: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert here in VERBS
    assert main([name, "gpt2"]) == 2
    assert f"it is called `{here}` here" in capsys.readouterr().err


def test_no_name_that_is_known_here_is_called_a_habit() -> None:
    assert not table.VERBS.keys() & VERBS.keys()
    assert not table.RECIPE.keys() & {*KEYS, *option_owners()}
