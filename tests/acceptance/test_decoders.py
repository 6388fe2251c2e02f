"""Decoders that are the same where nothing sets them apart, and what a configuration may say in two ways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.elaborate import elaborate, load, open_spec
from attndsl.graph import Graph
from attndsl.running.initial import initial_parameters
from attndsl.storage.safetensors import write_tensors
from attndsl.weights import settings_for

Array = np.ndarray[Any, Any]
SIZES = {"vocab": 13, "context": 12, "depth": 4, "width": 8, "heads": 2, "kv_heads": 1, "hidden": 20, "eps": 1e-5}
TOKENS = np.random.default_rng(0).integers(0, 13, (2, 12))


def said(graph: Graph) -> Array:
    """The logits, with parameters that follow from their addresses alone."""
    random = np.random.default_rng(1)
    noise = {
        a: value + random.normal(size=value.shape) for a, value in sorted(dict(initial_parameters(graph, 0)).items())
    }
    return NumpyProgram(graph, dtype="float64", parameters=noise).run({"tokens": TOKENS}, ["logits"])["logits"]


def test_mistral_and_phi_without_a_window_are_llama() -> None:
    expected = said(load("llama", SIZES))
    for name in ("mistral", "phi3"):
        np.testing.assert_array_equal(said(load(name, {**SIZES, "band": 12})), expected)
        narrower = said(load(name, {**SIZES, "band": 11}))
        np.testing.assert_array_equal(narrower[:, :11], expected[:, :11])
        assert (narrower[:, 11] != expected[:, 11]).all()


def test_layers_of_gemma_are_in_a_pattern_or_in_a_list(tmp_path: Path) -> None:
    """As the first configurations say it, and as they say it today."""
    config = {
        "model_type": "gemma3_text", "architectures": ["Gemma3ForCausalLM"], "vocab_size": 13, "hidden_size": 8,
        "max_position_embeddings": 12, "num_hidden_layers": 4, "num_attention_heads": 2, "num_key_value_heads": 1,
        "head_dim": 4, "intermediate_size": 20, "sliding_window": 3,
    }  # fmt: skip
    near, far = "sliding_attention", "full_attention"
    spec = open_spec("gemma3")
    write_tensors(tmp_path / "model.safetensors", {"model.norm.weight": np.zeros(8, np.float32)})

    def of(**kinds: object) -> Array:
        (tmp_path / "config.json").write_text(json.dumps(config | kinds))
        return said(elaborate(spec, settings_for(tmp_path, spec.weights, {})))

    listed = of(layer_types=[near, near, far, near])
    np.testing.assert_array_equal(of(sliding_window_pattern=3), listed)
    assert (of(layer_types=[far] * 4)[:, 3:] != listed[:, 3:]).all()
