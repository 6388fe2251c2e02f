"""How all scripts here measure: every side in turn, in one process, round after round, so that what the machine does
besides meets all sides alike. What counts is a ratio."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROUNDS = 7

Side = Callable[[], object]


@dataclass(frozen=True)
class Times:
    """The seconds of each side, round by round."""

    of: Mapping[str, list[float]]

    def median(self, side: str) -> float:
        return statistics.median(self.of[side])

    def ratio(self, side: str, base: str) -> float:
        """How many times as long as `base` a side took: the median of the rounds' ratios."""
        return statistics.median(a / b for a, b in zip(self.of[side], self.of[base], strict=True))


def in_turn(
    sides: Mapping[str, Side], rounds: int = ROUNDS, *, clock: Callable[[], float] = time.perf_counter, warm: int = 1
) -> Times:
    """`warm` rounds that do not count, and `rounds` that do. With `clock=time.process_time`, processor time."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for at in range(warm + rounds):
        for name, run in sides.items():
            start = clock()
            run()
            if at >= warm:
                times[name].append(clock() - start)
    return Times(times)


def table(title: str, times: Times, base: str, *, amount: float = 0, unit: str = "tokens") -> None:
    """Print a line for each side: its median, `amount` by second, and how many times as fast as `base` it is."""
    print(title)
    for name in times.of:
        speed = f"  {amount / times.median(name):10,.0f} {unit}/s" if amount else ""
        print(f"  {name:34} {1e3 * times.median(name):9.2f} ms{speed}  {times.ratio(base, name):6.2f}x", flush=True)


def machine() -> str:
    """The machine and the versions, in a line."""
    import numpy
    import torch

    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return (
        f"{name}, {os.cpu_count()} cores, {torch.get_num_threads()} threads; Python {platform.python_version()}, "
        f"NumPy {numpy.__version__}, PyTorch {torch.__version__}"
    )
