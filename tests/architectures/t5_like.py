"""A decoder with normalised queries and keys, capped scores and sinks, against one that is written with torch alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.parity.harness import Config, Family, Inputs

CONFIGS: dict[str, Config] = {
    "two layers": {
        "vocab_size": 13, "num_layers": 2, "d_model": 8, "num_heads": 3, "d_kv": 4, "d_ff": 10, "buckets": 8,
        "reach": 6, "cap": 1.5, "dropout_rate": 0.1, "epsilon": 1e-6,
    },
    "one head": {
        "vocab_size": 7, "num_layers": 1, "d_model": 6, "num_heads": 1, "d_kv": 6, "d_ff": 4, "buckets": 4, "reach": 5,
        "cap": 30.0, "dropout_rate": 0.0, "epsilon": 1e-3,
    },
}  # fmt: skip


def oracle(config: Config) -> Any:
    import torch
    from torch import nn
    from transformers import PretrainedConfig, PreTrainedModel

    width, heads, size, cap = (config[name] for name in ("d_model", "num_heads", "d_kv", "cap"))

    class Norm(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(width))

        def forward(self, x: Any) -> Any:
            return x / (x.square().mean(-1, keepdim=True) + config["epsilon"]).sqrt() * self.weight

    class Look(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.k, self.v = (nn.Linear(width, heads * size, bias=False) for _ in range(3))
            self.out = nn.Linear(heads * size, width, bias=False)
            self.q_norm, self.k_norm = Norm(size), Norm(size)
            self.sink = nn.Parameter(torch.zeros(heads))

        def forward(self, x: Any, memory: Any, seen: Any, bias: Any = 0.0) -> Any:
            q, k, v = (
                f(given).unflatten(-1, (heads, size)).transpose(1, 2)
                for f, given in ((self.q, x), (self.k, memory), (self.v, memory))
            )
            score = cap * torch.tanh(self.q_norm(q) @ self.k_norm(k).transpose(2, 3) / cap) + bias
            powers = torch.where(seen, score.exp(), 0.0)
            weight = powers / (powers.sum(-1, keepdim=True) + self.sink.exp()[:, None, None])
            return self.out((weight @ v).transpose(1, 2).flatten(2))

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm_1, self.norm_2, self.norm_3 = Norm(width), Norm(width), Norm(width)
            self.attn, self.cross = Look(), Look()
            self.gate, self.up = (nn.Linear(width, config["d_ff"], bias=False) for _ in range(2))
            self.down = nn.Linear(config["d_ff"], width, bias=False)

        def forward(self, y: Any, memory: Any, valid: Any, past: Any, bias: Any) -> Any:
            x = self.norm_1(y)
            y = y + self.attn(x, x, past, bias)
            y = y + self.cross(self.norm_2(y), memory, valid[:, None, None])
            x = self.norm_3(y)
            return y + self.down(nn.functional.gelu(self.gate(x), approximate="tanh") * self.up(x))

    class Decoder(PreTrainedModel):
        config_class = PretrainedConfig

        def __init__(self, settings: Any) -> None:
            super().__init__(settings)
            self.shared = nn.Embedding(config["vocab_size"], width)
            self.near = nn.Embedding(config["buckets"], heads)
            self.layers = nn.ModuleList([Layer() for _ in range(config["num_layers"])])
            self.norm = Norm(width)

        def forward(self, target: Any, memory: Any, valid: Any) -> Any:
            y, length = self.shared(target), target.shape[1]
            back = torch.arange(length)[:, None] - torch.arange(length)
            bias = self.near(torch.tensor([[bucket(config, n) for n in row] for row in back.tolist()])).permute(2, 0, 1)
            for layer in self.layers:
                y = layer(y, memory, valid, back >= 0, bias)
            return self.norm(y)

    return Decoder(PretrainedConfig(**config))


def bucket(config: Config, back: int) -> int:
    """Which of T5's buckets a key is in that lies so far back: the first half are exact, the others logarithmic."""
    back, exact = max(back, 0), config["buckets"] // 2
    if back < exact:
        return back
    share = np.log(back / exact) / np.log(config["reach"] / exact)
    return min(exact + int(share * (config["buckets"] - exact)), config["buckets"] - 1)


def inputs(config: Config, rng: np.random.Generator) -> Mapping[str, Inputs]:
    def batch(rows: int, length: int, seen: int) -> Inputs:
        target, targets = rng.integers(0, config["vocab_size"], (2, rows, length))
        targets[0, -1] = -100
        return {
            "memory": rng.normal(size=(rows, seen, config["d_model"])).astype(np.float32),
            "valid": np.arange(seen) < rng.integers(0, seen + 1, (rows, 1)), "target": target, "targets": targets,
        }  # fmt: skip

    return {"with padding": batch(3, 11, 5), "one row": batch(1, 2, 1)}


def ask(model: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
    from torch.nn.functional import cross_entropy

    hidden = model(batch["target"], batch["memory"], batch["valid"])
    logits = hidden @ model.shared.weight.T / model.config.d_model**0.5
    return {"hidden": hidden, "logits": logits, "loss": cross_entropy(logits.transpose(1, 2), batch["targets"])}


FAMILIES = (
    Family(
        name="t5_like",
        spec=str(Path(__file__).with_suffix(".attn")),
        configs=CONFIGS,
        oracle=oracle,
        inputs=inputs,
        ask=ask,
        section="torch",
    ),
)
