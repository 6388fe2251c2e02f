"""GPT, as a language model and with a classifier on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.parity.families import gpt2
from tests.parity.harness import Config, Family, Inputs, Published

CONFIGS: dict[str, Config] = {
    "three heads": {"n_layer": 2, "n_embd": 12, "n_head": 3, "vocab_size": 61, "n_positions": 10},
    "five heads of one": {"n_layer": 3, "n_embd": 5, "n_head": 5, "vocab_size": 17, "n_positions": 7},
    "one layer, one head": {"n_layer": 1, "n_embd": 8, "n_head": 1, "vocab_size": 3, "n_positions": 1},
    "square, where a transposition hides": {
        "n_layer": 2, "n_embd": 16, "n_head": 4, "vocab_size": 16, "n_positions": 16, "layer_norm_epsilon": 1e-2,
        "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0,
    },
}  # fmt: skip
WHOLE: Config = {"vocab_size": 40478, "n_positions": 512, "n_layer": 12, "n_embd": 768, "n_head": 12}
BESIDE = 0.5  # the share of the language model's loss (Radford et al., 2018, section 4.1)


def oracle(config: Config) -> Any:
    import transformers

    return transformers.OpenAIGPTLMHeadModel(transformers.OpenAIGPTConfig(**config))


def ask(model: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
    from torch.nn.functional import cross_entropy

    hidden = model.transformer(batch["tokens"]).last_hidden_state
    logits = model.lm_head(hidden)
    return {"hidden": hidden, "logits": logits, "loss": cross_entropy(logits.transpose(1, 2), batch["targets"])}


def classifier(config: Config) -> Any:
    import transformers

    return transformers.OpenAIGPTForSequenceClassification(transformers.OpenAIGPTConfig(**{"num_labels": 3, **config}))


def labelled(config: Config, rng: np.random.Generator) -> Mapping[str, Inputs]:
    found = {}
    for name, batch in gpt2.inputs(config, rng).items():
        rows, length = batch["tokens"].shape
        last = rng.integers(0, length, rows)
        last[0] = length - 1
        found[name] = {**batch, "last": last, "label": rng.integers(0, config.get("num_labels", 3), rows)}
    return found


def ask_classifier(model: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
    """The published class takes the last token that is not padding; here the place is said outright."""
    import torch
    from torch.nn.functional import cross_entropy

    hidden = model.transformer(batch["tokens"]).last_hidden_state
    classes = model.score(hidden[torch.arange(len(hidden)), batch["last"]])
    logits = hidden @ model.transformer.tokens_embed.weight.T
    task = cross_entropy(classes, batch["label"])
    language = cross_entropy(logits.transpose(1, 2), batch["targets"])
    return {
        "hidden": hidden, "logits": logits, "classes": classes, "class_loss": task, "loss": task + BESIDE * language
    }  # fmt: skip


def last_of_all(config: Config, batch: Inputs) -> Inputs:
    return {"last": np.full_like(batch["last"], batch["tokens"].shape[1] - 1)}


def without_prefix(tensors: dict[str, Any], config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """No prefix, the causal masks as buffers, and the older keys."""
    import torch

    limit = config["n_positions"]
    found = {name.removeprefix("transformer."): t for name, t in tensors.items() if name != "lm_head.weight"}
    for i in range(config["n_layer"]):
        found[f"h.{i}.attn.bias"] = torch.tril(torch.ones(1, 1, limit, limit))
    kept = {key: value for key, value in config.items() if key not in ("tie_word_embeddings", "dtype")}
    return found, kept | {"n_ctx": limit, "n_special": 0, "predict_special_tokens": True, "afn": "gelu"}


FAMILIES = (
    Family(
        name="gpt1",
        spec="gpt1",
        configs=CONFIGS,
        oracle=oracle,
        inputs=gpt2.inputs,
        ask=ask,
        auto="AutoModelForCausalLM",
        hub={"without prefix": without_prefix},
        published=(Published(None, WHOLE, 116_534_784),),
        smallest=WHOLE,
        short=lambda config, rng: gpt2.batch(config, rng, 1, 24),
    ),
    Family(
        name="gpt1 classifier",
        spec="gpt1",
        configs=CONFIGS,
        oracle=classifier,
        inputs=labelled,
        ask=ask_classifier,
        defaults=last_of_all,
        auto="AutoModelForSequenceClassification",
    ),
)
