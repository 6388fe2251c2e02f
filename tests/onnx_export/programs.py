"""Random programs in ONNX Runtime, beside NumPy."""

from __future__ import annotations

import traceback

import numpy as np

import attndsl
from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.diagnostics import AttnError
from attndsl.running.initial import initial_parameters
from attndsl.running.inputs import example_inputs
from attndsl.running.states import initial_stacks
from tests.onnx_export.runtime import OnnxProgram
from tests.programs.reading import REFUSED
from tests.programs.writer import Program

FAR = 1e-3
"""By how much of the largest value two may be apart, in float32. A program amplifies rounding as it likes: those in
which NumPy itself is so far from float64 are left out."""


def onnx_differences(program: Program) -> list[str]:
    """What is wrong with a program in ONNX Runtime, in words; nothing where it is right, and `REFUSED` where there is
    nothing to compare."""
    what = _difference(program)
    return [what] if what else []


def _difference(program: Program) -> str:
    graph, seed = attndsl.parse(program.text).graph, program.seed
    sizes = {name: max(size, 1) for name, size in program.sizes.items()}  # its attention refuses to do nothing
    try:
        given = example_inputs(graph, sizes, seed=seed)
        if seed % 2:
            given.pop("o", None)
        given |= initial_stacks(graph, given)
        parameters = dict(initial_parameters(graph, seed))
        with np.errstate(all="ignore"):
            exact = NumpyProgram(graph, dtype="float64", parameters=parameters).run(given)
            single = NumpyProgram(graph, parameters=parameters).run(given)
    except AttnError:
        return REFUSED  # it says what is wrong with these lengths, or with an index
    try:
        found = OnnxProgram(graph, parameters=parameters).run(given)
    except Exception:
        return f"crash: {traceback.format_exc()}"
    compared = False
    for name, right in exact.items():
        allowed = FAR * max(1.0, float(np.abs(right[np.isfinite(right)]).max(initial=0)))
        if np.allclose(single[name], right, rtol=0, atol=allowed / 100, equal_nan=True):
            compared = True
            if found[name].shape != right.shape:
                return f"`{name}` has the shape {found[name].shape} instead of {right.shape}"
            if not np.allclose(found[name], right, rtol=0, atol=allowed, equal_nan=True):
                return f"`{name}` is off by {np.abs(found[name] - right).max()}"
    return "" if compared else REFUSED
