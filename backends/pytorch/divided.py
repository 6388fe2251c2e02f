"""What of a training one process has: all of it, or its part on a mesh of devices."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any

import numpy as np
import torch

from attndsl.backends.pytorch.arrays import to_array
from attndsl.backends.pytorch.processes import TorchProcesses, wait_patiently
from attndsl.backends.pytorch.timed import TIMED
from attndsl.diagnostics import AttnError, warn
from attndsl.graph import Graph, Type
from attndsl.layouts.core import Layout
from attndsl.layouts.laid_out import LaidOut, lay_out
from attndsl.layouts.placements import Placement, indices
from attndsl.records import replace
from attndsl.running.states import initial_stacks

Array = np.ndarray[Any, Any]
Batch = Mapping[str, Array]


class WholeTraining:
    """A process that is alone and has everything. `graph` is what it runs, `mesh` where it finds the others."""

    mesh: Any = None

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def fits(self, batch: Batch) -> AttnError | None:
        """What a batch of these shapes is refused for."""
        return None

    def inputs(self, batch: Batch) -> Batch:
        """Its part of a batch. Raises E1004 where that cannot be divided."""
        return batch

    def outputs(self, found: Mapping[str, Array]) -> dict[str, Array]:
        """The whole of outputs of which it has found its part. All processes must ask for them."""
        return dict(found)

    @property
    def for_any_batch(self) -> WholeTraining:
        """The one that takes a batch that this one does not."""
        return self

    def initial_states(self, batch: Batch) -> dict[str, Array]:
        """Its part of the states that the rows of a batch begin with, as stacks by name."""
        return initial_stacks(self.graph, batch, "float64")

    def parameters(self, arrays: Iterable[tuple[str, Array]]) -> dict[str, Array]:
        """Its part of the parameters by address, and of the states that all rows share."""
        return dict(arrays)

    def names(self, addresses: Iterable[str]) -> dict[str, str]:
        """What its program calls those parameters that it has a part of, by address."""
        return {address: address for address in addresses}

    def alike(self, address: str) -> tuple[str, ...]:
        """The parameters that processes have in the place of this one, where layers are in stages, it among them."""
        return (address,)

    def own(self, array: Array, address: str, axes: tuple[int, ...] | None = None) -> Array:
        """Its part of a parameter or a state, or of what is kept beside a parameter along some of its `axes`."""
        return array

    def here(self, address: str) -> str:
        """The one of those that this process has."""
        return address

    def whole(self, array: Any, address: str, axes: tuple[int, ...] | None = None) -> Array:
        """The whole of what it has a part of; `array` is that, or what it has `here` in its place. All processes must
        ask for it."""
        return to_array(array) if isinstance(array, torch.Tensor) else array

    def placed(self, tensor: torch.Tensor, address: str, axes: tuple[int, ...] | None = None) -> torch.Tensor:
        """Its part as one that knows of the others: a `DTensor`, with the same memory."""
        return tensor

    def sending(self) -> AbstractContextManager[None]:
        """In here what is `placed` is computed with: processes may send one another what they need of it."""
        return nullcontext()

    def norm(self, gradients: Mapping[str, torch.Tensor]) -> float:
        """The norm of all gradients together."""
        return float(torch.nn.utils.get_total_norm(list(gradients.values())))

    def any(self, here: bool) -> bool:
        """Whether it is so in any process."""
        return here


class DividedTraining(WholeTraining):
    """The part of a model that one of several processes has by a layout; they meet on a mesh of devices."""

    def __init__(self, laid_out: LaidOut, processes: TorchProcesses, mesh: Any) -> None:
        super().__init__(laid_out.graph)
        self.laid_out, self.processes, self.mesh, self.rank = laid_out, processes, mesh, processes.rank
        self.coordinates = laid_out.layout.mesh.coordinates(self.rank)

    @classmethod
    def begin(cls, graph: Graph, layout: Layout, processes: TorchProcesses, device: str) -> DividedTraining:
        """All processes must. Raises E1004 and others where the model cannot be divided as the layout says."""
        from torch.distributed.device_mesh import init_device_mesh

        laid_out = lay_out(graph, layout)
        warn(*laid_out.warnings)
        sizes = tuple(size for _, size in layout.mesh.dimensions)
        if torch.device(device).type == "cuda":
            torch.cuda.set_device(device)  # else the mesh chooses one, which may be another's
        mesh = init_device_mesh(torch.device(device).type, sizes, mesh_dim_names=layout.mesh.names)
        wait_patiently()
        return cls(laid_out, processes, mesh)

    @cached_property
    def for_any_batch(self) -> DividedTraining:
        """By the same layout, but for the axes that are as long as a batch says: these are whole on each device. Where
        that is refused, since what else it divides was never divided beside them, parameters alone are divided, over
        the dimension with the most devices."""
        whole, layout = self.laid_out.whole, self.laid_out.layout
        try:
            opened = lay_out(whole, layout.opened())
        except AttnError:
            most = max(layout.mesh.names, key=layout.mesh.size)
            opened = lay_out(whole, replace(layout, rules=(), parameters=most))
        return DividedTraining(opened, self.processes, self.mesh)

    @cached_property
    def _places(self) -> dict[str, tuple[Type, Placement]]:
        """Of each parameter and each state by address."""
        states = {
            address: (info.type, self.laid_out.inputs[info.name])
            for info in self.laid_out.whole.states
            for address in info.addresses()
        }
        return {a: (type, placement) for a, type, placement in self.laid_out.of_parameters()} | states

    def fits(self, batch: Batch) -> AttnError | None:
        try:
            self.laid_out.local_inputs(batch, self.rank)
        except AttnError as problem:
            return problem
        return None

    def inputs(self, batch: Batch) -> Batch:
        return self.laid_out.local_inputs(batch, self.rank)

    def outputs(self, found: Mapping[str, Array]) -> dict[str, Array]:
        types, places = {info.name: info.value.type for info in self.laid_out.whole.outputs}, self.laid_out.outputs
        with self.sending():
            return {
                name: to_array(self._on_mesh(torch.from_numpy(part), types[name], places[name]).full_tensor())
                for name, part in found.items()
            }

    def initial_states(self, batch: Batch) -> dict[str, Array]:
        """Cut from those of all rows, since these may differ from row to row."""
        return self.laid_out.local_inputs(initial_stacks(self.laid_out.whole, batch, "float64"), self.rank)

    def names(self, addresses: Iterable[str]) -> dict[str, str]:
        wanted = set(addresses)
        return {address: name for address, name in self._names.items() if address in wanted}

    @cached_property
    def _names(self) -> dict[str, str]:
        return self.laid_out.own_names(self.rank)

    def alike(self, address: str) -> tuple[str, ...]:
        return self._alike.get(address, (address,))

    def here(self, address: str) -> str:
        return next((other for other in self.alike(address) if other in self._names), address)

    @cached_property
    def _alike(self) -> dict[str, tuple[str, ...]]:
        """By address, in the order of stages."""
        found: dict[str, tuple[str, ...]] = {}
        named = [(address, name) for address, name, _ in self.laid_out.of_devices()]
        for address, name in named:
            found[name] = (*found.get(name, ()), address)
        return {address: found[name] for address, name in named}

    def parameters(self, arrays: Iterable[tuple[str, Array]]) -> dict[str, Array]:
        states = {address for info in self.laid_out.whole.states for address in info.addresses()}
        names = self._names | {address: address for address in states}
        return {names[a]: self.own(array, a).copy() for a, array in arrays if a in names}

    def own(self, array: Array, address: str, axes: tuple[int, ...] | None = None) -> Array:
        type, placement = self._of(address, axes)
        return array[indices(placement, type, self.coordinates, array.shape)]

    def _of(self, address: str, axes: tuple[int, ...] | None) -> tuple[Type, Placement]:
        type, placement = self._places[address]
        return (type if axes is None else Type(type.dtype, tuple(type.axes[axis] for axis in axes))), placement

    def whole(self, array: Any, address: str, axes: tuple[int, ...] | None = None) -> Array:
        tensor = array if isinstance(array, torch.Tensor) else torch.from_numpy(array)
        placed: Any = self.placed(tensor.detach(), address, axes)
        with self.sending():
            whole = placed.full_tensor()
        for name, _ in self._places[address][1].rounds:  # the stage that has it gives it to the others
            whole = whole.contiguous() if self.here(address) == address else whole.new_empty(whole.shape)
            stage = self.alike(address).index(address)
            TIMED.broadcast(whole, group=self.mesh.get_group(name), group_src=stage)
        return to_array(whole)

    def placed(self, tensor: torch.Tensor, address: str, axes: tuple[int, ...] | None = None) -> torch.Tensor:
        placed: torch.Tensor = self._on_mesh(tensor, *self._of(address, axes))
        return placed

    def _on_mesh(self, tensor: torch.Tensor, type: Type, placement: Placement) -> Any:
        from torch.distributed.tensor import DTensor, Replicate, Shard

        places = [Shard(type.axes.index(state)) if state in type.axes else Replicate() for state in placement.states]
        if tensor.device.type != self.mesh.device_type:  # it was an array
            tensor = tensor.to(self.mesh.device_type)
        return DTensor.from_local(tensor, self.mesh, places, run_check=False)

    def sending(self) -> AbstractContextManager[None]:
        return TIMED.sending()

    def norm(self, gradients: Mapping[str, torch.Tensor]) -> float:
        """What several devices have alike counts once."""
        mesh, total = self.laid_out.layout.mesh, 0.0
        norms = to_array(torch.stack(torch._foreach_norm(list(gradients.values())))).tolist() if gradients else []
        for address, norm in zip(gradients, norms, strict=True):
            placement = self._places[address][1]
            parts = mesh.count(name for on in placement.divided.values() for name in on)
            parts *= mesh.count(name for name, _ in placement.rounds)
            total += norm**2 * parts / mesh.devices
        return math.sqrt(self.processes.total([total])[0])

    def any(self, here: bool) -> bool:
        return self.processes.any(here)
