"""What a routed layer costs beside the layers that it is routed to: 8 experts of which 2 are chosen, beside 2 experts
that every token goes through, on both backends, forward alone and with all gradients; and what `inspect` counts.

    python benchmarks/experts.py

All sides run in turn in one process, on the same inputs; printed are medians and their ratios. That the routed layer
gives what all experts, computed and weighed, would give is a test (`tests/std/test_experts.py`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from in_turn import in_turn

import attndsl
from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.backends.pytorch import TorchProgram
from attndsl.inspection import inspect
from attndsl.passes import optimize

HEAD = "model M(width=512, hidden=1024) {\n  input x: [B, T, width]\n"
EXPERT = "gated_mlp(hidden)"
SIDES = {
    "2 experts": f"  y = (x |> {EXPERT} as one) + (x |> {EXPERT} as two)\n",
    "2 of 8": f"  y = x |> experts(8, 2, {EXPERT}, init=normal(1)) as moe\n",
    "2 of 8, capacity 1": f"  y = x |> experts(8, 2, {EXPERT}, capacity=1, init=normal(1)) as moe\n",
    "2 of 64": f"  y = x |> experts(64, 2, {EXPERT}, init=normal(1)) as moe\n",
}
SIZES = {"B": 8, "T": 256}
ROUNDS = 7
Run = Callable[[], object]


def torch_sides(program: TorchProgram, x: np.ndarray) -> tuple[Run, Run]:
    given = torch.from_numpy(x)
    learned = given.clone().requires_grad_()

    def forward() -> None:
        with torch.no_grad():
            program.module(given)

    return forward, lambda: program.module(learned)["y"].sum().backward()


def main() -> None:
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    graphs = {name: attndsl.parse(f"{HEAD}{line}  output y = y\n}}").graph for name, line in SIDES.items()}
    x = np.random.default_rng(0).standard_normal((SIZES["B"], SIZES["T"], 512)).astype(np.float32)
    flops = {name: inspect(graph, SIZES).totals.flops for name, graph in graphs.items()}
    runs: dict[str, dict[str, Run]] = {
        "NumPy forward": {},
        "NumPy gradients": {},
        "PyTorch forward": {},
        "PyTorch gradients": {},
    }
    ones = {"y": np.ones_like(x)}
    for name, graph in graphs.items():
        numpy, torched = NumpyProgram(optimize(graph)[0]), TorchProgram(graph)
        runs["NumPy forward"][name] = lambda numpy=numpy: numpy.run({"x": x})
        runs["NumPy gradients"][name] = lambda numpy=numpy: numpy.gradients({"x": x}, ones)
        runs["PyTorch forward"][name], runs["PyTorch gradients"][name] = torch_sides(torched, x)
    print("FLOPs, as `inspect` counts them: " + _beside({name: float(each) for name, each in flops.items()}))
    for what, sides in runs.items():
        times = in_turn(sides, ROUNDS, clock=time.process_time)
        medians = {name: times.median(name) for name in sides}
        print(f"{what}, {1e3 * medians['2 experts']:.0f} ms for 2 experts: {_beside(medians)}")


def _beside(values: dict[str, float]) -> str:
    first, *others = values
    return ", ".join(f"{name} {values[name] / values[first]:.2f}" for name in others)


if __name__ == "__main__":
    main()
