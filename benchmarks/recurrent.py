"""What recurrent layers cost on PyTorch, held against `torch.nn` by hand: forward, and forward and backward.

    python benchmarks/recurrent.py

Both sides run in turn, and printed are medians of the ratio of a pair. Layers that torch has a kernel for should cost
what `torch.nn.RNN`, `LSTM` and `GRU` do; one that it has none for (a normalised LSTM) is a loop over steps, whose cost
by step should not grow with the number of steps.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

import attndsl

SPEC = """
model Recurrent(width=256) {{
  input x: [B, T, width]
  output y = recurrent({cell})(x) as rnn
}}
"""
CELLS = {"RNN": "elman_cell(width)", "LSTM": "lstm_cell(width)", "GRU": "gru_cell(width)"}
NORMED = "lstm_cell(width, norm=layer_norm)"
BATCH, ROUNDS, LENGTHS = 16, 15, (32, 128, 512, 1024)


def ours(cell: str) -> Callable[[torch.Tensor], torch.Tensor]:
    module = attndsl.parse(SPEC.format(cell=cell)).torch()
    return lambda x: module(x)["y"]


def seconds(layer: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, *, backward: bool) -> float:
    start = time.process_time()
    with torch.set_grad_enabled(backward):
        y = layer(x)
    if backward:
        y.sum().backward()
    return time.process_time() - start


def ratio(a: Callable[..., torch.Tensor], b: Callable[..., torch.Tensor], x: torch.Tensor, *, backward: bool) -> float:
    pairs = []
    for _ in range(ROUNDS + 2):
        one, other = seconds(a, x, backward=backward), seconds(b, x, backward=backward)
        pairs.append(one / other)
    return statistics.median(pairs[2:])


def main() -> None:
    for name, cell in CELLS.items():
        layer, theirs = ours(cell), getattr(torch.nn, name)(256, 256, batch_first=True)
        for length in LENGTHS:
            x = torch.randn(BATCH, length, 256).requires_grad_()
            forward = ratio(layer, lambda x, theirs=theirs: theirs(x)[0], x, backward=False)
            both = ratio(layer, lambda x, theirs=theirs: theirs(x)[0], x, backward=True)
            print(f"{name:5} {length:4} steps: forward {forward:.2f}x torch.nn, with backward {both:.2f}x")
    normed, fused = ours(NORMED), ours(CELLS["LSTM"])
    for length in LENGTHS:
        x = torch.randn(BATCH, length, 256).requires_grad_()
        step = statistics.median(seconds(normed, x, backward=True) for _ in range(5)) / length
        times = ratio(normed, fused, x, backward=True)
        print(f"normalised LSTM, {length:4} steps: {1e6 * step:.0f} µs a step with backward, {times:.1f}x an LSTM")


if __name__ == "__main__":
    main()
