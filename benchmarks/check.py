"""What checking costs: `gpt3:175b` against `gpt2`, time and memory, in one process; checking and all passes at 1,200
layers against 12; and the whole command against a process that imports lark and numpy.

    python benchmarks/check.py

Prints medians and ratios. Repeated bodies are checked once, so 96 layers should cost what 12 do.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable

from in_turn import in_turn

from attndsl.elaborate import load

ROUNDS = 10
SPECS = ("gpt2", "gpt3:175b")
LAYERS = ("12", "1200")


def checking(spec: str) -> Callable[[], object]:
    return lambda: load(spec)


def all_passes(depth: int) -> Callable[[], object]:
    """From the text of GPT-2 to the graph that a backend runs, and to the one that reads on token by token."""
    from attndsl.passes import optimize
    from attndsl.passes.incremental import incremental

    def run() -> None:
        graph = load("gpt2", {"depth": depth})
        optimize(graph)
        optimize(incremental(graph))

    return run


def peak(spec: str) -> int:
    tracemalloc.start()
    load(spec)
    size = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return size


def process(*arguments: str) -> None:
    """A whole Python process, whose modules are compiled already."""
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)


def main() -> None:
    small, large = SPECS
    times = in_turn({spec: checking(spec) for spec in SPECS}, ROUNDS)
    memory_of = {spec: statistics.median(peak(spec) for _ in range(3)) for spec in SPECS}
    for spec in SPECS:
        print(f"{spec:10} {times.median(spec) * 1e3:7.1f} ms {memory_of[spec] / 2**20:7.2f} MiB")
    print(f"ratio      {times.ratio(large, small):7.2f}    {memory_of[large] / memory_of[small]:7.2f}")
    heavy = [name for name in ("torch", "numpy", "networkx") if name in sys.modules]
    print(f"of torch, numpy and networkx, imported: {', '.join(heavy) or 'none'}")
    sides = {
        "check": lambda: process("-m", "attndsl", "check", "gpt2"),
        "imports": lambda: process("-c", "import lark, numpy"),
    }
    times = in_turn(sides, ROUNDS)
    whole, yardstick = (times.median(side) for side in sides)
    print(f"attndsl check gpt2, the whole process: {whole:.3f} s; python -c 'import lark, numpy': {yardstick:.3f} s")
    print(f"ratio      {times.ratio('check', 'imports'):7.2f}")
    times = in_turn({depth: all_passes(int(depth)) for depth in LAYERS}, ROUNDS, clock=time.process_time)
    few, many = LAYERS
    shown = ", ".join(f"{depth} layers {1e3 * times.median(depth):.1f} ms" for depth in LAYERS)
    print(f"check and all passes: {shown}")
    print(f"ratio      {times.ratio(many, few):7.2f}")


if __name__ == "__main__":
    main()
