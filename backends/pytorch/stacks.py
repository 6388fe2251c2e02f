"""The states of texts that are read on, as tensors: all layers of one together, laid out as the kernels read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from attndsl.backends.pytorch.arrays import to_tensor
from attndsl.graph import Graph
from attndsl.lazy import Array, np
from attndsl.ops.control import stacked_at
from attndsl.running.slots import slot_places
from attndsl.running.states import row_places


class Stacks:
    """How a graph's states lie in memory, whatever the order of their axes: layer by layer, so that each layer's lies
    together; and of a memory its slots before its last axis, so that what one head reads in turn lies in turn."""

    def __init__(self, graph: Graph) -> None:
        self.slots = slot_places(graph)
        self.rows = row_places(graph)
        self._loops = {
            info.name: (stacked_at(state.type), info.value.type.rank - state.type.rank)
            for state in graph.states
            for info in graph.inputs
            if info.name == state.name
        }

    def empty(self, name: str, array: Array, dtype: Any, device: Any) -> Any:
        """A state that begins with zeros, of the shape of `array`. Memory that is not yet written to is not yet used,
        where the machine allows that."""
        at, loops = self._loops[name]
        layers, slots = list(range(at, at + loops)), list(self.slots[name].values())
        last = [array.ndim - 1] if array.ndim - 1 not in (*layers, *slots) else []
        others = [axis for axis in range(array.ndim) if axis not in (*layers, *slots, *last)]
        order = [*layers, *others, *slots, *last]
        tensor = to_tensor(np.zeros([array.shape[axis] for axis in order], array.dtype), dtype, device, shared=True)
        return tensor.permute([order.index(axis) for axis in range(array.ndim)])

    def chosen(self, stacks: Mapping[str, Any], rows: Sequence[int]) -> dict[str, Any]:
        """The states of these rows, in this order."""
        at = torch.tensor(rows)
        return {
            name: stack if name not in self.rows else stack.index_select(self.rows[name], at.to(stack.device))
            for name, stack in stacks.items()
        }


__all__ = ["Stacks"]
