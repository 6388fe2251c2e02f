"""What checking costs: `gpt3:175b` against `gpt2`, time and memory, in one process; and the whole command
against a process that imports lark and numpy.

    python benchmarks/check.py

Prints medians and ratios. Repeated bodies are checked once, so 96 layers should cost what 12 do.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
import tracemalloc

from attndsl.elaborate import load

ROUNDS = 10
SPECS = ("gpt2", "gpt3:175b")


def seconds(spec: str) -> float:
    start = time.perf_counter()
    load(spec)
    return time.perf_counter() - start


def peak(spec: str) -> int:
    tracemalloc.start()
    load(spec)
    size = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return size


def process(*arguments: str) -> float:
    """Seconds of a whole Python process, whose modules are compiled already."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - start


def command() -> float:
    return process("-m", "attndsl", "check", "gpt2")


def imports() -> float:
    """What the command is held against: two packages that it would once have loaded."""
    return process("-c", "import lark, numpy")


def main() -> None:
    for spec in SPECS:
        load(spec)
    times: dict[str, list[float]] = {spec: [] for spec in SPECS}
    for _ in range(ROUNDS):  # taken in turns, so that both see the same machine
        for spec in SPECS:
            times[spec].append(seconds(spec))
    time_of = {spec: statistics.median(values) for spec, values in times.items()}
    memory_of = {spec: statistics.median(peak(spec) for _ in range(3)) for spec in SPECS}
    for spec in SPECS:
        print(f"{spec:10} {time_of[spec] * 1e3:7.1f} ms {memory_of[spec] / 2**20:7.2f} MiB")
    small, large = SPECS
    print(f"ratio      {time_of[large] / time_of[small]:7.2f}    {memory_of[large] / memory_of[small]:7.2f}")
    heavy = [name for name in ("torch", "numpy", "networkx") if name in sys.modules]
    print(f"of torch, numpy and networkx, imported: {', '.join(heavy) or 'none'}")
    command(), imports()
    pairs = [(command(), imports()) for _ in range(ROUNDS)]
    whole, yardstick = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    print(f"attndsl check gpt2, the whole process: {whole:.3f} s; python -c 'import lark, numpy': {yardstick:.3f} s")
    print(f"ratio      {ratio:7.2f}")


if __name__ == "__main__":
    main()
