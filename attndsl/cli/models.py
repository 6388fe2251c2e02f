"""Specs, weights, inputs and backends as a command line names them."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING

from attndsl.cli.arguments import Usage

if TYPE_CHECKING:
    from attndsl.graph import Graph
    from attndsl.program import Array, Program


def load_with_weights(
    spec: str, settings: Mapping[str, str], weights: str | None
) -> tuple[Graph, dict[str, Array] | None]:
    """The checked graph, and the parameters at `weights` (None: none asked for). Where the weights come with a published
    configuration, the hyperparameters are taken from it; a `--set` that contradicts it is an error."""
    from attndsl.elaborate import load

    if weights is None:
        return load(spec, settings), None
    from attndsl.weights import load_weights, settings_for

    found = {**settings_for(spec, weights), **settings}
    graph = load(spec, found)
    return graph, load_weights(graph, spec, weights)


def inputs_from(path: str | None, sizes: Mapping[str, int]) -> dict[str, Array] | None:
    """The arrays of the .npz file at `path`; None where no file is named."""
    from attndsl.cli.files import read_arrays

    if path is None:
        return None
    if sizes:
        raise Usage("`--size` is for example inputs, and `--inputs` names real ones", "give one of the two")
    return read_arrays(path)


def make_program(graph: Graph, backend: str | None, dtype: str, device: str, seed: int) -> Program:
    """`graph` on a backend; without a name, on torch where it is installed."""
    if backend is None:
        backend = "torch" if importlib.util.find_spec("torch") else "numpy"
    if backend == "numpy":
        if device != "cpu":
            raise Usage(f"the numpy backend computes on the CPU, not on {device}", "`--backend torch` can")
        if dtype not in ("float32", "float64"):
            raise Usage(f"the numpy backend has no {dtype}", "it has float32 and float64; `--backend torch` has it")
        from attndsl.backends.numpy_reference import NumpyProgram

        return NumpyProgram(graph, dtype=dtype, seed=seed)
    from attndsl.backends.pytorch import TorchProgram

    return TorchProgram(graph, dtype=dtype, device=device, seed=seed)
