"""Batches together are what one batch of all their rows is: losses, gradients and updates, on both backends."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attndsl.elaborate import load
from attndsl.graph import Graph
from attndsl.ops.generators import Parameter
from attndsl.recipe.recipe import read_recipe
from attndsl.running import backends
from attndsl.running.joining import JoinedBatches

Array = np.ndarray[Any, Any]

# Every way in which a scalar can be made of a batch; the right value of each is that of one batch.
MODEL = """
model Losses(vocab=11, context=12, width=6) {
  input tokens: int[B, T] where T <= context, tokens < vocab
  input valid: bool[B, T] optional = true
  layer e = embedding(vocab, width)
  x = e(tokens)
  output logits = dot(x, e.table, over=width)
  output pooled = linear(mean(where(valid, 1, 0) * x, over=T), 2) as head

  input targets: int[B, T] optional where targets >= -100, targets < vocab
  input label: int[B] optional where label < 2
  words = cross_entropy(logits, targets, over=vocab, smoothing=0.1)
  output follows = cross_entropy(pooled, label, over=2)
  output squares = sum(where(valid, logsumexp(logits, over=vocab) ^ 2, 0), over=[B, T]) / sum(valid, over=[B, T])
  output total = sum(where(valid, mean(x ^ 2, over=width), 0), over=[B, T])
  output counted = sum(valid, over=[B, T])
  output rows = mean(mean(pooled ^ 2, over=2), over=B)
  output penalty = mean(e.table ^ 2, over=[vocab, width])
  output loss = 0.5 * words + (follows - 0.01 * squares) / 2 + 0.1 * rows + 0.01 * total - -0.3 * penalty
}
"""


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    path = tmp_path / "losses.attn"
    path.write_text(MODEL)
    return load(str(path))


def parts(seed: int = 0) -> list[dict[str, Array]]:
    """Three batches in which very different numbers of positions count."""
    draw = np.random.default_rng(seed)
    found = []
    for share in (0.9, 0.3, 0.05):
        valid = draw.random((2, 7)) < share
        valid[0, 0] = True
        tokens = draw.integers(0, 11, (2, 7))
        targets = np.where(valid, draw.integers(0, 11, (2, 7)), -100)
        found.append({"tokens": tokens, "valid": valid, "targets": targets, "label": draw.integers(0, 2, 2)})
    return found


def whole(batches: list[dict[str, Array]]) -> dict[str, Array]:
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def test_every_output_is_that_of_one_batch(graph: Graph) -> None:
    batches = parts()
    joined = JoinedBatches(graph)
    program = backends.find("numpy").program(joined.graph, dtype="float64", seed=3)
    given, names = joined.prepared(batches)
    assert set(names) == {"follows", "squares", "total", "counted", "rows", "penalty", "loss"}
    rows = [program.run(batch, tuple(names.values())) for batch in given]
    expected = program.run(whole(batches), tuple(names))
    for name, output in names.items():
        np.testing.assert_allclose(sum(row[output] for row in rows), expected[name], rtol=1e-12, err_msg=name)
    means = np.mean([program.run(batch, ["loss"])["loss"] for batch in batches])
    assert abs(means - expected["loss"]) > 1e-5, "the batches are too alike to tell anything"


def test_counting_runs_no_parameter(graph: Graph) -> None:
    program, sums = JoinedBatches(graph)._counting
    assert len(sums) == 3
    assert not [node for node in program.graph.body.walk() if isinstance(node.op, Parameter)]


def test_a_batch_without_anything_to_say_counts_for_nothing(graph: Graph) -> None:
    batches = parts()
    batches[1]["targets"][:] = -100
    trainer = backends.find("numpy").trainer(graph, recipe(3))
    together = backends.find("numpy").trainer(graph, recipe(1))
    assert trainer.step(batches, 0).loss == pytest.approx(together.step([whole(batches)], 0).loss, rel=1e-12)


def recipe(accumulate: int, **settings: object) -> Any:
    kept = {"precision": "float64", "accumulate": accumulate, "optimizer": "sgd(momentum=0)", "clip": 0.5, **settings}
    return read_recipe(None, {}).override(kept)


def assert_alike(ours: Mapping[str, Array], theirs: Mapping[str, Array]) -> None:
    for name, array in ours.items():
        np.testing.assert_allclose(array, theirs[name], rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("backend", ["numpy", pytest.param("torch", marks=pytest.mark.torch)])
def test_the_update_is_that_of_one_batch(graph: Graph, backend: str) -> None:
    batches = parts()
    apart = backends.find(backend).trainer(graph, recipe(3))
    together = backends.find(backend).trainer(graph, recipe(1))
    found, expected = apart.step(batches, 0), together.step([whole(batches)], 0)
    np.testing.assert_allclose([found.loss, found.grad_norm], [expected.loss, expected.grad_norm], rtol=1e-9)
    assert found.scalars == pytest.approx(dict(expected.scalars), rel=1e-9)
    assert_alike(apart.parameters(), together.parameters())
    after, alone = apart.evaluate(batches), together.evaluate([whole(batches)])
    assert after == pytest.approx(alone, rel=1e-9)
