"""BART, against `BartForConditionalGeneration`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.parity.families.transformer import batches, counted, defaults, padded, sized
from tests.parity.harness import Config, Family, Inputs, Published

CONFIGS: dict[str, Config] = {
    "three heads": sized((2, 3), 12, 3, 20, 61, 10),
    "six heads of one": sized((1, 2), 6, 6, 9, 17, 7, activation_function="relu", scale_embedding=True),
    "square, where a transposition hides": sized((2, 2), 16, 4, 16, 16, 14),
    "one layer, one head": sized((1, 1), 8, 1, 8, 5, 1, dropout=0.0, attention_dropout=0.1, activation_dropout=0.2),
    "no layers in the encoder": sized((0, 1), 9, 3, 11, 12, 5),
}
BASE = sized((6, 6), 768, 12, 3072, 50265, 1024)
LARGE = sized((12, 12), 1024, 16, 4096, 50265, 1024)


def oracle(config: Config) -> Any:
    """Its embedding has a padding row (token 1), which gets no gradient, so that token is not among the inputs."""
    import transformers

    return transformers.BartForConditionalGeneration(transformers.BartConfig(**config))


def unpadded(rng: np.random.Generator, tokens: int, shape: tuple[int, int], target: int) -> Inputs:
    """`padded`, from all tokens but the one whose embedding the oracle never moves."""
    found = padded(rng, tokens, shape, target)
    return {name: np.where(array == 1, 2, array) if array.dtype != bool else array for name, array in found.items()}


def inputs(config: Config, rng: np.random.Generator) -> Mapping[str, Inputs]:
    return batches(unpadded, rng, config["vocab_size"], config["max_position_embeddings"])


def ask(model: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
    found = model(
        input_ids=batch["source"],
        attention_mask=batch["valid"],
        decoder_input_ids=batch["target"],
        labels=batch["targets"],
    )
    return {"memory": found.encoder_last_hidden_state, "logits": found.logits, "loss": found.loss}


def with_every_copy(tensors: dict[str, Any], config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The hub's files have every copy of the embedding, and configurations with keys from before."""
    shared = tensors["model.shared.weight"]
    copies = ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight")
    old = {
        "add_bias_logits": False, "add_final_layer_norm": False, "classif_dropout": 0.1, "normalize_before": False,
        "normalize_embedding": True, "num_hidden_layers": config["encoder_layers"], "architectures": ["BartModel"],
    }  # fmt: skip
    kept = {key: value for key, value in config.items() if key not in ("tie_word_embeddings", "dtype")}
    return {**tensors, **dict.fromkeys(copies, shared)}, {**kept, **old}


FAMILIES = (
    Family(
        name="bart",
        spec="bart",
        configs=CONFIGS,
        oracle=oracle,
        inputs=inputs,
        ask=ask,
        counted=counted,
        defaults=defaults,
        auto="AutoModelForSeq2SeqLM",
        hub={"with every copy": with_every_copy},
        published=(Published("base", BASE, 139_420_416), Published("large", LARGE, 406_291_456)),
        smallest=BASE,
        short=lambda config, rng: unpadded(rng, config["vocab_size"], (2, 17), 13),
    ),
)
