"""What a gated delta rule costs on PyTorch, forward and backward, written step by step and run in chunks by the
compiler.

    python benchmarks/delta.py [--numpy] [--processor]

The scan is that of Yang, Kautz and Hatamizadeh (2025), of 8 heads whose states are matrices of 64 by 64, over 1,024
steps. Held against it is the chunked form of `transformers` and, once, the loop over steps. With `--numpy`: NumPy in
chunks, and the loop there. With `--processor`: processor time.
"""

from __future__ import annotations

import sys

import chunked
import numpy as np
import torch
from in_turn import machine
from transformers.models.qwen3_next.modeling_qwen3_next import torch_chunk_gated_delta_rule

import attndsl
from attndsl.backends.pytorch import TorchProgram
from attndsl.passes import optimize
from attndsl.passes.incremental import RECOGNISED

SPEC = """
/// Each step takes from the state what it says of a key, and writes a value there.
model GatedDelta(heads=8, keys=64, values=64) {
  input q: [B, T, heads, keys]
  input k: [B, T, heads, keys]
  input v: [B, T, heads, values]
  input decay: [B, T, heads]
  input beta: [B, T, heads]
  fade = exp(decay)
  output y = scan t in T with S: [B, heads, keys, values] = 0.0 {
    faded = fade[T=t] * S
    error = beta[T=t] * (v[T=t] - dot(faded, k[T=t], over=keys))
    S: [B, heads, keys, values] = faded + k[T=t] * error
    emit dot(S, q[T=t], over=keys) / sqrt(keys)
  }
}
"""
STEPS, HEADS, WIDTH = 1024, 8, 64


def inputs() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 1, STEPS, HEADS, WIDTH)
    k = torch.nn.functional.normalize(k, dim=-1)
    decay, beta = -torch.rand(1, STEPS, HEADS) / 8, torch.rand(1, STEPS, HEADS)
    return {name: x.requires_grad_() for name, x in {"q": q, "k": k, "v": v, "decay": decay, "beta": beta}.items()}


def on_torch() -> None:
    graph, given = attndsl.parse(SPEC).graph, inputs()
    ours = TorchProgram(graph)
    loop = TorchProgram(optimize(graph, passes=RECOGNISED)[0], passes=False)

    def published() -> torch.Tensor:
        return torch_chunk_gated_delta_rule(given["q"], given["k"], given["v"], given["decay"], given["beta"])[0]

    runs = {"in chunks by the compiler": lambda: ours.module(**given)["y"], "transformers, chunks of 64": published}
    chunked.on_torch("gated delta rule", runs, lambda: loop.module(**given)["y"], "transformers, chunks of 64", STEPS)


def on_numpy() -> None:
    upstream = {"y": np.ones((1, STEPS, HEADS, WIDTH), np.float32)}
    chunked.on_numpy(attndsl.parse(SPEC).graph, inputs(), upstream, STEPS)


if __name__ == "__main__":
    print(machine())
    on_numpy() if "--numpy" in sys.argv[1:] else on_torch()
