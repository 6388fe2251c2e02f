"""RoBERTa with each of its heads, against the five classes of `transformers`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tests.parity.families import bert
from tests.parity.families.llama import save
from tests.parity.harness import Config, Family, Inputs, Published


def sized(
    layers: int, width: int, heads: int, hidden: int, vocab: int = 50265, context: int = 512, **more: Any
) -> Config:
    """The first `pad_token_id + 1` of the positions are not for text."""
    pad = more.get("pad_token_id", 1)
    return bert.sized(layers, width, heads, hidden, vocab, context + pad + 1, **{"type_vocab_size": 1, **more})


CONFIGS: dict[str, Config] = {
    "three heads": sized(2, 12, 3, 20, 61, 10, num_labels=5, type_vocab_size=2),
    "square, where a transposition hides": sized(2, 16, 4, 16, 16, 12, hidden_act="gelu_new", num_labels=16),
    "no layers, padded with the fourth token": sized(0, 9, 3, 11, 12, 5, num_labels=3, pad_token_id=3),
}  # fmt: skip
MORE: dict[str, Config] = {
    "five heads of one, five layers": sized(5, 5, 5, 9, 17, 7, hidden_act="relu", pad_token_id=0),
    "one layer, one head": sized(
        1, 8, 1, 8, 5, 2, layer_norm_eps=1e-2, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.2
    ),
}  # fmt: skip
TWO_ENDS = {name: {**config, "num_labels": 2} for name, config in CONFIGS.items()}
BASE = sized(12, 768, 12, 3072, layer_norm_eps=1e-5)
LARGE = sized(24, 1024, 16, 4096, layer_norm_eps=1e-5)


def oracle(kind: str) -> Callable[[Config], Any]:
    def make(config: Config) -> Any:
        """Its padding's embeddings get no gradient; here they do: where an answer stands is asked of padding, too."""
        import torch
        import transformers

        model = getattr(transformers, kind)(transformers.RobertaConfig(**config))
        for module in model.modules():
            if isinstance(module, torch.nn.Embedding):
                module.padding_idx = None
        return model

    return make


def text(config: Config, rng: np.random.Generator, rows: int, length: int) -> Inputs:
    """BERT's, with the token that says so where there is padding, and nowhere else."""
    pad = config.get("pad_token_id", 1)
    batch = bert.text({**config, "vocab_size": config["vocab_size"] - 1}, rng, rows, length)
    tokens = batch["tokens"] - 1
    tokens = np.where(batch["valid"], tokens + (tokens >= pad), pad)
    return {**batch, "tokens": tokens}


def inputs(made: bert.Labels, shortest: int) -> Callable[[Config, np.random.Generator], Mapping[str, Inputs]]:
    def make(config: Config, rng: np.random.Generator) -> Mapping[str, Inputs]:
        limit = config["max_position_embeddings"] - config.get("pad_token_id", 1) - 1
        batches = {
            "at the limit": text(config, rng, 3, limit),
            "half of it": text(config, rng, 2, (limit + 1) // 2),
            "one row": text(config, rng, 1, (limit + 2) // 3),
            "shortest": text(config, rng, 2, shortest),
        }
        return {name: {**batch, **made(config, rng, batch)} for name, batch in batches.items()}

    return make


def short(made: bert.Labels) -> Callable[[Config, np.random.Generator], Inputs]:
    def make(config: Config, rng: np.random.Generator) -> Inputs:
        batch = text(config, rng, 2, 17)
        return {**batch, **made(config, rng, batch)}

    return make


def counted(batch: Inputs) -> Mapping[str, Any]:
    per_token = ("hidden", "start_logits", "end_logits")
    return dict.fromkeys((*per_token, *(["logits"] if "targets" in batch else [])), batch["valid"])


def defaults(config: Config, batch: Inputs) -> Inputs:
    return {"valid": batch["valid"], "segment": np.zeros_like(batch["segment"])}


def asked(model: Any, batch: Mapping[str, Any], **answers: str) -> tuple[Any, dict[str, Any]]:
    given = {"input_ids": batch["tokens"], "attention_mask": batch["valid"], "token_type_ids": batch["segment"]}
    labels = {theirs: batch[ours] for theirs, ours in answers.items()}
    return model(**given, **labels), {"hidden": getattr(model, "roberta", model)(**given).last_hidden_state}


def ask_body(model: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
    found, outputs = asked(model, batch)
    return {**outputs, "pooled": found.pooler_output}


def ask_logits(label: str) -> Callable[[Any, Mapping[str, Any]], Mapping[str, Any]]:
    def ask(model: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
        found, outputs = asked(model, batch, labels=label)
        return {**outputs, "logits": found.logits, "loss": found.loss}

    return ask


def ask_answer(model: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
    """The oracle ignores places that are the text's length, and beyond; -100 would be its first token."""
    length = batch["tokens"].shape[1]
    places = {
        name: batch[name].where(batch[name] >= 0, batch[name].new_tensor(length))
        for name in ("start_label", "end_label")
    }
    found, outputs = asked(model, {**batch, **places}, start_positions="start_label", end_positions="end_label")
    return {**outputs, "start_logits": found.start_logits, "end_logits": found.end_logits, "loss": found.loss}


def as_at_first(tensors: dict[str, Any], config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first files hold the positions 0, 1, 2, … and every copy of the embedding; their configurations lack what
    came later."""
    import torch

    prefix = "roberta." if any(name.startswith("roberta.") for name in tensors) else ""
    found = {**tensors, f"{prefix}embeddings.position_ids": torch.arange(config["max_position_embeddings"])[None]}
    if "lm_head.bias" in tensors:
        found["lm_head.decoder.weight"] = tensors["roberta.embeddings.word_embeddings.weight"]
        found["lm_head.decoder.bias"] = tensors["lm_head.bias"]
    later = ("is_decoder", "add_cross_attention", "tie_word_embeddings", "classifier_dropout", "dtype")
    return found, {key: value for key, value in config.items() if key not in later}


def family(
    name: str,
    kind: str,
    made: bert.Labels,
    ask: Callable[[Any, Mapping[str, Any]], Mapping[str, Any]],
    auto: str,
    published: tuple[Published, ...] = (),
    configs: Mapping[str, Config] = CONFIGS,
    shortest: int = 1,
    noise: float = 0.3,
) -> Family:
    return Family(
        name=name,
        spec="roberta",
        configs=configs,
        oracle=oracle(kind),
        inputs=inputs(made, shortest),
        ask=ask,
        counted=counted,
        defaults=defaults,
        save=save,
        auto=auto,
        hub={"as at first": as_at_first},
        published=published,
        short=short(made),
        noise=noise,
    )


FAMILIES = (
    family(
        "roberta", "RobertaForMaskedLM", bert.masked_tokens, ask_logits("targets"), "AutoModelForMaskedLM",
        (Published("base", BASE, 124_697_433), Published("large", LARGE, 355_412_057)), CONFIGS | MORE,
    ),
    family(
        "roberta's body", "RobertaModel", bert.no_labels, ask_body, "AutoModel",
        (
            Published("base", BASE, 124_645_632, {"head": "none"}),
            Published("large", LARGE, 355_359_744, {"head": "none"}),
        ),
    ),
    family(
        "roberta for sequences", "RobertaForSequenceClassification", bert.for_texts("label", bert.labels),
        ask_logits("label"), "AutoModelForSequenceClassification",
    ),
    family(
        "roberta for tokens", "RobertaForTokenClassification", bert.for_tokens(bert.labels), ask_logits("targets"),
        "AutoModelForTokenClassification",
    ),
    family(
        "roberta for answers", "RobertaForQuestionAnswering", bert.for_answers, ask_answer,
        "AutoModelForQuestionAnswering", configs=TWO_ENDS,
        noise=0.2,  # at more, one gradient by a key is little but rounding
        shortest=2,  # in a text of one token there is nothing to predict, and there is no gradient
    ),
)  # fmt: skip
