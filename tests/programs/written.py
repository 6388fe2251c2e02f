"""Write a program as a file of its own, and say where that gives something else: at the program's sizes, and at each
other that the model's constructor takes."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

import attndsl
from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.diagnostics import AttnError
from attndsl.graph import Graph
from attndsl.running.initial import initial_parameters
from tests.programs.holding import apart, examples
from tests.programs.writer import Program

Array = np.ndarray[Any, Any]


def file_differences(program: Program) -> list[str]:
    """What is wrong with the file: it is refused, something crashes, or an output differs. A module does not see to
    infinities and NaN in masked places as `TorchProgram` does, so neither these nor empty axes are tried."""
    try:
        model = attndsl.parse(program.text)
        names: dict[str, Any] = {"__name__": "written"}
        exec(model.source(), names)
        kind = names[model.graph.name]
        found = _unlike(names, kind(), model.graph, program)
        for size, (value, graph) in _others(kind, model):
            found += [f"{size}={value}: {what}" for what in _unlike(names, kind(**{size: value}), graph, program)]
        return found
    except AttnError as problem:
        return [f"refused: {problem}"]
    except Exception:
        return [f"crash: {traceback.format_exc()}"]


def _others(kind: type, model: Any) -> Iterator[tuple[str, tuple[int, Graph]]]:
    """For each size that the constructor takes another one that the model has, and the graph with it."""
    for size, argument in inspect.signature(kind).parameters.items():
        if argument.default is inspect.Parameter.empty:  # torch's own, of a module without a constructor
            continue
        for value in (2 * argument.default, argument.default + 1):
            try:
                yield size, (value, model.with_({**model.graph.sizes, size: value}).graph)
            except AttnError:  # a size that it must divide, or be larger than
                continue
            break


def outputs_of(
    names: Mapping[str, Any], module: Any, graph: Graph, weights: Mapping[str, Array], inputs: Mapping[str, Array]
) -> dict[str, Array]:
    """What a module that is written with these names gives in float64."""
    import torch

    from attndsl.backends.pytorch.arrays import to_array, to_tensor

    tensors = {address: torch.from_numpy(np.asarray(array)) for address, array in weights.items()}
    module.load_state_dict(names["in_files"](module, tensors) if "in_files" in names else tensors)
    given = {name: to_tensor(np.asarray(array)) for name, array in inputs.items() if name not in graph.state_names}
    given = {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in given.items()}
    with torch.no_grad():
        found = module.double().eval()(**given)
    return {name: to_array(value) for name, value in (found[0] if graph.states else found).items()}


def _unlike(names: Mapping[str, Any], module: Any, graph: Graph, program: Program) -> list[str]:
    weights = dict(initial_parameters(graph, program.seed))
    arrays = examples(graph, program)
    if not all(np.size(array) for array in arrays.values()):
        return []
    try:
        right = NumpyProgram(graph, dtype="float64", parameters=weights).run(arrays)
    except AttnError:  # a length, which is said in words; a module does not look
        return []
    results = outputs_of(names, module, graph, weights, arrays)
    if missing := {info.name for info in graph.own_outputs} - results.keys():
        return [f"without {sorted(missing)}"]
    return [what for name, value in results.items() if (what := apart(name, right[name], value))]
