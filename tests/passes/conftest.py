"""Fixtures for tests of passes: specs from strings, and both sides of a pass run in double precision."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from attndsl.backends.numpy_reference.evaluator import NumpyProgram
from attndsl.elaborate import load
from attndsl.graph import Graph
from attndsl.running.inputs import example_inputs


@pytest.fixture
def spec(tmp_path: Path) -> Callable[..., Graph]:
    """`spec(text, **settings)`: the graph of a spec's text."""
    numbers = itertools.count()

    def elaborated(text: str, **settings: object) -> Graph:
        path = tmp_path / f"spec_{next(numbers)}.attn"
        path.write_text(text)
        return load(str(path), {name: str(value) for name, value in settings.items()})

    return elaborated


def _gap(left: np.ndarray, right: np.ndarray) -> float:
    """The largest difference of two arrays; where both are NaN there is none."""
    both = np.isnan(left) & np.isnan(right)
    return float(np.abs(np.where(both, 0.0, left - right)).max(initial=0.0))


@pytest.fixture
def difference() -> Callable[..., float]:
    """`difference(before, after, training=False)`: the largest difference of any output and any gradient of the two
    graphs on the same random inputs and parameters, in float64."""

    def largest(before: Graph, after: Graph, *, training: bool = False) -> float:
        random = np.random.default_rng(1)
        sizes = {name: 3 + i for i, name in enumerate(before.free_sizes)}
        inputs = example_inputs(before, sizes, seed=1)
        one = NumpyProgram(before, dtype="float64", seed=3)
        two = NumpyProgram(after, dtype="float64", parameters=one.parameters())
        results = [program.run(inputs, training=training) for program in (one, two)]
        cotangents = {name: random.normal(size=array.shape) for name, array in results[0].items()}
        for program, found in zip((one, two), results, strict=True):
            outputs, parameters, given = program.gradients(inputs, cotangents, training=training)
            found.update({f"output {k}": v for k, v in outputs.items()})
            found.update({f"parameter {k}": v for k, v in parameters.items()})
            found.update({f"input {k}": v for k, v in given.items()})
        assert results[0].keys() == results[1].keys()
        return max(_gap(results[0][name], results[1][name]) for name in results[0])

    return largest
