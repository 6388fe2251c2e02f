"""The Vision Transformer, against `ViTForImageClassification`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.parity.harness import Config, Family, Inputs, Published


def sized(layers: int, width: int, heads: int, hidden: int, size: int, patch: int, labels: int, **more: Any) -> Config:
    return {
        "num_hidden_layers": layers, "hidden_size": width, "num_attention_heads": heads, "intermediate_size": hidden,
        "image_size": size, "patch_size": patch, "num_labels": labels, **more,
    }  # fmt: skip


CONFIGS: dict[str, Config] = {
    "three heads": sized(2, 12, 3, 20, 12, 4, 5),
    "five heads of one, grey": sized(2, 5, 5, 9, 6, 2, 2, num_channels=1),
    "square, where a transposition hides": sized(2, 16, 4, 16, 16, 4, 16, num_channels=4),
    "one patch, two labels": sized(1, 8, 1, 8, 3, 3, 2, layer_norm_eps=1e-2, hidden_dropout_prob=0.1),
    "no layers": sized(0, 6, 2, 7, 4, 2, 3),
}
B16 = sized(12, 768, 12, 3072, 224, 16, 1000)


def oracle(config: Config) -> Any:
    import transformers

    return transformers.ViTForImageClassification(transformers.ViTConfig(**config))


def picture(config: Config, rng: np.random.Generator, rows: int, height: int, width: int) -> Inputs:
    """`height` and `width` in patches."""
    shape = (rows, config.get("num_channels", 3), height * config["patch_size"], width * config["patch_size"])
    image = rng.standard_normal(shape)
    return {"image": image, "label": rng.integers(0, config["num_labels"], rows)}


def inputs(config: Config, rng: np.random.Generator) -> Mapping[str, Inputs]:
    grid = config["image_size"] // config["patch_size"]
    return {
        "the trained size": picture(config, rng, 3, grid, grid),
        "one image": picture(config, rng, 1, grid, grid),
        "larger": picture(config, rng, 2, 2 * grid + 1, 2 * grid + 1),
        "smaller": picture(config, rng, 2, (grid + 1) // 2, (grid + 1) // 2),
        "wider than high": picture(config, rng, 2, grid, grid + 3),
        "one patch": picture(config, rng, 2, 1, 1),
    }


def ask(model: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
    from torch.nn.functional import cross_entropy

    found = model.vit(pixel_values=batch["image"], interpolate_pos_encoding=True)
    hidden = found.last_hidden_state
    logits = model.classifier(hidden[:, 0])
    return {"hidden": hidden, "logits": logits, "loss": cross_entropy(logits, batch["label"])}


def published(variant: str, config: Config, count: int) -> Published:
    return Published(variant, config, count)


def in_files(name: str) -> str:
    """`transformers` renames what it reads and writes; files have the names of the first release."""
    for now, then in (
        ("vit.layers.", "vit.encoder.layer."),
        ("attention.q_proj", "attention.attention.query"),
        ("attention.k_proj", "attention.attention.key"),
        ("attention.v_proj", "attention.attention.value"),
        ("attention.o_proj", "attention.output.dense"),
        ("mlp.fc1", "intermediate.dense"),
        ("mlp.fc2", "output.dense"),
    ):
        name = name.replace(now, then)
    return name


FAMILIES = (
    Family(
        name="vit",
        spec="vit",
        configs=CONFIGS,
        oracle=oracle,
        inputs=inputs,
        ask=ask,
        auto="AutoModelForImageClassification",
        in_files=in_files,
        published=(
            published("b16", B16, 86_567_656),
            published("b32", sized(12, 768, 12, 3072, 224, 32, 1000), 88_224_232),
            published("l16", sized(24, 1024, 16, 4096, 224, 16, 1000), 304_326_632),
            published("l32", sized(24, 1024, 16, 4096, 224, 32, 1000), 306_535_400),
            published("h14", sized(32, 1280, 16, 5120, 224, 14, 1000), 632_045_800),
        ),
        smallest=B16,
        short=lambda config, rng: picture(config, rng, 1, 14, 14),
    ),
)
