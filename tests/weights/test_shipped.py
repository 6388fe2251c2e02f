"""The weights sections that come with attndsl, against their models and the published implementation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attndsl.diagnostics import Source
from attndsl.elaborate import load, open_spec, shipped
from attndsl.syntax import tree
from attndsl.syntax.parser import parse
from attndsl.syntax.printer import to_text
from attndsl.values import hyperparameters_of
from attndsl.weights import check_section, export_huggingface, load_weights, settings_for
from attndsl.weights.mapping import WeightMap
from attndsl.weights.solving import published_config

WITH_WEIGHTS = sorted(name for name in shipped() if open_spec(name).weights)


def section(name: str) -> tree.Weights:
    (found,) = (s for s in open_spec(name).weights if s.origin.text == "huggingface")
    return found


@pytest.mark.parametrize("name", WITH_WEIGHTS)
def test_every_shipped_section_is_complete(name: str) -> None:
    for each in open_spec(name).weights:
        assert check_section(each, load(name)) == []


def test_a_section_survives_printing() -> None:
    """The order of lines counts: a prefix stands before the names below it."""
    spec = open_spec("gpt2")
    file, found = parse(Source("again.attn", to_text(spec.file)))
    assert not found
    (again,) = (d for d in file.declarations if isinstance(d, tree.Weights))
    graph = load("gpt2")
    assert check_section(again, graph) == []
    values = hyperparameters_of(graph)
    assert published_config(again, values) == published_config(spec.weights[0], values)
    names = [[item.full_name(True) for item in WeightMap(each, graph).items()] for each in (again, spec.weights[0])]
    assert names[0] == names[1]
    assert "lm_head.weight" in names[0]


def test_gpt2_has_one() -> None:
    assert "gpt2" in WITH_WEIGHTS


def saved(folder: Path, **changes: Any) -> Any:
    """A published GPT-2 with random weights, in float64, and where it was saved."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(1)
    sizes = {"n_layer": 3, "n_embd": 24, "n_head": 4, "vocab_size": 29, "n_positions": 10, **changes}
    model = GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0)).double().eval()
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, 1.0 if "ln_" in name and "weight" in name else 0.0, 0.3)
    model.save_pretrained(folder)
    return model


@pytest.mark.oracle
@pytest.mark.torch
@pytest.mark.parametrize("changes", [{}, {"n_head": 1, "layer_norm_epsilon": 1e-3}, {"n_layer": 1, "n_positions": 1}])
def test_gpt2_gives_the_published_logits_and_goes_back(tmp_path: Path, changes: dict[str, Any]) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from attndsl.backends.numpy_reference import NumpyProgram

    model = saved(tmp_path / "theirs", **changes)
    sections = open_spec("gpt2").weights
    graph = load("gpt2", settings_for(tmp_path / "theirs", sections))
    arrays = load_weights(tmp_path / "theirs", graph, sections)
    length = min(7, graph.sizes["context"])
    tokens = np.random.default_rng(0).integers(0, 29, (2, length))
    with torch.no_grad():
        right = model(torch.from_numpy(tokens)).logits.numpy()
    for dtype, tolerance in (("float64", 1e-9), ("float32", 1e-4)):
        program = NumpyProgram(graph, dtype=dtype)
        program.load(arrays)
        assert np.abs(program.run({"tokens": tokens}, ["logits"])["logits"] - right).max() < tolerance
    export_huggingface(tmp_path / "ours", graph, arrays, section("gpt2"))
    back, info = AutoModelForCausalLM.from_pretrained(tmp_path / "ours", output_loading_info=True, dtype="auto")
    assert not any(info.values()), info
    with torch.no_grad():
        assert np.abs(back.eval()(torch.from_numpy(tokens)).logits.numpy() - right).max() < 1e-9
