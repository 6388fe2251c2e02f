"""The parameters of a program: tensors that all its modules have in common, in the order that its kernels read the
fastest, and the matrices among them that are kept otherwise, for use alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import torch

from attndsl.backends.pytorch.arrays import to_array, to_tensor
from attndsl.backends.pytorch.kernels import packs
from attndsl.backends.pytorch.layouts import inner_axes, lying
from attndsl.backends.pytorch.stored import Matrix, stored
from attndsl.graph import FLOAT32, Graph
from attndsl.lazy import Array, np
from attndsl.running.weights_as import matrices, require_known, rounded


class Parameters:
    """Those of `module`, by address. `read` are what its file reads as matrices (`WrittenFile.matrices`); only where
    they are `plain`, float32 and not compiled, are they kept otherwise than the module has made them. `finite` is
    whether all numbers are, `kind` what the matrices are kept as for use (None: as in training), and `stored` has those
    that are kept so."""

    def __init__(
        self, graph: Graph, module: Any, read: Mapping[str, bool], device: torch.device, *, plain: bool
    ) -> None:
        self.graph, self.module, self.read, self.device, self.plain = graph, module, read, device, plain
        self.finite = True
        self.kind: str | None = None
        self.stored: dict[str, Matrix] = {}

    def arrays(self) -> dict[str, Array]:
        """Copies by address, in the graph's order."""
        named = self._named()
        return {a: to_array(named[a]) for info in self.graph.parameters for a in info.addresses()}

    def _named(self, but: Collection[str] = ()) -> dict[str, Any]:
        """All by address, but for some; those that are kept otherwise as copies."""
        dense = {address: matrix.dense() for address, matrix in self.stored.items() if address not in but}
        return {**dict(self.module.named_parameters()), **dense}

    def fill(self, pairs: Iterable[tuple[str, Array]]) -> None:
        """Set these, each kept as all are (`store`) before the next one is looked at. Values are copied into the
        module's own memory: what a file is mapped to may lie so that torch's sums come out with other last bits."""
        named, self.finite = dict(self.module.named_parameters()), True
        summed, kept = self._kept_as(self.kind)
        for address, array in pairs:
            if address not in named:
                continue
            self.finite &= bool(np.isfinite(array).all())
            value = named.pop(address)
            if address in kept and self._keep(address, array, summed[address]):
                continue
            with torch.no_grad():
                value.copy_(to_tensor(np.asarray(array), shared=True))
            if address in summed:
                self._round(value, summed[address])

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Set all, and keep them as they were kept."""
        self.unstore()
        self.fill(arrays.items())

    def store(self, kind: str) -> None:
        """Keep the matrices as `kind`; those that cannot be kept so are rounded."""
        require_known(kind)
        self.unstore()
        self.kind = kind
        summed, kept = self._kept_as(kind)
        named = dict(self.module.named_parameters())
        for address in summed:
            value = named.pop(address)
            if address not in kept or not self._keep(address, to_array(value), summed[address]):
                self._round(value, summed[address])

    def _keep(self, address: str, array: Array, summed: tuple[int, ...]) -> bool:
        """Whether a matrix can be kept as `kind` says; then it is."""
        assert self.kind is not None
        with np.errstate(over="ignore"):
            matrix = stored(self.kind, np.asarray(array, np.float32), summed, self.device)
        if matrix is not None:
            self.stored[address] = matrix
            put(self.module, address, matrix)
        return matrix is not None

    def _round(self, value: Any, summed: tuple[int, ...]) -> None:
        """Round a matrix that stays a tensor to what `kind` holds."""
        if self.kind not in (None, FLOAT32):
            with torch.no_grad():
                value.copy_(to_tensor(rounded(to_array(value), summed, self.kind), shared=True))

    def unstore(self) -> None:
        """Make parameters of the matrices again."""
        for address, matrix in self.stored.items():
            put(self.module, address, matrix.dense())
        self.stored = {}

    def _kept_as(self, kind: str | None) -> tuple[dict[str, tuple[int, ...]], set[str]]:
        """What products sum over of each parameter that they read as a matrix; and which may be kept as matrices of
        this kind."""
        if kind is None:
            return {}, set()
        summed = matrices(self.graph)
        if not self.plain:
            return summed, set()
        if kind != FLOAT32:
            return summed, self._as_matrices(self.read)
        # One in which rows are looked up as well would be there twice.
        return summed, self._as_matrices(self.read, tables=False) if packs(self.device) else set()

    def _as_matrices(self, read: Mapping[str, bool], *, tables: bool = True) -> set[str]:
        """The parameters of which a file takes a `Matrix` as well; one in which rows are looked up lies by rows."""
        summed = matrices(self.graph)
        return {
            address
            for info in self.graph.parameters
            if info.address in read
            for address in info.addresses()
            if not read[info.address] or (tables and summed.get(address) == (1,))
        }

    def share(self, module: Any, read: Mapping[str, bool]) -> None:
        """Let the module of another file have these parameters; copies of those that are kept otherwise, where that
        file does not read them as matrices."""
        taken = self._as_matrices(read) & self.stored.keys()
        for address, value in self._named(but=taken).items():
            put(module, address, value)
        for address in taken:
            put(module, address, self.stored[address])

    def lay(self, rows: int) -> None:
        """Lay the matrices out as they are read the fastest for so many rows, in all modules that have them."""
        if self.device.type != "cpu" or not self.plain:
            return
        named = dict(self.module.named_parameters())
        for address, inner in inner_axes(self.graph, self.read, rows).items():
            if address in named:
                named[address].data = lying(named[address].data, inner)


def put(module: Any, address: str, value: Any) -> None:
    """Let a parameter of a module be this: a tensor, or a matrix that is kept otherwise."""
    path, _, name = address.rpartition(".")
    holder = module
    for step in path.split(".") if path else ():  # not by `get_submodule`: a layer may be called `forward`
        holder = holder._modules[step]
    holder.__dict__.pop(name, None)
    if isinstance(value, Matrix):
        holder._parameters.pop(name, None)
        holder.__dict__[name] = value
    else:
        holder._parameters[name] = value if isinstance(value, torch.nn.Parameter) else torch.nn.Parameter(value)
