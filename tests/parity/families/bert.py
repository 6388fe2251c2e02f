"""BERT with each of its heads, against the seven classes of `transformers`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tests.parity.harness import Config, Family, Inputs, Published

Array = np.ndarray[Any, Any]
Layout = Callable[[dict[str, Any], dict[str, Any]], tuple[dict[str, Any], dict[str, Any]]]


def sized(
    layers: int, width: int, heads: int, hidden: int, vocab: int = 30522, context: int = 512, **more: Any
) -> Config:
    return {
        "num_hidden_layers": layers, "hidden_size": width, "num_attention_heads": heads, "intermediate_size": hidden,
        "vocab_size": vocab, "max_position_embeddings": context, **more,
    }  # fmt: skip


CONFIGS: dict[str, Config] = {
    "three heads": sized(2, 12, 3, 20, 61, 10, num_labels=5),
    "five heads of one, five layers": sized(5, 5, 5, 9, 17, 7, hidden_act="relu", type_vocab_size=3),
    "square, where a transposition hides": sized(2, 16, 4, 16, 16, 16, hidden_act="gelu_new", num_labels=16),
    "one layer, one head": sized(
        1, 8, 1, 8, 5, 1, type_vocab_size=1, layer_norm_eps=1e-2, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.2, hidden_act="silu",
    ),
    "no layers": sized(0, 9, 3, 11, 12, 5, num_labels=3),
}  # fmt: skip
HEADS = {name: CONFIGS[name] for name in ("three heads", "square, where a transposition hides", "no layers")}
TWO_ENDS = {name: {**config, "num_labels": 2} for name, config in HEADS.items()}
BASE = sized(12, 768, 12, 3072)
LARGE = sized(24, 1024, 16, 4096)
GRID = {f"l{depth}-h{width}": (depth, width) for depth in (2, 4, 6, 8, 10, 12) for width in (128, 256, 512, 768)}
NAMED = {"tiny": (2, 128), "mini": (4, 256), "small": (4, 512), "medium": (8, 512)}


def of_the_grid(depth: int, width: int) -> Config:
    return sized(depth, width, width // 64, 4 * width)


def body_count(depth: int, width: int) -> int:
    """The parameters of a body: embeddings with their norm; in a layer four maps of attention, two of the other
    sublayer and two norms; the pooler."""
    return (30522 + 512 + 2 + 2) * width + depth * (12 * width**2 + 13 * width) + width**2 + width


def oracle(kind: str) -> Callable[[Config], Any]:
    def make(config: Config) -> Any:
        import transformers

        return getattr(transformers, kind)(transformers.BertConfig(**config))

    return make


# ---------------------------------------------------------------- what both are asked


def text(config: Config, rng: np.random.Generator, rows: int, length: int) -> Inputs:
    """Texts in segments, of which all rows but the last are padded behind (with tokens that must not matter). Token 0,
    whose embedding gets no gradient from the oracle, is not among them."""
    lengths = np.linspace(1, length, rows).astype(int) if rows > 1 else np.array([length])
    return {
        "tokens": rng.integers(1, config["vocab_size"], (rows, length)),
        "valid": np.arange(length) < lengths[:, None],
        "segment": rng.integers(0, config.get("type_vocab_size", 2), (rows, length)),
    }


Labels = Callable[[Config, np.random.Generator, Inputs], Inputs]


def no_labels(config: Config, rng: np.random.Generator, batch: Inputs) -> Inputs:
    return {}


def for_tokens(classes: Callable[[Config], int]) -> Labels:
    """A class for every token; every third, and all padding, does not count."""

    def make(config: Config, rng: np.random.Generator, batch: Inputs) -> Inputs:
        targets = np.where(batch["valid"], rng.integers(0, classes(config), batch["tokens"].shape), -100)
        targets.flat[1::3] = -100
        return {"targets": targets}

    return make


def for_texts(name: str, classes: Callable[[Config], int]) -> Labels:
    return lambda config, rng, batch: {name: rng.integers(0, classes(config), len(batch["tokens"]))}


def for_answers(config: Config, rng: np.random.Generator, batch: Inputs) -> Inputs:
    """Where the answer begins and ends; in one text of several it is not there."""
    rows, length = batch["tokens"].shape
    found = {name: rng.integers(0, length, rows) for name in ("start_label", "end_label")}
    for place in found.values():
        place[1:2] = -100
    return found


def vocabulary(config: Config) -> int:
    return int(config["vocab_size"])


def labels(config: Config) -> int:
    return int(config.get("num_labels", 2))


masked_tokens = for_tokens(vocabulary)
next_sentence = for_texts("next_label", lambda config: 2)


def both(config: Config, rng: np.random.Generator, batch: Inputs) -> Inputs:
    return {**masked_tokens(config, rng, batch), **next_sentence(config, rng, batch)}


def inputs(made: Labels, shortest: int) -> Callable[[Config, np.random.Generator], Mapping[str, Inputs]]:
    def make(config: Config, rng: np.random.Generator) -> Mapping[str, Inputs]:
        limit = config["max_position_embeddings"]
        batches = {
            "at the limit": text(config, rng, 3, limit),
            "half of it": text(config, rng, 2, (limit + 1) // 2),
            "one row": text(config, rng, 1, (limit + 2) // 3),
            "shortest": text(config, rng, 2, shortest),
        }
        return {name: {**batch, **made(config, rng, batch)} for name, batch in batches.items()}

    return make


def short(made: Labels) -> Callable[[Config, np.random.Generator], Inputs]:
    def make(config: Config, rng: np.random.Generator) -> Inputs:
        batch = text(config, rng, 2, 17)
        return {**batch, **made(config, rng, batch)}

    return make


def counted(batch: Inputs) -> Mapping[str, Array]:
    per_token = ("hidden", "layers", "summed", "joined", "start_logits", "end_logits")
    return dict.fromkeys((*per_token, *(["logits"] if "targets" in batch else [])), batch["valid"])


def defaults(config: Config, batch: Inputs) -> Inputs:
    return {"valid": np.ones_like(batch["valid"]), "segment": np.zeros_like(batch["segment"])}


# ---------------------------------------------------------------- what the oracle answers


def asked(model: Any, batch: Mapping[str, Any], **answers: str) -> tuple[Any, dict[str, Any]]:
    """What the oracle gives for a batch (our inputs by the names of its labels), and the features of its layers."""
    import torch

    found = model(
        input_ids=batch["tokens"],
        attention_mask=batch["valid"],
        token_type_ids=batch["segment"],
        output_hidden_states=True,
        **{theirs: batch[ours] for theirs, ours in answers.items()},
    )
    body = getattr(model, "bert", model)
    if not model.config.num_hidden_layers:
        hidden = body(batch["tokens"], batch["valid"], batch["segment"]).last_hidden_state
        outputs = {"hidden": hidden}
    else:
        layers = found.hidden_states[1:]
        outputs = {
            "hidden": layers[-1],
            "layers": torch.stack(layers, 2),
            "summed": sum(layers[-4:]),
            "joined": torch.cat(layers[-4:], -1),
        }
    if body.pooler is not None:
        outputs["pooled"] = body.pooler(outputs["hidden"])
    return found, outputs


def ask_body(model: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
    found, outputs = asked(model, batch)
    return {**outputs, "pooled": found.pooler_output}


def ask_pretraining(model: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
    found, outputs = asked(model, batch, labels="targets", next_sentence_label="next_label")
    logits, following = found.prediction_logits, found.seq_relationship_logits
    return {**outputs, "logits": logits, "next_logits": following, "loss": found.loss}


def ask_next(model: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
    found, outputs = asked(model, batch, labels="next_label")
    return {**outputs, "next_logits": found.logits, "loss": found.loss}


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


# ---------------------------------------------------------------- as the hub has them


def as_at_first(tensors: dict[str, Any], config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first files call a norm's parameters `gamma` and `beta`, hold the positions 0, 1, 2, … and every copy of the
    embedding; their configurations lack what came later."""
    import torch

    first = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in tensors.items()
    }
    prefix = "bert." if any(name.startswith("bert.") for name in tensors) else ""
    first[f"{prefix}embeddings.position_ids"] = torch.arange(config["max_position_embeddings"])[None]
    if "cls.predictions.bias" in tensors:
        first["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"]
        first["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"]
    later = (
        "is_decoder",
        "add_cross_attention",
        "tie_word_embeddings",
        "classifier_dropout",
        "layer_norm_eps",
        "dtype",
    )
    kept = {key: value for key, value in config.items() if key not in later or value not in (False, True, None, 1e-12)}
    pooler = {
        "directionality": "bidi", "pooler_fc_size": 768, "pooler_num_attention_heads": 12, "pooler_num_fc_layers": 3,
        "pooler_size_per_head": 128, "pooler_type": "first_token_transform", "position_embedding_type": "absolute",
    }  # fmt: skip
    return first, {**kept, **pooler}


def of_pretraining(tensors: dict[str, Any], config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What was published for all uses: both heads of pretraining, whichever class the configuration names, if any."""
    import torch

    width, vocab = config["hidden_size"], config["vocab_size"]
    body = {name if name.startswith(("bert.", "cls.")) else f"bert.{name}": t for name, t in tensors.items()}
    more = {
        "bert.pooler.dense.weight": torch.ones(width, width), "bert.pooler.dense.bias": torch.ones(width),
        "cls.predictions.bias": torch.ones(vocab), "cls.seq_relationship.weight": torch.ones(2, width),
        "cls.predictions.transform.dense.weight": torch.ones(width, width), "cls.seq_relationship.bias": torch.ones(2),
        "cls.predictions.transform.dense.bias": torch.ones(width),
        "cls.predictions.transform.LayerNorm.weight": torch.ones(width),
        "cls.predictions.transform.LayerNorm.bias": torch.ones(width),
        "cls.predictions.decoder.weight": body["bert.embeddings.word_embeddings.weight"],
    }  # fmt: skip
    without = ("model_type", "architectures") if config["architectures"] == ["BertModel"] else ()
    return as_at_first({**more, **body}, {key: value for key, value in config.items() if key not in without})


def family(
    name: str,
    kind: str,
    made: Labels,
    ask: Callable[[Any, Mapping[str, Any]], Mapping[str, Any]],
    auto: str,
    hub: Mapping[str, Layout],
    published: tuple[Published, ...] = (),
    smallest: Config | None = None,
    configs: Mapping[str, Config] = HEADS,
    shortest: int = 1,
) -> Family:
    return Family(
        name=name,
        spec="bert",
        configs=configs,
        oracle=oracle(kind),
        inputs=inputs(made, shortest),
        ask=ask,
        counted=counted,
        defaults=defaults,
        auto=auto,
        hub={"as at first": as_at_first, **hub},
        published=published,
        smallest=smallest,
        short=short(made),
    )


PRETRAINED: Mapping[str, Layout] = {"a file of pretraining": of_pretraining}

FAMILIES = (
    family(
        "bert", "BertModel", no_labels, ask_body, "AutoModel", PRETRAINED,
        (
            Published("base", BASE, 109_482_240),
            Published("large", LARGE, 335_141_888),
            *(Published(name, of_the_grid(*size), body_count(*size)) for name, size in {**NAMED, **GRID}.items()),
        ),
        configs=CONFIGS,
    ),
    family(
        "bert for pretraining", "BertForPreTraining", both, ask_pretraining, "AutoModelForPreTraining", {},
        (
            Published("pretraining", BASE, 110_106_428),
            Published("large", LARGE, 336_226_108, {"head": "pretraining"}),
            Published("l2-h128", of_the_grid(2, 128), 4_433_468, {"head": "pretraining"}),
        ),
        of_the_grid(2, 128),
        CONFIGS,
    ),
    family(
        "bert for masked tokens", "BertForMaskedLM", masked_tokens, ask_logits("targets"), "AutoModelForMaskedLM",
        PRETRAINED,
    ),
    family(
        "bert for the next sentence", "BertForNextSentencePrediction", next_sentence, ask_next,
        "AutoModelForNextSentencePrediction", PRETRAINED,
    ),
    family(
        "bert for sequences", "BertForSequenceClassification", for_texts("label", labels), ask_logits("label"),
        "AutoModelForSequenceClassification", {},
    ),
    family(
        "bert for tokens", "BertForTokenClassification", for_tokens(labels), ask_logits("targets"),
        "AutoModelForTokenClassification", {},
    ),
    family(
        "bert for answers", "BertForQuestionAnswering", for_answers, ask_answer, "AutoModelForQuestionAnswering", {},
        configs=TWO_ENDS,
        shortest=2,  # in a text of one token there is nothing to predict, and there is no gradient
    ),
)  # fmt: skip
