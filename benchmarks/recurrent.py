"""What recurrent layers cost on PyTorch, held against `torch.nn` by hand: forward, and forward and backward.

    python benchmarks/recurrent.py [--numpy]

Both sides run in turn, and printed are medians of the ratio of a pair. Layers that torch has a kernel for should cost
what `torch.nn.RNN`, `LSTM` and `GRU` do; one that it has none for (a normalised LSTM) is a loop over steps, whose cost
by step should not grow with the number of steps. Then a language model of two LSTMs of 650 (Zaremba et al., 2014) in
training, against one written by hand with `torch.nn.LSTM`: loss, gradients and an update by SGD, 20 rows of 35 words.
With `--numpy`: layers on NumPy as they are trained, with the products of the input before the loop, against one product
in each step.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from in_turn import Times, in_turn, table
from torch import nn

import attndsl
from attndsl.backends.numpy_reference.evaluator import NumpyProgram

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


def together(layers: dict[str, Callable[[torch.Tensor], torch.Tensor]], x: torch.Tensor, *, backward: bool) -> Times:
    def side(layer: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[], None]:
        def run() -> None:
            with torch.set_grad_enabled(backward):
                y = layer(x)
            if backward:
                y.sum().backward()

        return run

    sides = {name: side(layer) for name, layer in layers.items()}
    return in_turn(sides, ROUNDS, clock=time.process_time, warm=2)


class ByHand(nn.Module):
    """The language model of Zaremba et al. (2014), as one writes it with torch."""

    def __init__(self, vocab: int = 10000, width: int = 650, p: float = 0.5) -> None:
        super().__init__()
        self.word, self.drop = nn.Embedding(vocab, width), nn.Dropout(p)
        self.rnn = nn.LSTM(width, width, 2, batch_first=True, dropout=p)
        self.head = nn.Linear(width, vocab)

    def forward(self, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        x, _ = self.rnn(self.drop(self.word(tokens)))
        return nn.functional.cross_entropy(self.head(self.drop(x)).flatten(0, 1), targets.flatten())


def language_model() -> None:
    model, by_hand = attndsl.load("rnn_lm:medium", kept=False).torch().train(), ByHand()
    tokens, targets = torch.randint(0, 10000, (2, 20, 35))

    def side(module: nn.Module, loss: Callable[[], torch.Tensor]) -> Callable[[], None]:
        optimizer = torch.optim.SGD(module.parameters(), lr=0.1)

        def step() -> None:
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()

        return step

    sides = {
        "attndsl": side(model, lambda: model(tokens, targets)["loss"]),
        "torch.nn.LSTM by hand": side(by_hand, lambda: by_hand(tokens, targets)),
    }
    table("LSTM language model 2×650, a training step", in_turn(sides), "torch.nn.LSTM by hand", amount=tokens.numel())


def on_numpy() -> None:
    for name, cell in (CELLS | {"normalised LSTM": NORMED}).items():
        by_steps = NumpyProgram(attndsl.parse(SPEC.format(cell=cell)).graph)
        sides = {"before the loop": by_steps.giving(["y"]), "in each step": by_steps}
        for batch in (1, BATCH):
            x = {"x": np.random.default_rng(0).standard_normal((batch, 128, 256)).astype(np.float32)}
            upstream = {"y": np.ones_like(x["x"])}
            forward = in_turn(
                {side: partial(program.run, x) for side, program in sides.items()}, 5, clock=time.process_time
            )
            both = in_turn(
                {side: partial(program.gradients, x, upstream) for side, program in sides.items()},
                5,
                clock=time.process_time,
            )
            ratios = [times.ratio("in each step", "before the loop") for times in (forward, both)]
            print(f"{name:15} {batch:2} rows, 128 steps: forward {ratios[0]:.2f}x, with backward {ratios[1]:.2f}x")


def main() -> None:
    language_model()
    for name, cell in CELLS.items():
        theirs = getattr(torch.nn, name)(256, 256, batch_first=True)
        layers = {"ours": ours(cell), "torch": lambda x, theirs=theirs: theirs(x)[0]}
        for length in LENGTHS:
            x = torch.randn(BATCH, length, 256).requires_grad_()
            forward, both = (together(layers, x, backward=b).ratio("ours", "torch") for b in (False, True))
            print(f"{name:5} {length:4} steps: forward {forward:.2f}x torch.nn, with backward {both:.2f}x")
    layers = {"normalised": ours(NORMED), "fused": ours(CELLS["LSTM"])}
    for length in LENGTHS:
        times = together(layers, torch.randn(BATCH, length, 256).requires_grad_(), backward=True)
        step = 1e6 * times.median("normalised") / length
        ratio = times.ratio("normalised", "fused")
        print(f"normalised LSTM, {length:4} steps: {step:.0f} µs a step with backward, {ratio:.1f}x an LSTM")


if __name__ == "__main__":
    on_numpy() if "--numpy" in sys.argv[1:] else main()
