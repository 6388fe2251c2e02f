"""Swin, against `SwinForImageClassification`, at sizes that windows and patches do not divide."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.parity.harness import Config, Family, Inputs

CONFIGS: dict[str, Config] = {
    "two stages": {
        "depths": [2, 2], "num_heads": [2, 4], "embed_dim": 8, "window_size": 3, "patch_size": 2, "num_channels": 2,
        "num_labels": 3, "image_size": 16,
    },
    "three stages, windows of four": {
        "depths": [2, 1, 1], "num_heads": [1, 2, 2], "embed_dim": 4, "window_size": 4, "patch_size": 3,
        "num_labels": 2, "image_size": 24,
    },
}  # fmt: skip


def oracle(config: Config) -> Any:
    import transformers

    return transformers.SwinForImageClassification(transformers.SwinConfig(**config))


def inputs(config: Config, rng: np.random.Generator) -> Mapping[str, Inputs]:
    def batch(rows: int, height: int, width: int) -> Inputs:
        image = rng.normal(size=(rows, config.get("num_channels", 3), height, width)).astype(np.float32)
        return {"image": image, "label": rng.integers(0, config["num_labels"], rows)}

    return {"of any size": batch(2, 29, 34), "smaller than a window at the end": batch(1, 16, 21)}


def ask(model: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
    """`always_partition`: windows keep their size where a picture is smaller than one."""
    from torch.nn.functional import cross_entropy

    height, width = (-(-n // model.config.patch_size) for n in batch["image"].shape[2:])
    for _ in model.config.depths[1:]:
        height, width = (height + 1) // 2, (width + 1) // 2
    hidden = model.swin(batch["image"], always_partition=True).last_hidden_state
    logits = model.classifier(hidden.mean(1))
    return {
        "hidden": hidden.unflatten(1, (height, width)), "logits": logits, "loss": cross_entropy(logits, batch["label"]),
    }  # fmt: skip


def in_files(name: str) -> str:
    """The module has newer names than the files that it writes."""
    for new, old in (
        ("attention.q_proj", "attention.self.query"), ("attention.k_proj", "attention.self.key"),
        ("attention.v_proj", "attention.self.value"), ("attention.o_proj", "attention.output.dense"),
        ("attention.relative_position_bias.", "attention.self."), ("mlp.fc1", "intermediate.dense"),
        ("mlp.fc2", "output.dense"),
    ):  # fmt: skip
        name = name.replace(new, old)
    return name


FAMILIES = (
    Family(
        name="swin", spec=str(Path(__file__).with_suffix(".attn")), configs=CONFIGS, oracle=oracle, inputs=inputs,
        ask=ask, in_files=in_files, auto="AutoModelForImageClassification",
    ),
)  # fmt: skip
