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

from attndsl.records import Frozen
from attndsl.running.machine import PIN, Kernels, Machine, check_pin, pinned

PLAIN, ONEDNN = "plain", "onednn"


class KernelChoice(Frozen):
    """A kind of work: what it is called in the file, and in words; the kernels for it, the plain one first, and what
    makes samples of it for them. `amount` is what a sample does of what bounds it (`bound`, a key of `PEAKS`)."""

    name: str
    said: str
    kernels: Callable[[], tuple[str, ...]]
    samples: Callable[[], Kernels]
    bound: str
    amount: float


def products() -> tuple[str, ...]:
    """The kernels of products of float32 matrices."""
    names = ("_linear_pointwise", "_reorder_linear_weight")
    there = torch._C._has_mkldnn and all(hasattr(torch.ops.mkldnn, name) for name in names)
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


def _products(name: str, said: str, rows: int, width: int, layers: int, *, bound: str) -> KernelChoice:
    weights = 8 * width * width * layers
    amount = {ARITHMETIC: 2 * rows * weights, READING: 4 * weights}[bound]
    return KernelChoice(name, said, products, partial(_layers, rows, width, layers), bound, amount)


ARITHMETIC, READING = "arithmetic", "reading"
KINDS: dict[str, KernelChoice] = {
    kind.name: kind
    for kind in (
        _products("small product", "fewer than 524,288 multiplications", 16, 64, layers=4, bound=ARITHMETIC),
        # 72 MiB of weights: as in a model, none is in a cache when it is read again. Were the width a power of two,
        # rows would fall on the same places of a cache, and other kernels be faster than in most models.
        _products("one row", "as in reading on token by token", 1, 768, layers=4, bound=READING),
        _products("few rows", "up to 16, as for several beams or texts", 8, 768, layers=4, bound=READING),
        _products("many rows", "as in training, or for a whole text", 256, 768, layers=1, bound=ARITHMETIC),
    )
}


def _square() -> Kernels:
    x = torch.full((1024, 1024), 0.01)
    sides = {PLAIN: lambda: F.linear(x, x), ONEDNN: lambda: onednn(x, x, x[0])}
    return {name: sides[name] for name in products()}


def _sum() -> Kernels:
    return {PLAIN: torch.full((1 << 25,), 0.01).sum}


class Peak(Frozen):
    """What bounds the speed of a product: the unit of it, and what shows how much of it this machine has."""

    unit: str
    said: str
    samples: Callable[[], Kernels]
    amount: float


PEAKS = {
    ARITHMETIC: Peak("GFLOP/s", "a product of 1024 x 1024 numbers with as many", _square, 2 * 1024**3),
    READING: Peak("GB/s", "the sum of 128 MiB", _sum, 4 * (1 << 25)),
}


@cache
def _machine(threads: int) -> Machine:
    at = f"{threads} thread{'s' if threads > 1 else ''}"
    return Machine(f"{torch.backends.cpu.get_cpu_capability()}", at, f"torch {torch.__version__}")


def machine() -> Machine:
    """This machine as torch computes now."""
    return _machine(torch.get_num_threads())


def measured(kinds: Iterable[str]) -> dict[str, str]:
    """The fastest kernel of each kind. Raises E0816 where ATTNDSL_KERNELS asks for kernels that there are not."""
    check_pin(dict.fromkeys(name for kind in KINDS.values() for name in kind.kernels()))
    return {name: machine().fastest(name, KINDS[name].kernels(), KINDS[name].samples) for name in kinds}


def packs(device: torch.device) -> bool:
    """Whether oneDNN is the fastest there for any number of rows, so that a matrix may lie as it alone can read it."""
    rows = [kind for kind in KINDS if kind != "small product"]
    return device.type == "cpu" and set(measured(rows).values()) == {ONEDNN}


def explained(source: str) -> list[str]:
    """What the kernels are that a written file uses on this machine, and how far from its limits they are, in lines."""
    kinds = [kind for kind in KINDS.values() if f'"{kind.name}": ' in source]
    if not kinds:
        return []
    chosen = measured(kind.name for kind in kinds)
    if pinned():
        title = f"products of float32 matrices on a CPU, by the kernels that {PIN} asks for"
        return [title, *(f"  {kind.name} ({kind.said}): {chosen[kind.name]}" for kind in kinds)]
    lines = [f"products of float32 matrices on a CPU, as timed here ({machine().name})"]
    peaks = {bound: _rate(f"peak of {bound}", peak.amount, peak.samples) for bound, peak in PEAKS.items()}
    for bound, peak in PEAKS.items():
        lines.append(f"  {bound} at the most: {peaks[bound]:,.0f} {peak.unit} ({peak.said})")
    lines += [
        f"  {kind.name} ({kind.said}): {_explained(kind, chosen[kind.name], peaks[kind.bound])}" for kind in kinds
    ]
    return [*lines, f"  {PLAIN} is what torch calls by itself; {PIN}={PLAIN} asks for it"]


def _rate(name: str, amount: float, samples: Callable[[], Kernels]) -> float:
    """Thousand millions a second, at best."""
    return amount / min(machine().seconds(name, list(samples()), samples).values()) / 1e9


def peak(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s that products of large matrices reach there, measured once on a machine."""
    if device.type == "cpu" and dtype == torch.float32:
        return _rate(f"peak of {ARITHMETIC}", PEAKS[ARITHMETIC].amount, _square) * 1e9
    cuda = device.type == "cuda"
    size, where = (8192, torch.cuda.get_device_name(device)) if cuda else (1024, "the CPU")

    def samples() -> Kernels:
        x = torch.full((size, size), 0.01, dtype=dtype, device=device)

        def product() -> None:
            torch.mm(x, x)
            if cuda:
                torch.cuda.synchronize(device)

        return {PLAIN: product}

    return _rate(f"peak of {ARITHMETIC} in {dtype} on {where}", 2.0 * size**3, samples) * 1e9


def _explained(kind: KernelChoice, chosen: str, peak: float) -> str:
    if len(kind.kernels()) < 2:
        return f"{chosen}, as there is no other"
    seconds = machine().seconds(kind.name, kind.kernels(), kind.samples)
    rate = kind.amount / seconds[chosen] / 1e9
    others = (f"{seconds[name] / seconds[chosen]:.2f} times as fast as {name}" for name in seconds if name != chosen)
    return f"{chosen}, {' and '.join(others)}; {rate:,.0f} {PEAKS[kind.bound].unit}, {rate / peak:.0%} of that"
