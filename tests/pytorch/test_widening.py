"""Floats made of whole numbers are calculated in float32 in a narrow module too: from positions that are given or
counted as much as from those of `range`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.graph import Graph
from attndsl.running.inputs import example_inputs
from tests.std.meaning import written

pytestmark = pytest.mark.torch

Array = np.ndarray[Any, Any]

LENGTH = 1200

TURNED = """
model M(vocab=50, width=64) {
  input tokens: int[B, T] where tokens < vocab
  input place: int[B, T]
  input valid: bool[B, T]
  x = embedding(tokens, vocab, width, normal(1)) as wte
  counted = cumsum(int(valid), over=T) - 1
  output standard = rotary()(rearrange(x, [width] -> [one=1, width]) |> rearrange([one=1, width] -> [width]))
  output given = turned(x, place)
  output counting = turned(x, counted)
  output multiplied = x * cos(angles(width)(place))
  output chosen = where(float(place) > 256.5, x, 0)
  output share = x * (sum(float(valid), over=T) / (T + 1))
}

block turned(x: [*, T, H], place: int[*, T]) -> [*, T, H] {
  pair = H / 2
  angle: [*, T, pair] = float(place) * 10000 ^ (-2 * range(pair) / H)
  halves = rearrange(x, [H] -> [part=2, pair])
  a = halves[part=0]
  b = halves[part=1]
  return concat(a * cos(angle) - b * sin(angle), b * cos(angle) + a * sin(angle), over=[pair, pair] -> [turned=H])
    |> rearrange([turned=H] -> [H])
}

/// As a matrix product, which autocast would narrow.
block angles(wide, unit=1)(place: int[*, T]) -> [*, T, wide] {
  ones: [*, T, unit] = float(place)
  rates: [unit, wide] = 10000 ^ (-1 * range(wide) / wide)
  return dot(ones, rates, over=unit)
}
"""


@pytest.fixture(scope="module")
def turned() -> tuple[Graph, dict[str, Array], dict[str, Array]]:
    graph = written(TURNED)
    inputs = example_inputs(graph, {"B": 1, "T": LENGTH})
    inputs["place"] = np.arange(LENGTH)[None]
    inputs["valid"] = np.ones((1, LENGTH), bool)
    return graph, inputs, NumpyProgram(graph, dtype="float64").run(inputs)


def far_off(found: Array, true: Array) -> float:
    """The greatest error beyond the 600th position, relative to the largest value."""
    return float(np.abs(found - true)[:, 600:].max() / np.abs(true).max())


@pytest.mark.parametrize(("dtype", "allowed"), [("bfloat16", 0.01), ("float16", 0.0015)])
@pytest.mark.parametrize("passes", [False, True])
def test_calculated_in_float32_and_narrowed_afterwards(turned: Any, dtype: str, allowed: float, passes: bool) -> None:
    from attndsl.backends.pytorch import TorchProgram

    graph, inputs, true = turned
    found = TorchProgram(graph, dtype=dtype, passes=passes).run(inputs)
    for name, array in true.items():
        assert far_off(found[name], array) < allowed, name


def test_positions_under_autocast(turned: Any) -> None:
    from attndsl.backends.pytorch import TorchProgram
    from attndsl.backends.pytorch.autocast import mixed

    graph, inputs, true = turned
    program = TorchProgram(graph)
    with mixed("bfloat16", program.device):
        found = program.run(inputs)
    for name, array in true.items():
        assert far_off(found[name], array) < 0.01, name


def test_what_is_only_converted_is_narrow_from_the_start() -> None:
    """A mask of ones and zeros is as exact in eight bits, and half as large."""
    from attndsl.backends.pytorch import TorchProgram

    text = "model M(width=4) {\n input x: [B, T, width]\n input valid: bool[B, T]\n"
    source = TorchProgram(written(text + "  output y = x * float(valid)\n}"), dtype="bfloat16").source
    assert "wide" not in source
