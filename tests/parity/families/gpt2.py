"""GPT-2 and `GPT2LMHeadModel`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.parity.harness import Config, Family, Inputs, Published

CONFIGS: dict[str, Config] = {
    "three heads": {"n_layer": 2, "n_embd": 12, "n_head": 3, "vocab_size": 61, "n_positions": 10},
    "five heads of one": {"n_layer": 3, "n_embd": 5, "n_head": 5, "vocab_size": 17, "n_positions": 7, "n_inner": 20},
    "one layer, one head": {"n_layer": 1, "n_embd": 8, "n_head": 1, "vocab_size": 3, "n_positions": 1},
    "square, where a transposition hides": {
        "n_layer": 2, "n_embd": 16, "n_head": 4, "vocab_size": 16, "n_positions": 16, "n_inner": None,
    },
    "a long context": {"n_layer": 1, "n_embd": 20, "n_head": 5, "vocab_size": 64, "n_positions": 512},
    "other settings": {
        "n_layer": 2, "n_embd": 24, "n_head": 3, "vocab_size": 96, "n_positions": 12, "layer_norm_epsilon": 1e-2,
        "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "activation_function": "gelu_pytorch_tanh",
    },
}  # fmt: skip
SIZES = {  # variant: layers, width, heads, parameters
    "small": (12, 768, 12, 124_439_808),
    "medium": (24, 1024, 16, 354_823_168),
    "large": (36, 1280, 20, 774_030_080),
    "xl": (48, 1600, 25, 1_557_611_200),
}
WHOLE: Config = {"vocab_size": 50257, "n_positions": 1024}


def oracle(config: Config) -> Any:
    import transformers

    return transformers.GPT2LMHeadModel(transformers.GPT2Config(**config, bos_token_id=0, eos_token_id=0))


def batch(config: Config, rng: np.random.Generator, rows: int, length: int) -> Inputs:
    """Tokens, and what they should have been followed by; the first position of each row does not count (if there is
    another)."""
    tokens, targets = rng.integers(0, config["vocab_size"], (2, rows, length))
    targets[:, : length // 2] = -100
    return {"tokens": tokens, "targets": targets}


def inputs(config: Config, rng: np.random.Generator) -> Mapping[str, Inputs]:
    limit = config["n_positions"]
    return {
        "at the limit": batch(config, rng, 2, limit),
        "one row": batch(config, rng, 1, (limit + 1) // 2),
        "one token": batch(config, rng, 3, 1),
    }


def ask(model: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
    """The oracle shifts its labels itself; here the loss is said to it outright, on targets that are not shifted."""
    from torch.nn.functional import cross_entropy

    logits = model(batch["tokens"]).logits
    return {"logits": logits, "loss": cross_entropy(logits.transpose(1, 2), batch["targets"])}


def without_prefix(tensors: dict[str, Any], config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """No prefix, no copy of the embedding, and the causal masks as buffers; an old config without the newer keys."""
    import torch

    limit = config["n_positions"]
    found = {name.removeprefix("transformer."): t for name, t in tensors.items() if name != "lm_head.weight"}
    for i in range(config["n_layer"]):
        found[f"h.{i}.attn.bias"] = torch.tril(torch.ones(1, 1, limit, limit))
        found[f"h.{i}.attn.masked_bias"] = torch.tensor(-1e4)
    keys = {
        "model_type", "architectures", "n_layer", "n_embd", "n_head", "vocab_size", "n_positions", "layer_norm_epsilon",
        "initializer_range", "attn_pdrop", "embd_pdrop", "resid_pdrop", "n_inner",
    }  # fmt: skip
    old = {key: value for key, value in config.items() if key in keys}
    return found, old | {"n_ctx": limit, "activation_function": "gelu_new"}


def reduced(config: Config) -> Config:
    return {**config, "vocab_size": 64, "n_embd": 2 * config["n_head"]}


FAMILIES = (
    Family(
        name="gpt2",
        spec="gpt2",
        configs=CONFIGS,
        oracle=oracle,
        inputs=inputs,
        ask=ask,
        auto="AutoModelForCausalLM",
        hub={"without prefix": without_prefix},
        published=tuple(
            Published(name, {**WHOLE, "n_layer": depth, "n_embd": width, "n_head": heads}, count)
            for name, (depth, width, heads, count) in SIZES.items()
        ),
        smallest={**WHOLE, "n_layer": 12, "n_embd": 768, "n_head": 12},
        reduced=reduced,
        short=lambda config, rng: batch(config, rng, 1, 24),
    ),
)
