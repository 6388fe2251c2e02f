"""Layers that are computed again for their gradients: the same numbers, less memory, and a run that keeps doing so."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attndsl.backends.numpy_reference.evaluator import NumpyProgram
from attndsl.elaborate import load
from attndsl.graph import Graph
from attndsl.recipe.recipe import Recipe
from attndsl.running import backends
from attndsl.running.inputs import example_inputs
from attndsl.runs.record import RECORD
from attndsl.training import Outcome
from tests.training.test_loop import losses

FORMS = {
    "carried, captured and emitted": """
model M(width=8, depth=3, heads=2, p=0.3) {
  input x: [B, T, width]
  first = x |> layer_norm as first
  each = repeat h in depth {
    x += x |> attention(heads, mask=causal, dropout=p) as attn
    x += mlp(2 * width)(x + first) as mlp
    emit mean(x, over=[B, T, width])
  }
  output loss = mean(x * x, over=[B, T, width]) + sum(each, over=depth)
}
""",
    "shared and nested": """
model M(width=6, depth=2, inner=3, p=0.3) {
  input x: [B, T, width]
  param scale: [width]
  repeat h in depth {
    repeat f in inner {
      x += x |> linear(width) as map |> dropout(p)
      x = tanh(x * scale)
    }
    x = x |> layer_norm as norm
  }
  output loss = mean(x * x * scale, over=[B, T, width])
}
""",
    "of numbers alone": """
model M(width=6, depth=4) {
  input x: [B, T, width]
  param w: [width, out=width]
  repeat h in depth { x = tanh(rearrange(dot(x, w, over=width), [out=width] -> [width])) }
  output loss = mean(x * x, over=[B, T, width])
}
""",
}


@pytest.fixture
def graph(tmp_path: Path) -> Callable[[str], Graph]:
    def loaded(text: str) -> Graph:
        path = tmp_path / "m.attn"
        path.write_text(text)
        return load(str(path), {})

    return loaded


@pytest.mark.parametrize("name", FORMS)
def test_the_numbers_are_the_same_to_the_last_bit(name: str, graph: Callable[[str], Graph], backend: str) -> None:
    checked = graph(FORMS[name])
    found: list[Any] = []
    for recompute in (False, True):
        trainer = backends.find(backend).trainer(checked, Recipe(recompute=recompute, seed=1), device="cpu")
        steps = [trainer.step([example_inputs(checked, {"B": 2, "T": 3}, seed=at)], at) for at in range(3)]
        found.append(([(each.loss, each.grad_norm) for each in steps], trainer.parameters()))
    assert found[0][0] == found[1][0]
    for address, array in found[0][1].items():
        np.testing.assert_array_equal(array, found[1][1][address], err_msg=address)


def test_of_a_round_stays_what_it_was_given(graph: Callable[[str], Graph]) -> None:
    checked = graph(FORMS["carried, captured and emitted"].replace("width=8, depth=3", "width=32, depth=12"))
    inputs, peaks = example_inputs(checked, {"B": 4, "T": 32}), []
    for recompute in (False, True):
        program = NumpyProgram(checked)
        program.recompute = recompute
        program.gradients(inputs, {"loss": np.ones(())}, training=True)
        tracemalloc.start()
        program.gradients(inputs, {"loss": np.ones(())}, training=True)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] / 3


def test_a_written_layer_is_checkpointed_where_it_is_innermost(graph: Callable[[str], Graph]) -> None:
    pytest.importorskip("torch")
    from attndsl.backends.pytorch.source import write

    source = write(graph(FORMS["shared and nested"]), recompute=True).source
    assert source.count("checkpoint(") == 1
    assert "from torch.utils.checkpoint import checkpoint" in source
    assert "checkpoint" not in write(graph(FORMS["shared and nested"])).source


def test_a_run_goes_on_as_it_began(trained: Callable[..., Outcome], tmp_path: Path) -> None:
    trained("plain", steps=3)
    trained("run", steps=2, recompute="true")
    trained(resume=tmp_path / "run", steps=3)
    assert json.loads((tmp_path / "run" / RECORD).read_text())["recipe"]["recompute"] is True
    assert losses(tmp_path / "run")[:2] == losses(tmp_path / "plain")[:2]
