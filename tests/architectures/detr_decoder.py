"""DETR's decoder with its heads, against transformers' `DetrDecoder`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.parity.harness import Config, Family, Inputs

CONFIGS: dict[str, Config] = {
    "two layers": {
        "d_model": 12, "decoder_layers": 2, "decoder_attention_heads": 3, "decoder_ffn_dim": 10, "num_queries": 5,
        "num_labels": 4,
    },
    "one head": {
        "d_model": 6, "decoder_layers": 1, "decoder_attention_heads": 1, "decoder_ffn_dim": 8, "num_queries": 3,
        "num_labels": 2, "activation_function": "gelu",
    },
}  # fmt: skip


def oracle(config: Config) -> Any:
    from torch import nn
    from transformers import DetrConfig
    from transformers.models.detr import modeling_detr as published

    class Decoder(published.DetrPreTrainedModel):
        def __init__(self, config: DetrConfig) -> None:
            super().__init__(config)
            self.query_position_embeddings = nn.Embedding(config.num_queries, config.d_model)
            self.decoder = published.DetrDecoder(config)
            self.class_labels_classifier = nn.Linear(config.d_model, config.num_labels + 1)
            self.bbox_predictor = published.DetrMLPPredictionHead(config.d_model, config.d_model, 4, 3)
            self.post_init()

    return Decoder(DetrConfig(**config))


def inputs(config: Config, rng: np.random.Generator) -> Mapping[str, Inputs]:
    def batch(rows: int, length: int) -> Inputs:
        queries = rows, config["num_queries"]
        memory, place = rng.normal(size=(2, rows, length, config["d_model"])).astype(np.float32)
        return {
            "memory": memory, "place": place,
            "valid": np.arange(length) < rng.integers(1, length + 1, (rows, 1)),
            "label": rng.integers(0, config["num_labels"] + 1, queries),
            "box": rng.random((*queries, 4)).astype(np.float32),
        }  # fmt: skip

    return {"with padding": batch(3, 9), "one pixel": batch(1, 1)}


def ask(model: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
    import torch
    from torch.nn.functional import cross_entropy

    slots = model.query_position_embeddings.weight.expand(len(batch["memory"]), -1, -1)
    hidden = model.decoder(
        inputs_embeds=torch.zeros_like(slots),
        encoder_hidden_states=batch["memory"],
        encoder_attention_mask=batch["valid"],
        spatial_position_embeddings=batch["place"],
        object_queries_position_embeddings=slots,
    ).last_hidden_state
    logits, boxes = model.class_labels_classifier(hidden), model.bbox_predictor(hidden).sigmoid()
    loss = cross_entropy(logits.transpose(1, 2), batch["label"]) + 5 * (boxes - batch["box"]).abs().mean()
    return {"hidden": hidden, "logits": logits, "boxes": boxes, "loss": loss}


FAMILIES = (
    Family(
        name="detr_decoder",
        spec=str(Path(__file__).with_suffix(".attn")),
        configs=CONFIGS,
        oracle=oracle,
        inputs=inputs,
        ask=ask,
    ),
)
