"""ConvNeXt, against `ConvNextForImageClassification`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.parity.harness import Config, Family, Inputs

CONFIGS: dict[str, Config] = {
    "three stages": {
        "depths": [1, 2, 1], "hidden_sizes": [4, 6, 10], "num_stages": 3, "num_channels": 2, "patch_size": 2,
        "layer_scale_init_value": 0.5, "num_labels": 3,
    },
    "widths that stay": {
        "depths": [1, 1], "hidden_sizes": [5, 5], "num_stages": 2, "patch_size": 4, "num_labels": 2,
        "layer_scale_init_value": 0.1, "layer_norm_eps": 1e-6,
    },
}  # fmt: skip


def oracle(config: Config) -> Any:
    import transformers

    return transformers.ConvNextForImageClassification(transformers.ConvNextConfig(**config))


def inputs(config: Config, rng: np.random.Generator) -> Mapping[str, Inputs]:
    def batch(rows: int, height: int, width: int) -> Inputs:
        image = rng.normal(size=(rows, config.get("num_channels", 3), height, width)).astype(np.float32)
        return {"image": image, "label": rng.integers(0, config["num_labels"], rows)}

    return {"with rows left over": batch(2, 19, 22), "square": batch(1, 16, 16)}


def ask(model: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
    from torch.nn.functional import cross_entropy

    body = model.convnext(batch["image"])
    logits = model.classifier(body.pooler_output)
    return {
        "hidden": body.last_hidden_state.permute(0, 2, 3, 1), "logits": logits,
        "loss": cross_entropy(logits, batch["label"]),
    }  # fmt: skip


FAMILIES = (
    Family(
        name="convnext",
        spec=str(Path(__file__).with_suffix(".attn")),
        configs=CONFIGS,
        oracle=oracle,
        inputs=inputs,
        ask=ask,
        auto="AutoModelForImageClassification",
    ),
)
