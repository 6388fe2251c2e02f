"""Phi-3 and `Phi3ForCausalLM`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.parity.families.llama import ask, batch, in_full, oracle, reduced, save, sized
from tests.parity.families.llama import inputs as to_the_limit
from tests.parity.harness import Config, Family, Inputs, Published


def longrope(pairs: int, original: int, **more: Any) -> Config:
    """Factors that grow from pair to pair."""
    short, long = [1 + 0.1 * i for i in range(pairs)], [1 + 0.5 * i**2 for i in range(pairs)]
    scaling = {"rope_type": "longrope", "rope_theta": 100.0, "short_factor": short, "long_factor": long, **more}
    return {"rope_parameters": scaling, "original_max_position_embeddings": original}


CONFIGS: dict[str, Config] = {
    "three heads": sized(2, 12, 3, 20, 61, 10, original_max_position_embeddings=10, resid_pdrop=0.1),
    "four heads of two, shared keys": sized(
        3, 8, 4, 9, 17, 7, num_key_value_heads=2, hidden_act="gelu", sliding_window=3,
        original_max_position_embeddings=7,
    ),
    "square, where a transposition hides": sized(2, 16, 4, 16, 16, 16, tie_word_embeddings=True),
    "one layer, one head": sized(1, 8, 1, 8, 5, 1, rms_norm_eps=1e-2, attention_dropout=0.1),
    "two contexts": sized(2, 16, 2, 12, 13, 40, **longrope(4, 20)),
    "half of each head": sized(2, 16, 2, 12, 13, 30, **longrope(2, 10, partial_rotary_factor=0.5)),
}  # fmt: skip
MINI: Config = {"num_key_value_heads": 32, "sliding_window": 2047, "rms_norm_eps": 1e-5}


def inputs(config: Config, rng: np.random.Generator) -> Mapping[str, Inputs]:
    """As long as was trained on, and longer."""
    original = min(config.get("original_max_position_embeddings", 4096), config["max_position_embeddings"])
    return {**to_the_limit(config, rng), "as trained": batch(config, rng, 2, original)}


def as_before(tensors: dict[str, Any], config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Before there were `rope_parameters`; the first files call the scaling "su"."""
    old = {key: value for key, value in config.items() if key != "rope_parameters"}
    scaling = dict(config["rope_parameters"])
    old["rope_theta"], old["partial_rotary_factor"] = (
        scaling.pop("rope_theta"),
        scaling.pop("partial_rotary_factor", 1.0),
    )
    if scaling.pop("rope_type") == "longrope":
        del scaling["original_max_position_embeddings"]
        old["rope_scaling"] = scaling | {"type": "su"}
    return tensors, old


FAMILIES = (
    Family(
        name="phi3",
        spec="phi3",
        configs=CONFIGS,
        oracle=oracle("Phi3"),
        inputs=inputs,
        ask=ask,
        save=save,
        auto="AutoModelForCausalLM",
        patches=in_full("phi3", "Phi3"),
        hub={"as before": as_before},
        published=(
            Published("mini", sized(32, 3072, 32, 8192, 32064, 4096, **MINI), 3_821_079_552),
            Published(
                "medium", sized(40, 5120, 40, 17920, 32064, 4096, **{**MINI, "num_key_value_heads": 10}), 13_960_238_080
            ),
        ),
        reduced=lambda config: {key: value for key, value in reduced(config).items() if key != "head_dim"},
        short=lambda config, rng: batch(config, rng, 1, 24),
    ),
)
