"""What the NumPy backend can do; NumPy is imported when it makes something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from attndsl.lazy import Array
from attndsl.running.backends import Backend
from attndsl.running.ways import ATTENTION, LOSS, QUERY_BLOCKS, Way

if TYPE_CHECKING:
    from attndsl.backends.numpy_reference.evaluator import NumpyProgram
    from attndsl.backends.numpy_reference.trainer import NumpyTrainer
    from attndsl.graph import Graph
    from attndsl.layouts import Layout
    from attndsl.running.processes import Processes
    from attndsl.running.trainer import Training


class NumPy(Backend):
    """Says what every operation means; needs nothing that attndsl does not need anyway."""

    name = "numpy"
    title = "NumPy"
    packages = ("numpy",)
    precisions = ("float32", "float64")
    is_reference = True
    preference = 1

    def make_program(
        self,
        graph: Graph,
        *,
        dtype: str,
        device: str,
        parameters: Mapping[str, Array] | None,
        seed: int,
        compile: bool,
    ) -> NumpyProgram:
        from attndsl.backends.numpy_reference.evaluator import NumpyProgram

        return NumpyProgram(graph, dtype=dtype, parameters=parameters, seed=seed)

    def ways(self) -> Sequence[Way]:
        return [
            *(
                Way(self, name, ATTENTION, make=partial(_in_blocks, block), rewrite=_optimized)
                for name, block in QUERY_BLOCKS.items()
            ),
            Way(self, "a row at a time", LOSS, make=partial(_in_blocks, 1), rewrite=_optimized),
        ]

    def make_trainer(
        self,
        graph: Graph,
        recipe: Training,
        *,
        device: str,
        parameters: Mapping[str, Array] | None,
        compile: bool,
        processes: Processes,
        layout: Layout | None,
    ) -> NumpyTrainer:
        from attndsl.backends.numpy_reference.trainer import NumpyTrainer

        return NumpyTrainer(graph, recipe, parameters=parameters)


def _optimized(graph: Graph) -> Graph:
    from attndsl.passes import optimize

    return optimize(graph)[0]


def _in_blocks(
    block: int, graph: Graph, *, dtype: str, device: str, parameters: Mapping[str, Array] | None
) -> NumpyProgram:
    from attndsl.backends.numpy_reference.evaluator import NumpyProgram

    return NumpyProgram(graph, dtype=dtype, parameters=parameters, block=block)


BACKEND = NumPy()
