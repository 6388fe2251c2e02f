"""What a selective scan costs on PyTorch, forward and backward, written step by step and run in chunks by the compiler.

    python benchmarks/selective.py [--numpy] [--processor]

The scan is that of Mamba-2 (Dao and Gu, 2024) in the size of its smallest model: 24 heads of 64, a state of 128, two
groups, 2,048 steps. Held against it are the chunked form of `transformers` (in chunks of 64, and of 256 as it comes),
the same chunked by hand in the language, and the loop over steps, once. All run in turn; printed are medians. With
`--numpy`: NumPy in chunks, and the loop over steps there. With `--processor`: processor time.
"""

from __future__ import annotations

import sys
from functools import partial

import chunked
import numpy as np
import torch
from in_turn import machine
from transformers.models.mamba2.modeling_mamba2 import mamba2_chunk_scan

import attndsl
from attndsl.backends.pytorch import TorchProgram
from attndsl.passes import optimize
from attndsl.passes.incremental import RECOGNISED

HEAD = """
/// What decays by a step of the state, what is added to it, and what reads it follow from the input.
model Selective(heads=24, head=64, state=128, groups=2, T=2048) {
  each = heads / groups
  input u: [B, T, heads, head]
  input step: [B, T, heads]
  input k: [B, T, groups, state]
  input q: [B, T, groups, state]
  param a: [heads] = log(uniform(1, 16))
  param first: [heads] = uniform(-7, -2)
  param skip: [heads] = ones
  dt = softplus(step + first)
  fade = rearrange(exp(-exp(a) * dt), [heads] -> [groups, each])
  written = rearrange(u * dt, [heads] -> [groups, each])
"""
TAIL = """
  output z = rearrange(y, [groups, each] -> [heads]) + u * skip
}
"""
BY_STEPS = HEAD + """
  y: [B, T, groups, each, head] = scan t in T with h: [B, groups, each, head, state] = 0.0 {
    now: [B, groups, each, head, state] = written[T=t] * k[T=t]
    h = h * fade[T=t] + now
    emit dot(h, q[T=t], over=state)
  }
""" + TAIL  # fmt: skip
BY_HAND = HEAD.replace("T=2048", "T=2048, C=64") + """
  N = T / C
  logs = rearrange(rearrange(-exp(a) * dt, [heads] -> [groups, each]), [B, T, groups, each] -> [B, N, C, groups, each])
  written = rearrange(written, [B, T, groups, each, head] -> [B, N, C, groups, each, head])
  k = rearrange(k, [B, T, groups, state] -> [B, N, C, groups, state])
  q = rearrange(q, [B, T, groups, state] -> [B, N, C, groups, state])
  total = cumsum(logs, over=C)
  at: [B, N, groups, each, C] = total
  from: [B, N, groups, each, S=C] = rearrange(total, [C] -> [S=C])
  fades: [B, N, groups, each, C, S=C] = exp(where(range(C) >= range(S=C), at - from, -inf))
  sources = rearrange(k, [C] -> [S=C])
  values = rearrange(written, [C] -> [S=C])
  scores: [B, N, groups, C, S=C] = dot(q, sources, over=state)
  inside = dot(fades * scores, values, over=S)
  last = total[C=C - 1]
  added: [B, N, groups, each, head, state] = dot(written * exp(last - total), k, over=C)
  starts: [B, N, groups, each, head, state] = scan n in N with h: [B, groups, each, head, state] = 0.0 {
    before = h
    h = h * exp(last[N=n]) + added[N=n]
    emit before
  }
  y: [B, N, C, groups, each, head] = inside + dot(q, starts, over=state) * exp(total)
  y = rearrange(y, [B, N, C, groups, each, head] -> [B, T, groups, each, head])
""" + TAIL  # fmt: skip
STEPS = 2048


def published(parameters: dict[str, torch.Tensor], chunk: int, given: dict[str, torch.Tensor]) -> torch.Tensor:
    return mamba2_chunk_scan(
        given["u"], given["step"], -torch.exp(parameters["a"]), given["k"], given["q"], chunk_size=chunk,
        D=parameters["skip"], dt_bias=parameters["first"], dt_softplus=True,
    )  # fmt: skip


def inputs() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"u": (1, STEPS, 24, 64), "step": (1, STEPS, 24), "k": (1, STEPS, 2, 128), "q": (1, STEPS, 2, 128)}
    return {name: torch.randn(shape, generator=generator).requires_grad_() for name, shape in shapes.items()}


def on_torch() -> None:
    graph = attndsl.parse(BY_STEPS).graph
    ours, by_hand = TorchProgram(graph), TorchProgram(attndsl.parse(BY_HAND).graph)
    loop = TorchProgram(optimize(graph, passes=RECOGNISED)[0], passes=False)
    for other in (by_hand, loop):
        other.load(ours.parameters())
    parameters, given = dict(ours.module.named_parameters()), inputs()
    runs = {
        "in chunks by the compiler": lambda: ours.module(**given)["z"],
        "chunked by hand in the language": lambda: by_hand.module(**given)["z"],
        "transformers, chunks of 64": partial(published, parameters, 64, given),
        "transformers, chunks of 256": partial(published, parameters, 256, given),
    }
    chunked.on_torch("selective scan", runs, lambda: loop.module(**given)["z"], "transformers, chunks of 64", STEPS)


def on_numpy() -> None:
    upstream = {"z": np.ones((1, STEPS, 24, 64), np.float32)}
    chunked.on_numpy(attndsl.parse(BY_STEPS).graph, inputs(), upstream, STEPS)


if __name__ == "__main__":
    print(machine())
    on_numpy() if "--numpy" in sys.argv[1:] else on_torch()
