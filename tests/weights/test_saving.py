"""Exports: what they overwrite, and what they refuse."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

import attndsl
from attndsl.diagnostics import AttnError
from attndsl.weights import export_huggingface, save_weights
from tests.weights.models import GPT2, arrays_for, codes, gpt2_graph, section_of

SECTION = section_of(GPT2)
GRAPH = gpt2_graph()


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_an_export_replaces_an_earlier_one_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a" / "hf"
    export_huggingface(target, GRAPH, arrays_for(GRAPH), SECTION)
    first = contents(target)
    assert sorted(first) == ["config.json", "model.safetensors"]
    export_huggingface(target, GRAPH, arrays_for(GRAPH, seed=1), SECTION)
    assert contents(target)["model.safetensors"] != first["model.safetensors"]
    export_huggingface(target, GRAPH, arrays_for(GRAPH), SECTION)
    assert contents(target) == first
    (target / "tokenizer.json").write_text("{}")
    with pytest.raises(AttnError, match="not empty") as raised:
        export_huggingface(target, GRAPH, arrays_for(GRAPH, seed=1), SECTION)
    assert codes(raised.value) == ["E0612"]
    assert contents(target) == {**first, "tokenizer.json": b"{}"}
    export_huggingface(target, GRAPH, arrays_for(GRAPH, seed=1), SECTION, force=True)
    assert sorted(contents(target)) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert os.listdir(tmp_path / "a") == ["hf"]


def test_somebody_elses_model_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"theirs")
    with pytest.raises(AttnError) as raised:
        export_huggingface(tmp_path, GRAPH, arrays_for(GRAPH), SECTION)
    assert codes(raised.value) == ["E0612"]
    assert (tmp_path / "model.safetensors").read_bytes() == b"theirs"
    (tmp_path / "file").write_text("")
    with pytest.raises(AttnError, match="is a file"):
        export_huggingface(tmp_path / "file", GRAPH, arrays_for(GRAPH), SECTION)


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "hf").mkdir()
    export_huggingface(tmp_path / "hf", GRAPH, arrays_for(GRAPH), SECTION)
    assert sorted(contents(tmp_path / "hf")) == ["config.json", "model.safetensors"]
    assert os.listdir(tmp_path) == ["hf"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_configuration_says_the_dtype(tmp_path: Path, dtype: str) -> None:
    export_huggingface(tmp_path / "hf", GRAPH, arrays_for(GRAPH, dtype=dtype), SECTION)
    assert json.loads((tmp_path / "hf" / "config.json").read_text())["torch_dtype"] == dtype


def test_only_the_models_own_parameters_are_saved(tmp_path: Path) -> None:
    arrays = arrays_for(GRAPH)
    del arrays["ln_f.shift"]
    arrays["ln_f.more"] = arrays["ln_f.scale"]
    arrays["wte.table"] = arrays["wte.table"].T
    arrays["wpe.table"] = arrays["wpe.table"].astype(np.int64)
    for write in (
        lambda: save_weights(tmp_path / "w", arrays, GRAPH),
        lambda: export_huggingface(tmp_path / "hf", GRAPH, arrays, SECTION),
    ):
        with pytest.raises(AttnError) as raised:
            write()
        assert sorted(codes(raised.value)) == ["E0605", "E0606", "E0607", "E0608"]
        assert not os.listdir(tmp_path)


STATES = """
model M(width=3) {
  input x: [B, width]
  state centre: [width] = zeros
  state spread: [width] = ones
  centre <- mean(x, over=B) if training else centre
  spread <- max(x, over=B) if training else spread
  output y = layer_norm((x - centre) / spread) as norm
}

weights M from huggingface { "norm." <-> layer_norm(norm), "centre" <-> centre }
"""


def test_states_without_a_published_name_are_said_to_be_left_out(tmp_path: Path) -> None:
    section, graph = section_of(STATES), attndsl.parse(STATES).graph
    arrays = arrays_for(graph)
    assert export_huggingface(tmp_path, graph, arrays, section) == (), "no training has made any"
    trained = arrays | {"centre": np.ones(3, np.float32), "spread": np.ones(3, np.float32)}
    assert export_huggingface(tmp_path, graph, trained, section) == ("spread",)
