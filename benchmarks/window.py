"""A window of 512 over long sequences, beside SDPA with the same mask, dense: time at 8,192 places, memory by length.

    python benchmarks/window.py

Eight heads of 64, one sequence, float32. The written module computes the blocks that the window meets; the other side
is `F.scaled_dot_product_attention` with a boolean mask of queries times keys, which is made once. Peak memory is
that of a run forward and backward besides operands and gradients, the mask included.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from in_turn import in_turn, machine, table

from attndsl.backends.pytorch import TorchProgram
from attndsl.elaborate import load

SPEC = """
model Window(heads=8, head=64, reach=512) {
  input q: [B, heads, T, head]
  input k: [B, heads, S, head]
  input v: [B, heads, S, head]
  output y = attend(q, k, v, mask=window(reach))
}
"""
HEADS, HEAD, REACH = 8, 64, 512
LENGTHS = (2048, 4096, 8192, 16384)

Attention = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]


def in_blocks(length: int) -> Attention:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "window.attn"
        path.write_text(SPEC, encoding="utf-8")
        program = TorchProgram(load(str(path)))
    assert "attend_in_blocks(" in program.source
    return lambda q, k, v: program.module(q, k, v)["y"]


def operands(length: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(1, HEADS, length, HEAD, generator=generator).requires_grad_() for _ in range(3)]


def dense(length: int) -> Attention:
    places = torch.arange(length)
    distance = places[:, None] - places
    mask = (distance >= 0) & (distance < REACH)
    return lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def both_ways(attention: Attention, given: list[torch.Tensor]) -> Callable[[], None]:
    return lambda: attention(*given).sum().backward()


def compare(length: int) -> None:
    given = operands(length)
    sides = {name: make(length) for name, make in SIDES.items()}
    first = next(iter(sides))
    with torch.no_grad():
        one, other = (attention(*given) for attention in sides.values())
        print(f"largest difference {(one - other).abs().max():.1e}")
        times = in_turn({name: lambda run=run: run(*given) for name, run in sides.items()}, 5)
    table(f"forward, {length:,} positions", times, first, amount=length)
    times = in_turn({name: both_ways(run, given) for name, run in sides.items()}, 5)
    table(f"forward and backward, {length:,} positions", times, first, amount=length)


def peak(side: str, length: int) -> float:
    """By how many MiB this process grows at most, forward and backward, besides operands and gradients (Linux)."""

    def status(name: str) -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))

    warm, given = operands(64), operands(length)
    both_ways(SIDES[side](64), warm)()
    for x in given:
        x.grad = torch.zeros_like(x).fill_(1)
    before = status("VmRSS")
    both_ways(SIDES[side](length), given)()
    return status("VmHWM") - before


SIDES: dict[str, Callable[[int], Attention]] = {"dense mask in SDPA": dense, "in blocks": in_blocks}


def main() -> None:
    if len(sys.argv) > 1:
        print(f"{peak(sys.argv[1], int(sys.argv[2])):.0f}")
        return
    print(machine())
    compare(8192)
    print("peak memory, forward and backward")
    for length in LENGTHS:
        found = {}
        for side in SIDES:  # each in a process of its own
            command = [sys.executable, __file__, side, str(length)]
            found[side] = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        print(f"  {length:6,} positions: {', '.join(f'{side} {size} MiB' for side, size in found.items())}", flush=True)


if __name__ == "__main__":
    main()
