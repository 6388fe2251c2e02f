"""The states of texts that are read on, as tensors: all layers of one together, laid out as the kernels read them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch

from attndsl.backends.pytorch.arrays import to_tensor
from attndsl.graph import Graph, Type
from attndsl.lazy import Array, np
from attndsl.ops.control import stacked_at
from attndsl.running.slots import slot_places
from attndsl.running.states import row_places


class Stacks:
    """How a graph's states lie in memory, whatever the order of their axes: layer by layer, so that each layer's lies
    together; and of each the positions of a text before its last axis, so that what one head reads in turn lies in
    turn."""

    def __init__(self, graph: Graph) -> None:
        self.slots = slot_places(graph)
        self.rows = row_places(graph)
        self._order = {
            info.name: _order(info.value.type, state.type, self.rows.get(info.name), graph.free_sizes)
            for state in graph.states
            for info in graph.inputs
            if info.name == state.name
        }

    def empty(self, name: str, array: Array, dtype: Any, device: Any) -> Any:
        """A state that begins with zeros, of the shape of `array`. Memory that is not yet written to is not yet used,
        where the machine allows that."""
        zeros = np.zeros([array.shape[axis] for axis in self._order[name]], array.dtype)
        return self._seen(name, to_tensor(zeros, dtype, device, shared=True))

    def laid(self, name: str, array: Array, dtype: Any, device: Any) -> Any:
        """A state that is given."""
        return self._seen(name, to_tensor(array.transpose(self._order[name]), dtype, device))

    def _seen(self, name: str, tensor: Any) -> Any:
        """A tensor that lies so, with its axes in their order."""
        order = self._order[name]
        return tensor.permute([order.index(axis) for axis in range(len(order))])

    def several(self, name: str, stack: Any, rows: Sequence[int]) -> Any:
        """A copy of these rows of a state, laid out as it is."""
        order, at = self._order[name], torch.tensor(rows, device=stack.device)
        return self._seen(name, stack.permute(order).index_select(order.index(self.rows[name]), at))


def _order(stack: Type, state: Type, rows: int | None, free: Collection[str]) -> list[int]:
    """The axes of a state of all layers, the outermost in memory first; `rows` is where the rows of a batch stand."""
    at = stacked_at(state)
    layers = list(range(at, at + stack.rank - state.rank))
    rest = [axis for axis in range(stack.rank) if axis not in layers]
    last = rest[-1:]
    positions = [axis for axis in rest[:-1] if axis != rows and stack.axes[axis].size.symbols & set(free)]
    return [*layers, *(axis for axis in rest[:-1] if axis not in positions), *positions, *last]
