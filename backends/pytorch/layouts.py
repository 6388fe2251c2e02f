"""How matrices lie in memory that few rows are multiplied with at a time: as the kernel reads them the fastest.

To read a text on, token by token, is to read all matrices once for each token. oneDNN takes a matrix as it lies, and
for few rows it reads it faster where all that an input is multiplied with lies together. But where that is a power of
two of numbers it first copies it, piece by piece, and is up to twice as fast where all that makes an output lies
together. Names, shapes and files of parameters know nothing of it.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

import torch
from torch import Tensor

from attndsl.backends.pytorch.kernels import ONEDNN, machine, measured, onednn
from attndsl.graph import Graph
from attndsl.records import Frozen
from attndsl.running.machine import Kernels
from attndsl.running.weights_as import matrices

BY_INPUT, BY_OUTPUT = "by input", "by output"
FEW_ROWS = 4  # for more of them, the order matters less, and for wide matrices the other way


class MatrixKind(Frozen):
    """Matrices that are read alike. `orders` are the ways in which they may lie, what is expected to be the fastest
    first; a sample has so many `inputs` and `outputs`."""

    name: str
    orders: tuple[str, str]
    inputs: int
    outputs: int

    def fastest(self) -> str:
        """The order that is read the fastest on this machine."""
        return machine().fastest(f"one row, {self.name}", self.orders, self.samples)

    def samples(self) -> Kernels:
        count = 1 + (1 << 24) // (self.inputs * self.outputs)  # 64 MiB: as in a model, none is in a cache
        by_input = [torch.full((self.inputs, self.outputs), 0.01) for _ in range(count)]
        by_output = [lying(matrix, 0) for matrix in by_input]
        row, bias = torch.ones(1, self.inputs), torch.zeros(self.outputs)

        @torch.no_grad()
        def run(some: list[Tensor]) -> None:
            for matrix in some:
                onednn(row, matrix.t(), bias)

        sides = {BY_INPUT: partial(run, by_input), BY_OUTPUT: partial(run, by_output)}
        return {order: sides[order] for order in self.orders}


POWERS = MatrixKind("a power of two of outputs", (BY_OUTPUT, BY_INPUT), 1024, 1024)
OTHERS = MatrixKind("other outputs", (BY_INPUT, BY_OUTPUT), 768, 768)


def kind_of(outputs: int) -> MatrixKind:
    """The kind of a matrix with so many outputs."""
    return POWERS if outputs & (outputs - 1) == 0 else OTHERS


def lying(matrix: Tensor, inner: int) -> Tensor:
    """A matrix of which the numbers along the axis `inner` lie together: itself, or a copy that has its shape."""
    return matrix.contiguous() if inner == 1 else matrix.t().contiguous().t()


def inner_axes(graph: Graph, read: Collection[str], rows: int) -> dict[str, int]:
    """Along which axis the numbers of a matrix are to lie together for products with so many `rows`, by address; `read`
    are the parameters that are read as matrices alone. Empty where the kernel for one row is another one."""
    if measured(["one row"])["one row"] != ONEDNN:
        return {}
    found = {}
    summed = matrices(graph)
    for info in graph.parameters:
        for address in info.addresses() if info.address in read and info.type.rank == 2 else ():
            if len(axes := summed.get(address, ())) == 1:
                kind = kind_of(info.type.shape(graph.sizes)[1 - axes[0]])
                matters = kind is POWERS or rows <= FEW_ROWS
                fastest = 1 - axes[0] if kind.fastest() == BY_INPUT else axes[0]
                found[address] = fastest if matters else 1
    return found
