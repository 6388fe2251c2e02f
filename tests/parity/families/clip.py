"""CLIP, against `CLIPModel`: both towers, the similarities of all pictures and texts, the contrastive loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.parity.harness import Config, Family, Inputs, Published


def sized(
    vision: tuple[int, int, int, int], size: int, patch: int, text: tuple[int, int, int, int], vocab: int, context: int,
    shared: int, end: int = 49407, **more: Any,
) -> Config:  # fmt: skip
    """`vision` and `text`: layers, width, heads, and the width of the hidden layers."""
    names = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size")
    both = {key: more.pop(key) for key in ("hidden_act", "layer_norm_eps", "attention_dropout") if key in more}
    return {
        "text_config": {
            **dict(zip(names, text, strict=True)), **both, "vocab_size": vocab, "max_position_embeddings": context,
            "bos_token_id": 0, "pad_token_id": 0, "eos_token_id": end,
        },
        "vision_config": {
            **dict(zip(names, vision, strict=True)), **both, "image_size": size, "patch_size": patch, **more,
        },
        "projection_dim": shared,
    }  # fmt: skip


CONFIGS: dict[str, Config] = {
    "three heads and two": sized((2, 12, 3, 20), 12, 4, (1, 10, 2, 14), 13, 7, 6, 5),
    "as the first files say where a text ends": sized((1, 6, 2, 9), 8, 4, (2, 9, 3, 7), 11, 6, 5, 2, num_channels=1),
    "square, where a transposition hides": sized((2, 16, 4, 16), 16, 4, (2, 16, 4, 16), 16, 16, 16, 9, num_channels=4),
    "one patch, no layer of text": sized(
        (1, 8, 1, 8), 3, 3, (0, 4, 1, 4), 8, 5, 3, 0, hidden_act="gelu", layer_norm_eps=1e-2, attention_dropout=0.1
    ),
}
B32 = sized((12, 768, 12, 3072), 224, 32, (12, 512, 8, 2048), 49408, 77, 512)


def oracle(config: Config) -> Any:
    import transformers

    return transformers.CLIPModel(transformers.CLIPConfig(**config))


def pairs(config: Config, rng: np.random.Generator, rows: int, texts: int, length: int, grid: int) -> Inputs:
    """Texts that end before their last token, or there; `grid` in patches."""
    vision, text = config["vision_config"], config["text_config"]
    end = text["vocab_size"] - 1 if text["eos_token_id"] == 2 else text["eos_token_id"]
    ordinary = np.array([token for token in range(text["vocab_size"]) if token != end])
    tokens = rng.choice(ordinary, (texts, length))
    last = rng.integers(0, length, texts)
    tokens[np.arange(texts), last] = end
    channels, side = vision.get("num_channels", 3), grid * vision["patch_size"]
    batch = {"image": rng.standard_normal((rows, channels, side, side)), "tokens": tokens, "last": last}
    return batch | ({"match": np.arange(rows)} if rows == texts > 1 else {})  # of one pair there is nothing to learn


def narrow(config: Config) -> Config:
    """As deep, with as many heads; few words, and a grid of two patches."""
    vision, text = config["vision_config"], config["text_config"]

    def tower(of: Config) -> tuple[int, int, int, int]:
        return of["num_hidden_layers"], 2 * of["num_attention_heads"], of["num_attention_heads"], 40

    patch = vision["patch_size"]
    return sized(tower(vision), 2 * patch, patch, tower(text), 64, text["max_position_embeddings"], 24, 63)


def inputs(config: Config, rng: np.random.Generator) -> Mapping[str, Inputs]:
    vision, most = config["vision_config"], config["text_config"]["max_position_embeddings"]
    grid = vision["image_size"] // vision["patch_size"]
    return {
        "pairs": pairs(config, rng, 3, 3, most, grid),
        "one picture, several texts": pairs(config, rng, 1, 4, most - 1, grid),
        "one pair": pairs(config, rng, 1, 1, 1, grid),
        "larger pictures": pairs(config, rng, 2, 2, 3, 2 * grid + 1),
    }


def ask(model: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
    import torch

    loss = "match" in batch
    found = model(
        input_ids=batch["tokens"], pixel_values=batch["image"], return_loss=loss, interpolate_pos_encoding=True
    )
    names = ("image_embeds", "text_embeds", "logits_per_image", "logits_per_text", *(["loss"] if loss else []))
    assert not loss or torch.equal(batch["match"], torch.arange(len(batch["image"])))
    return {name: getattr(found, name) for name in names}


def as_published(tensors: dict[str, Any], config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The hub's files hold the positions 0, 1, 2, …, and in the configurations of the towers all that any model may
    have."""
    import torch

    text, vision = config["text_config"], config["vision_config"]
    spots = tensors["vision_model.embeddings.position_embedding.weight"].shape[0]
    ids = {
        "text_model.embeddings.position_ids": torch.arange(text["max_position_embeddings"])[None],
        "vision_model.embeddings.position_ids": torch.arange(spots)[None],
    }
    every = {
        "add_cross_attention": False, "architectures": None, "chunk_size_feed_forward": 0, "dropout": 0.0,
        "id2label": {"0": "LABEL_0"}, "is_decoder": False, "is_encoder_decoder": False, "num_beams": 1,
        "tie_encoder_decoder": False, "tie_word_embeddings": True, "top_k": 50, "torch_dtype": None,
    }  # fmt: skip
    config = config | {"text_config": every | text, "vision_config": every | vision, "text_config_dict": None}
    return {**tensors, **ids}, config


FAMILIES = (
    Family(
        name="clip",
        spec="clip",
        configs=CONFIGS,
        oracle=oracle,
        inputs=inputs,
        ask=ask,
        defaults=lambda config, batch: {"last": batch["last"]},
        auto="AutoModel",
        hub={"as published": as_published},
        published=(
            Published("b32", B32, 151_277_313),
            Published("b16", sized((12, 768, 12, 3072), 224, 16, (12, 512, 8, 2048), 49408, 77, 512), 149_620_737),
            Published("l14", sized((24, 1024, 16, 4096), 224, 14, (12, 768, 12, 3072), 49408, 77, 768), 427_616_513),
        ),
        smallest=B32,
        # Of two pairs of noise the scale's gradient is a difference of nearly equal terms: rounding is 1e-4 of it.
        short=lambda config, rng: pairs(
            config, rng, 3, 3, 9, config["vision_config"]["image_size"] // config["vision_config"]["patch_size"]
        ),
        reduced=narrow,
    ),
)
