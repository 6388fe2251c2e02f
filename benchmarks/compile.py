"""What `torch.compile` costs before the first step is done, at 12 and at 48 layers, and what it gains by step.

    python benchmarks/compile.py

Layers are compiled once for all (`attndsl.backends.pytorch.compiling`), with nothing kept from one round to the next,
so that the first step should take about as long however many layers there are.
"""

from __future__ import annotations

import os

os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"

from collections.abc import Callable

import torch
from in_turn import in_turn, machine, table

import attndsl

SMALL = {"width": 128, "heads": 4, "vocab": 512, "context": 128, "p": 0.0}
GPT = {"width": 384, "heads": 6, "vocab": 8192, "context": 256, "depth": 6, "p": 0.0}


def module_of(sizes: dict[str, float], *, compile: bool) -> torch.nn.Module:
    return attndsl.load("gpt2", **sizes).torch(compile=compile).train()


def step(module: torch.nn.Module, rows: int, length: int, vocab: int) -> None:
    text = torch.randint(0, vocab, (rows, length + 1), generator=torch.Generator().manual_seed(0))
    loss = module(text[:, :-1].contiguous(), text[:, 1:].contiguous())["loss"]
    loss.backward()
    module.zero_grad()


def first_step(depth: int) -> Callable[[], None]:
    def run() -> None:
        torch._dynamo.reset()
        step(module_of({**SMALL, "depth": depth}, compile=True), 4, 64, 512)

    return run


def main() -> None:
    print(machine())
    table("the first step", in_turn({"12 layers": first_step(12), "48 layers": first_step(48)}, 5), "12 layers")
    torch._dynamo.reset()
    modules = {"eager": module_of(GPT, compile=False), "compiled": module_of(GPT, compile=True)}
    sides = {name: lambda module=module: step(module, 12, 256, 8192) for name, module in modules.items()}
    table("6 x 384, forward and backward of 12 x 256", in_turn(sides, 5), "eager", amount=12 * 256)


if __name__ == "__main__":
    main()
