"""What the scripts about scans have in common: in chunks, against a published form in turn, and the loop over steps,
once."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch
from in_turn import Side, in_turn, table

from attndsl.backends.numpy_reference.evaluator import NumpyProgram
from attndsl.graph import Graph
from attndsl.passes import optimize
from attndsl.passes.incremental import RECOGNISED

CLOCK = time.process_time if "--processor" in sys.argv[1:] else time.perf_counter


def on_torch(what: str, runs: Mapping[str, Callable[[], torch.Tensor]], loop: Side, base: str, steps: int) -> None:
    """Print how far each side is off the loop, and how fast it is, forward and with the backward pass."""
    step_by_step = loop()
    for name, run in runs.items():
        print(f"{name}: off the loop by {(run() - step_by_step).abs().max().item():.0e}")

    def forward(run: Side) -> None:
        with torch.no_grad():
            run()

    def both(run: Side) -> None:
        run().sum().backward()  # type: ignore[attr-defined]

    for way, how in (("forward", forward), ("forward and backward", both)):
        times = in_turn({name: partial(how, run) for name, run in runs.items()}, clock=CLOCK)
        table(f"{what}, {way}", times, base, amount=steps)
    times = in_turn({"step by step": partial(both, loop)}, 1, clock=CLOCK, warm=0)
    table("once, forward and backward", times, "step by step", amount=steps)


def on_numpy(graph: Graph, inputs: Mapping[str, torch.Tensor], upstream: Mapping[str, np.ndarray], steps: int) -> None:
    """Print how fast NumPy is in chunks, and step by step."""
    given = {name: value.detach().numpy() for name, value in inputs.items()}
    sides = {"in chunks": optimize(graph)[0], "step by step": optimize(graph, passes=RECOGNISED)[0]}
    for name, side in sides.items():
        program, rounds = NumpyProgram(side, seed=0), 3 if name == "in chunks" else 1
        for way, run in {
            "forward": partial(program.run, given),
            "forward and backward": partial(program.gradients, given, upstream),
        }.items():
            table(f"NumPy, {way}", in_turn({name: run}, rounds, clock=CLOCK, warm=0), name, amount=steps)
