"""What a scan costs on PyTorch, forward and backward, as it grows longer: by step it should stay the same.

    python benchmarks/scan.py

The scan reads one place of a sequence in each step, as a recurrent cell does. Printed are medians.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from attndsl.backends.pytorch import TorchProgram
from attndsl.elaborate import load
from attndsl.running.inputs import example_inputs

SPEC = """
model Recurrent(width=256) {
  input x: [B, T, width]
  output y = scan t in T with h: [B, width] = 0.0 {
    h = tanh(linear(h, width) as cell + x[T=t])
    emit h
  }
}
"""
BATCH, ROUNDS, LENGTHS = 8, 7, (128, 256, 512, 1024)


def seconds(program: TorchProgram, length: int) -> float:
    inputs = example_inputs(program.graph, {"B": BATCH, "T": length})
    upstream = {"y": np.ones((BATCH, length, 256), np.float32)}
    start = time.perf_counter()
    program.gradients(inputs, upstream)
    return time.perf_counter() - start


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recurrent.attn"
        path.write_text(SPEC, encoding="utf-8")
        program = TorchProgram(load(str(path)))
    seconds(program, LENGTHS[0])
    times = {length: [seconds(program, length) for _ in range(ROUNDS)] for length in LENGTHS}
    for length, values in times.items():
        median = statistics.median(values)
        print(f"{length:6} steps  {median:7.3f} s  {1e6 * median / length:7.0f} µs a step")


if __name__ == "__main__":
    main()
