"""The floating point operations that steps of training take."""

from __future__ import annotations

from collections.abc import Mapping

from attndsl.graph import Graph
from attndsl.inspection import inspect
from attndsl.lazy import Array
from attndsl.running.inputs import check_shapes

BACKWARD = 2  # the gradients of a product are two products of its size (Kaplan et al., 2020, section 2.1)


class TrainingWork:
    """Of one model. What is computed again to save memory is not counted, nor what frozen parameters spare."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.known: dict[tuple[tuple[str, tuple[int, ...]], ...], int] = {}

    def of(self, batch: Mapping[str, Array]) -> int:
        """FLOPs of the forward and the backward pass of a batch."""
        key = tuple((name, array.shape) for name, array in batch.items())
        if key not in self.known:
            sizes = check_shapes(self.graph, batch, rules=False)
            given = {name: sizes[name] for name in self.graph.free_sizes if name in sizes}
            self.known[key] = (1 + BACKWARD) * inspect(self.graph, given).totals.flops
        return self.known[key]
