"""What a scan costs on PyTorch, forward and backward, as it grows longer: by step it should stay the same.

    python benchmarks/scan.py

The scan reads one place of a sequence in each step, as a recurrent cell does. The written module takes the sequence
apart once (`x.unbind(1)`); held against it is the same module with `x[:, t]` in every step, whose gradient is as long
as the sequence. Both run in turn; printed are medians.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from in_turn import in_turn

from attndsl.backends.pytorch import TorchProgram
from attndsl.elaborate import load

SPEC = """
model Recurrent(width=256) {
  input x: [B, T, width]
  output y = scan t in T with h: [B, width] = 0.0 {
    h = tanh(linear(h, width) as cell + x[T=t])
    emit h
  }
}
"""
BATCH, ROUNDS, LENGTHS = 8, 7, (128, 256, 512)


def sides() -> dict[str, torch.nn.Module]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recurrent.attn"
        path.write_text(SPEC, encoding="utf-8")
        program = TorchProgram(load(str(path)))
    apart, place = "x_parts = x_2.unbind(1)", "x_parts[t]"
    assert apart in program.source
    assert place in program.source
    namespace: dict[str, type[torch.nn.Module]] = {}
    exec(program.source.replace(apart, "pass").replace(place, "x_2[:, t]"), namespace)
    other = namespace["Recurrent"]()
    other.load_state_dict(program.module.state_dict())
    return {"once": program.module, "in every step": other}


def both_ways(module: torch.nn.Module, x: torch.Tensor) -> Callable[[], None]:
    return lambda: module(x)["y"].sum().backward()


def main() -> None:
    modules = sides()
    for length in LENGTHS:
        x = torch.randn(BATCH, length, 256, generator=torch.Generator().manual_seed(0)).requires_grad_()
        times = in_turn({name: both_ways(module, x) for name, module in modules.items()}, ROUNDS)
        shown = ", ".join(f"{name} {1e6 * times.median(name) / length:5.0f} µs a step" for name in modules)
        print(f"{length:5} steps: taken apart {shown}, ratio {times.ratio('in every step', 'once'):.2f}")


if __name__ == "__main__":
    main()
