"""Which of torch's kernels the written files use for what torch can compute in several ways: timed on this machine.

A helper of `helpers.py` that has a choice asks `KERNELS` in the file for the kernel of a kind of work, and `measured`
answers. On CPUs the plain product of float32 matrices goes through the library that torch was built with (MKL), which
is not the fastest on every processor; oneDNN comes with torch too, and multiplies the same matrices as they lie.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor

from attndsl.records import dataclass
from attndsl.running.machine import Kernels, Machine, check_pin

PLAIN, ONEDNN = "plain", "onednn"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of work: what it is called in the file, the kernels for it, the plain one first, and what makes samples of
    it for them; the floating-point operations that a sample takes, and the bytes that it reads."""

    name: str
    kernels: Callable[[], tuple[str, ...]]
    samples: Callable[[], Kernels]
    operations: int
    bytes: int


def products() -> tuple[str, ...]:
    """The kernels of products of float32 matrices."""
    there = torch._C._has_mkldnn and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return (PLAIN, ONEDNN) if there else (PLAIN,)


def onednn(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`F.linear` by oneDNN."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return product


def _layers(rows: int, width: int, layers: int) -> Kernels:
    """Some layers of a Transformer without its attention, as a sample: kernels that win alone may lose among others."""
    up = [torch.full((width, 4 * width), 0.01) for _ in range(layers)]
    down = [torch.full((4 * width, width), 0.01) for _ in range(layers)]
    above, below, start = torch.zeros(4 * width), torch.zeros(width), torch.ones(rows, width)

    @torch.no_grad()
    def run(product: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        x = start
        for first, second in zip(up, down, strict=True):
            hidden = F.gelu(product(F.layer_norm(x, (width,)), first.t(), above))
            x = x + product(hidden, second.t(), below)

    return {PLAIN: partial(run, F.linear), ONEDNN: partial(run, onednn)}


def _products(name: str, rows: int, width: int, layers: int) -> Kind:
    weights = 8 * width * width * layers
    return Kind(name, products, partial(_layers, rows, width, layers), 2 * rows * weights, 4 * weights)


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        _products("small product", 16, 64, layers=4),
        _products("one row", 1, 512, layers=8),  # 64 MiB of weights: as in a model, none is in a cache
        _products("few rows", 8, 512, layers=8),
        _products("many rows", 256, 512, layers=1),
    )
}


@cache
def _machine(threads: int) -> Machine:
    return Machine(f"{torch.backends.cpu.get_cpu_capability()}", f"{threads} threads", f"torch {torch.__version__}")


def machine() -> Machine:
    """This machine as torch computes now."""
    return _machine(torch.get_num_threads())


def measured(kinds: Iterable[str]) -> dict[str, str]:
    """The fastest kernel of each kind. Raises E0816 where ATTNDSL_KERNELS asks for kernels that there are not."""
    check_pin(dict.fromkeys(name for kind in KINDS.values() for name in kind.kernels()))
    return {name: machine().fastest(name, KINDS[name].kernels(), KINDS[name].samples) for name in kinds}
