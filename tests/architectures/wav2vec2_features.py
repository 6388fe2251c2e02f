"""The feature encoder of wav2vec 2.0, against the module of `Wav2Vec2Model`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.parity.harness import Config, Family, Inputs

CONFIGS: dict[str, Config] = {
    "base": {
        "conv_dim": [5, 6, 4], "conv_kernel": [10, 3, 2], "conv_stride": [5, 2, 2], "feat_extract_norm": "group",
        "conv_bias": False, "num_feat_extract_layers": 3,
    },
    "large": {
        "conv_dim": [3, 3], "conv_kernel": [4, 3], "conv_stride": [3, 1], "feat_extract_norm": "layer",
        "conv_bias": True, "num_feat_extract_layers": 2,
    },
}  # fmt: skip


def oracle(config: Config) -> Any:
    from transformers import Wav2Vec2Config
    from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2FeatureEncoder

    model = Wav2Vec2FeatureEncoder(Wav2Vec2Config(**config))
    model.said = {**config, "feat_extract_activation": "gelu"}
    return model


def save(model: Any, folder: Path) -> Path:
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    save_file(model.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(model.said))
    return folder


def inputs(config: Config, rng: np.random.Generator) -> Mapping[str, Inputs]:
    def batch(rows: int, length: int) -> Inputs:
        return {"wave": rng.normal(size=(rows, length)).astype(np.float32)}

    return {"with samples left over": batch(2, 83), "one row": batch(1, 60)}


def ask(model: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
    features = model(batch["wave"]).transpose(1, 2)
    return {"features": features, "loss": features.pow(2).mean()}


FAMILIES = (
    Family(
        name="wav2vec2 features",
        spec=str(Path(__file__).with_suffix(".attn")),
        configs=CONFIGS,
        oracle=oracle,
        inputs=inputs,
        ask=ask,
        save=save,
    ),
)
