"""The loss of a language model's head: projection and cross entropy, in chunks of rows beside plain.

    python benchmarks/losshead.py

2,048 rows of 512, 50,257 and 128,000 words, float32, forward and backward on both backends. Plain is the same spec
where the logits are asked for as well. Peak memory is what a process of its own grows by at most in one pass; the
gradient of the matrix, which both sides have to give, is in it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from in_turn import in_turn, machine, table

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.backends.pytorch import TorchProgram
from attndsl.elaborate import load
from attndsl.graph import Graph

SPEC = """
model Head(vocab=50257, width=512) {
  input x: [B, T, width]
  input targets: int[B, T] where targets >= -100, targets < vocab
  param table: [vocab, width]
  output logits = dot(x, table, over=width)
  output loss = cross_entropy(logits, targets, over=vocab)
}
"""
ROWS, WIDTH, WORDS = (4, 512), 512, (50257, 128000)
SIDES = ("PyTorch, plain", "PyTorch, in chunks", "NumPy, plain", "NumPy, in chunks")


def graph_of(words: int) -> Graph:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "head.attn"
        path.write_text(SPEC, encoding="utf-8")
        return load(str(path), {"vocab": str(words), "width": str(WIDTH)})


def given(words: int, rows: tuple[int, int] = ROWS) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(0)
    return {"x": draw.standard_normal((*rows, WIDTH), np.float32), "targets": draw.integers(0, words, rows)}


def passes(side: str, words: int) -> Callable[[dict[str, np.ndarray]], float]:
    """What goes forward and backward, and gives the loss."""
    graph = graph_of(words)
    if "NumPy" in side:
        program = NumpyProgram(graph)
        chosen = program if "plain" in side else program.giving(["loss"])
        return lambda inputs: float(chosen.gradients(inputs, {"loss": np.ones(())})[0]["loss"])
    module = TorchProgram(graph if "plain" in side else graph.giving(["loss"])).module
    only = {"outputs": ("loss",)} if "plain" in side else {}

    def run(inputs: dict[str, np.ndarray]) -> float:
        module.zero_grad()
        x = torch.from_numpy(inputs["x"]).requires_grad_()
        loss = module(x, targets=torch.from_numpy(inputs["targets"]), **only)["loss"]
        loss.backward()
        return loss.item()

    return run


def peak(side: str, words: int) -> float:
    """By how many MiB this process grows at most (Linux)."""

    def status(name: str) -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))

    passes(side, 64)(given(64, (2, 8)))
    run, inputs = passes(side, words), given(words)
    before = status("VmRSS")
    run(inputs)
    return status("VmHWM") - before


def main() -> None:
    if len(sys.argv) > 1:
        print(f"{peak(sys.argv[1], int(sys.argv[2])):.0f}")
        return
    print(machine())
    for words in WORDS:
        inputs = given(words)
        for plain, chunked in (SIDES[:2], SIDES[2:]):
            sides = {side: partial(passes(side, words), inputs) for side in (plain, chunked)}
            one, other = (run() for run in sides.values())
            times = in_turn(sides, 5, warm=0)
            table(f"{words:,} words, forward and backward (losses differ by {abs(one - other):.0e})", times, plain)
            found = {}
            for side in sides:
                command = [sys.executable, __file__, side, str(words)]
                found[side] = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            sizes = ", ".join(f"{side} {size:,.0f} MiB" for side, size in found.items())
            print(f"  peak memory: {sizes}; {found[chunked] / found[plain]:.2f} of it", flush=True)


if __name__ == "__main__":
    main()
