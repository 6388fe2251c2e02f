"""Specs by name or as text, loaded as models: `attndsl.load` and `attndsl.parse`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from attndsl.api.given import merged
from attndsl.api.model import Model
from attndsl.elaborate import open_spec, open_text

if TYPE_CHECKING:
    from attndsl.elaborate.settings import Setting

    Path_ = str | os.PathLike[str]


def load(
    name: str | os.PathLike[str],
    settings: Mapping[str, Setting] | None = None,
    /,
    *,
    weights: Path_ | None = None,
    **hyperparameters: Setting,
) -> Model:
    """The model of the spec called `name`, checked.

    `name` is what the command line takes: a file (`"my.attn"`), a shipped spec (`"gpt2"`), either with a variant behind
    a colon (`"gpt2:medium"`). Hyperparameters are given by name, as numbers, booleans, or text of the language:

        attndsl.load("bert:base", depth=2)
        attndsl.load("gpt2", act="silu", p=0.0)
        attndsl.load("gpt2", {"depth": 2})            # the same, as a mapping

    `weights` is a safetensors file in our names, a folder that `save_pretrained` wrote, or a training run: the model
    takes its sizes and its parameters from there.

    Raises `AttnError` with one diagnostic for every mistake in the spec or its settings, E0617 where a setting
    contradicts the weights.
    """
    return Model(open_spec(os.fspath(name)), merged(settings, hyperparameters), weights)


def parse(
    text: str,
    settings: Mapping[str, Setting] | None = None,
    /,
    *,
    variant: str = "",
    weights: Path_ | None = None,
    **hyperparameters: Setting,
) -> Model:
    """The model that `text` declares, checked; messages call the text `<text>`.

        model = attndsl.parse('''
            model Linear(width=8) {
              input x: [B, width]
              output y = linear(x, width)
            }
        ''')

    `variant` chooses one of its variants, or one of several models. Imports by path are relative to the working folder.
    Everything else is as in `load`.
    """
    return Model(open_text(text, variant), merged(settings, hyperparameters), weights)
