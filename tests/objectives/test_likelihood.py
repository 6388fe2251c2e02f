"""The cross entropy that an objective adds is an output of a sound graph, however the answers are declared."""

from __future__ import annotations

import numpy as np
import pytest

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.data.tokenizers import Bytes
from attndsl.elaborate import elaborate, open_text
from attndsl.graph.verify import verify
from attndsl.objectives import make_objective
from attndsl.objectives.likelihood import with_cross_entropy
from attndsl.passes import optimize
from attndsl.recipe.recipe import read_recipe
from attndsl.values import hyperparameters_of

SPEC = """
model M(vocab=256, width=8) {
  input tokens: int[B, T] where tokens < vocab
  input targets: int[B, T]%s
  output logits = embedding(tokens, vocab, width) |> linear(vocab)
  output loss = cross_entropy(logits, targets, over=vocab)
}
train M { batches = next_token(tokens, targets) }
"""


@pytest.mark.parametrize("declared", ["", " optional", " optional = tokens"])
def test_the_answers_may_be_declared_in_any_way(declared: str) -> None:
    spec = open_text(SPEC % declared)
    graph = elaborate(spec, {})
    recipe = read_recipe(spec.train, hyperparameters_of(graph))
    scored = with_cross_entropy(make_objective(recipe, graph, Bytes()))
    found, name = scored.graph, scored.name
    assert name == "cross_entropy"
    verify(found)
    draw = np.random.default_rng(1)
    inputs = {key: draw.integers(0, 256, (2, 5)) for key in ("tokens", "targets")}
    given = NumpyProgram(found, seed=1).run(inputs)
    assert given[name] == pytest.approx(given["loss"], rel=1e-6)
    if "=" in declared:
        given = NumpyProgram(found, seed=1).run({"tokens": inputs["tokens"]})
        assert given[name] == pytest.approx(given["loss"], rel=1e-6)


@pytest.mark.parametrize(
    ("loss", "free"),
    [
        ("cross_entropy(logits, targets, over=vocab)", True),
        ("0.5 * cross_entropy(logits, targets, over=vocab) + mean(logits ^ 2, over=[B, T, vocab])", True),
        ("cross_entropy(logits, targets, over=vocab, smoothing=0.1)", False),
        ("mean(logits ^ 2, over=[B, T, vocab])", False),
    ],
)
def test_it_costs_nothing_where_the_loss_is_made_of_it(loss: str, free: bool) -> None:
    spec = open_text(SPEC.replace("cross_entropy(logits, targets, over=vocab)", loss) % "")
    graph = elaborate(spec, {})
    scored = with_cross_entropy(make_objective(read_recipe(spec.train, hyperparameters_of(graph)), graph, Bytes()))
    verify(scored.graph)
    assert scored.costs_nothing == free
    assert (len(scored.graph.body.nodes) == len(graph.body.nodes)) == free
    trained, whole = (optimize(scored.graph.giving(names))[0] for names in ({"loss"}, {"loss", "cross_entropy"}))
    assert (len(list(trained.body.walk())) == len(list(whole.body.walk()))) == free
