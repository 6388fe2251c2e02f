"""Running a few lines of the language on the NumPy backend, for tests of what the standard library computes."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.elaborate import load
from attndsl.graph import Graph

Array = np.ndarray[Any, Any]


def written(text: str) -> Graph:
    """The checked graph of a model written as `text`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.attn"
        path.write_text(text, encoding="utf-8")
        return load(str(path))


def meaning(text: str, inputs: Mapping[str, Array], parameters: Mapping[str, Array] | None = None) -> dict[str, Array]:
    """The outputs, in float64, of a model written as `text`; parameters by address (all of them, if any)."""
    program = NumpyProgram(written(text), dtype="float64")
    if parameters is not None:
        program.load(parameters)
    return program.run(inputs)


def drawn(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape)
