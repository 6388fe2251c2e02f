"""Run a program every way there is, and say where two ways differ."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import attndsl
from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.diagnostics import AttnError
from attndsl.graph import FLOAT, Graph
from attndsl.passes import optimize
from attndsl.running.initial import initial_parameters
from attndsl.running.inputs import example_inputs
from attndsl.running.states import stacks_of
from tests.programs.writer import Program

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]
Outcome = Arrays | str

RELATIVE = 1e-8
"""Of the largest finite value in an array, or of 1: what another order of the same float64 sums may change, with room
for what a few dozen operations in a row make of it. Every mistake that was ever found was larger than 1e-4."""


def differences(program: Program, *, torch: bool = True) -> list[str]:
    """Every way in which `program` is not what it should be, in words: it is refused, something crashes, two ways of
    running it (a third of those without dropout in training) give other values, other gradients or another message.
    NumPy on the plain graph is what is right."""
    try:
        graph = attndsl.parse(program.text).graph
        arrays = _inputs(graph, program)
    except AttnError as problem:
        return [f"refused: {problem}"]
    except Exception:
        return [f"crash in the checker: {traceback.format_exc()}"]
    parameters = dict(initial_parameters(graph, program.seed))
    poisoned = program.poison > 0
    ways: dict[str, Callable[[], Any]] = {
        "plain": lambda: NumpyProgram(graph, dtype="float64", parameters=parameters),
        "optimised": lambda: NumpyProgram(optimize(graph, exact=poisoned)[0], dtype="float64", parameters=parameters),
    }
    if torch:
        from attndsl.backends.pytorch import TorchProgram

        ways["torch"] = lambda: TorchProgram(graph, dtype="float64", parameters=parameters)
        ways["torch, plain"] = lambda: TorchProgram(graph, dtype="float64", parameters=parameters, passes=False)
    outcomes = {name: _outcome(make, graph, arrays, program) for name, make in ways.items()}
    right = outcomes.pop("plain")
    found = [f"plain: {right}"] if isinstance(right, str) and right.startswith("crash") else []
    for name, outcome in outcomes.items():
        found += [f"{name}: {what}" for what in _unlike(right, outcome)]
    return found


def examples(graph: Graph, program: Program) -> Arrays:
    """Inputs; every other time without the optional one."""
    try:
        arrays = example_inputs(graph, program.sizes, seed=program.seed)
    except AttnError:  # the lengths do not fit: a slice of what is too short
        arrays = example_inputs(graph, None, seed=program.seed)
    if program.seed % 2:
        arrays.pop("o", None)
    return arrays


def _inputs(graph: Graph, program: Program) -> Arrays:
    """Examples, with infinities and NaN strewn over the floats."""
    arrays = examples(graph, program)
    draw = np.random.default_rng(program.seed)
    for name, array in arrays.items():
        if array.dtype.kind == "f":
            poison = draw.choice([np.inf, -np.inf, np.nan, -np.inf], array.shape)
            arrays[name] = np.where(draw.random(array.shape) < program.poison, poison, array).astype("float64")
    return arrays


def _outcome(make: Callable[[], Any], graph: Graph, inputs: Mapping[str, Array], given: Program) -> Outcome:
    """Outputs and gradients by name, or what was said instead."""
    training = given.seed % 3 == 0 and "dropout" not in given.text
    try:
        with np.errstate(all="ignore"):
            program = make()
            results = program.run(inputs, training=training)
            found: Arrays = dict(results)
            for call in range(2 if graph.states else 0):  # each goes on where the last one ended
                found |= {f"{name} of call {call}": array for name, array in (results | results.states).items()}
                inputs = {name: array for name, array in inputs.items() if name not in graph.state_names}
                stacks = stacks_of(graph, results.states)
                results = program.run(inputs, states=results.states, training=training)
                inputs = {**inputs, **stacks}
            found |= results | results.states
            values = {**results, **stacks_of(graph, results.states)}
            draw = np.random.default_rng(given.seed)
            cotangents = {
                info.name: draw.standard_normal(np.shape(values[info.name]))
                for info in graph.outputs
                if info.value.type.dtype == FLOAT and info.name in values  # states of no layers have no address
            }
            _, parameters, floats = program.gradients(inputs, cotangents, training=training)
    except AttnError as problem:
        return f"said {problem.diagnostics[0].code}: {problem.diagnostics[0].message}"
    except Exception:
        return f"crash: {traceback.format_exc()}"
    return found | {f"gradient of {name}": array for name, array in {**parameters, **floats}.items()}


def _unlike(right: Outcome, found: Outcome) -> list[str]:
    if isinstance(right, str) or isinstance(found, str):
        return [] if isinstance(right, str) and right == found else [f"{_short(found)} instead of {_short(right)}"]
    if right.keys() != found.keys():
        return [f"other names: {sorted(right.keys() ^ found.keys())}"]
    scale = max((_largest(array) for name, array in right.items() if name.startswith("gradient")), default=1.0)
    return [what for name in right if (what := apart(name, right[name], found[name], scale))]


def apart(name: str, right: Array, found: Array, overall: float = 1.0) -> str:
    """How two arrays that should be equal differ, in words; nothing where they do not."""
    if np.shape(right) != np.shape(found):
        return f"`{name}` has the shape {np.shape(found)} instead of {np.shape(right)}"
    right, found = np.asarray(right, "float64"), np.asarray(found, "float64")
    with np.errstate(invalid="ignore"):
        same = (right == found) | (np.isnan(right) & np.isnan(found))
        allowed = RELATIVE * max(1.0, _largest(right), overall if name.startswith("gradient") else 0.0)
        wrong = ~same & ~(np.abs(right - found) <= allowed)
    if not wrong.any():
        return ""
    at = tuple(int(i) for i in np.argwhere(wrong)[0])
    return f"`{name}` is {found[at]} instead of {right[at]} at {at} ({int(wrong.sum())} of {wrong.size} differ)"


def _largest(array: Array) -> float:
    magnitudes = np.abs(np.asarray(array, dtype="float64"))
    return float(np.max(magnitudes, where=np.isfinite(magnitudes), initial=0.0))


def _short(outcome: Outcome) -> str:
    return outcome if isinstance(outcome, str) else "values"
