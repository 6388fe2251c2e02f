"""Mamba-2, against `Mamba2ForCausalLM`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tests.parity.harness import Config, Family, Inputs, Patch

CONFIGS: dict[str, Config] = {
    "two groups, several chunks": {
        "num_hidden_layers": 2, "hidden_size": 6, "num_heads": 4, "head_dim": 3, "state_size": 5, "n_groups": 2,
        "vocab_size": 11, "chunk_size": 4,
    },
    "one head, another kernel": {
        "num_hidden_layers": 1, "hidden_size": 4, "num_heads": 1, "head_dim": 8, "state_size": 2, "n_groups": 1,
        "vocab_size": 7, "conv_kernel": 2, "layer_norm_epsilon": 1e-3,
    },
}  # fmt: skip


def oracle(config: Config) -> Any:
    import transformers

    return transformers.Mamba2ForCausalLM(transformers.Mamba2Config(**config, residual_in_fp32=False))


def inputs(config: Config, rng: np.random.Generator) -> Mapping[str, Inputs]:
    def batch(rows: int, length: int) -> Inputs:
        tokens, targets = rng.integers(0, config["vocab_size"], (2, rows, length))
        targets[0, -1] = -100
        return {"tokens": tokens, "targets": targets}

    return {"longer than a chunk": batch(3, 9), "one row": batch(1, 4)}


def ask(model: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
    from torch.nn.functional import cross_entropy

    hidden = model.backbone(batch["tokens"], use_cache=False).last_hidden_state
    logits = model.lm_head(hidden)
    return {"hidden": hidden, "logits": logits, "loss": cross_entropy(logits.transpose(1, 2), batch["targets"])}


@contextmanager
def in_full() -> Iterator[None]:
    import torch
    from transformers.models.mamba2 import modeling_mamba2 as published

    def normed(self: Any, x: Any) -> Any:
        return self.weight * x * (x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon).rsqrt()

    def gated(self: Any, x: Any, gate: Any) -> Any:
        parts = (x * torch.nn.functional.silu(gate)).unflatten(-1, (-1, self.group_size))
        return self.weight * (parts * (parts.pow(2).mean(-1, keepdim=True) + self.variance_epsilon).rsqrt()).flatten(-2)

    kept = torch.Tensor.float, published.Mamba2RMSNorm.forward, published.MambaRMSNormGated.forward
    torch.Tensor.float = lambda self: self  # type: ignore[method-assign, assignment]
    published.Mamba2RMSNorm.forward, published.MambaRMSNormGated.forward = normed, gated
    try:
        yield
    finally:
        torch.Tensor.float, published.Mamba2RMSNorm.forward, published.MambaRMSNormGated.forward = kept  # type: ignore[method-assign]


FAMILIES = (
    Family(
        name="mamba2",
        spec=str(Path(__file__).with_suffix(".attn")),
        configs=CONFIGS,
        oracle=oracle,
        inputs=inputs,
        ask=ask,
        patches=(Patch("norms and the scan compute in float32, whatever the model's precision", enter=in_full),),
    ),
)
