"""Inputs that follow the training: what a model is given in each step, in evaluation and in use; what a log keeps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from attndsl.diagnostics import AttnError
from attndsl.elaborate import load
from attndsl.recipe.fitting import check_recipe
from attndsl.recipe.recipe import read_recipe
from attndsl.running import backends
from attndsl.runs.log import read_log
from attndsl.training import Outcome
from attndsl.values import hyperparameters_of

Train = Callable[..., Outcome]

MODEL = """
model Tiny(vocab=256, context=16, width=8) {
  input tokens: int[B, T] where T <= context, tokens < vocab
  input rate: [] optional = 0.0
  input share: [] optional = 0.0
  input seen: int[B, T] optional = 0 where seen < vocab
  input weight: [B] optional = 1.0
  input bare: [] optional
  x = embedding(tokens, vocab, width) as wte |> dropout(rate)
  output logits = linear(x, vocab) as out
  input targets: int[B, T] optional where targets >= -100, targets < vocab
  output penalty = mean(x ^ 2, over=[B, T, width])
  output loss = cross_entropy(logits, targets, over=vocab) + share * penalty
}

train Tiny {
  batches    = next_token(tokens, targets)
  minimize   = loss
  scheduled  = inputs(share=linear(start=0, end=3), rate=exponential(start=0.5, base=0.5))
  optimizer  = sgd(lr=0.1)
  schedule   = constant()
  batch      = 4
  steps      = 7
  evaluate   = 3
  checkpoint = 2
}
"""


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "scheduled.attn"
    path.write_text(MODEL)
    return str(path)


def test_the_log_has_what_the_model_was_given(trained: Train, tmp_path: Path) -> None:
    trained("run")
    lines = [line for line in read_log(tmp_path / "run") if "loss" in line]
    assert [line["scheduled"]["share"] for line in lines] == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5, 3])
    assert [line["scheduled"]["rate"] for line in lines] == pytest.approx([0.5 ** (i + 1) for i in range(7)])


def test_the_loss_of_a_step_has_its_share_and_that_of_an_evaluation_the_default(trained: Train, tmp_path: Path) -> None:
    trained("run", **{"scheduled.share": 100, "scheduled.rate": 0, "lr": 0})
    trained("plain", **{"scheduled.share": 0, "scheduled.rate": 0, "lr": 0})
    penalized, plain = read_log(tmp_path / "run"), read_log(tmp_path / "plain")
    for one, other in zip(penalized, plain, strict=True):
        if "loss" in one:
            assert one["loss"] == pytest.approx(other["loss"] + 100 * one["scalars"]["penalty"], rel=1e-5)
        else:
            assert one["held_out"] == other["held_out"]


def test_a_run_that_goes_on_is_the_same(trained: Train, tmp_path: Path) -> None:
    def told(folder: str) -> list[object]:
        keys = ("step", "loss", "scheduled", "held_out", "grad_norm")
        return [{key: line.get(key) for key in keys} for line in read_log(tmp_path / folder)]

    trained("whole", **{"scheduled.share.steps": 7})
    trained("part", **{"scheduled.share.steps": 7, "steps": 3})
    trained(resume=tmp_path / "part", steps=7)
    lines = [[line for line in told(folder) if line["loss"] is not None] for folder in ("whole", "part")]  # type: ignore
    assert lines[0] == lines[1]
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "part")]
    assert weights[0] == weights[1]


def test_accumulated_batches_are_weighed_as_one(spec: str, backend: str) -> None:
    """The penalty's share multiplies a mean over the batch, of which the batches have different parts."""
    graph = load(spec)
    recipe = read_recipe(None, hyperparameters_of(graph)).override({"optimizer": "sgd", "precision": "float64"})
    draw = np.random.default_rng(0)
    rows = draw.integers(0, 256, (5, 6))
    given = {"share": np.asarray(0.7), "rate": np.asarray(0.0)}
    parts = [{"tokens": part, "targets": part, **given} for part in (rows[:1], rows[1:])]
    apart = backends.find(backend).trainer(graph, recipe)
    together = backends.find(backend).trainer(graph, recipe)
    found, expected = apart.step(parts, 0), together.step([{"tokens": rows, "targets": rows, **given}], 0)
    np.testing.assert_allclose([found.loss, found.grad_norm], [expected.loss, expected.grad_norm], rtol=1e-9)


@pytest.mark.parametrize("training", [True, False])
def test_a_rate_that_is_a_tensor_drops_its_share(spec: str, backend: str, training: bool) -> None:
    text = "model M(width=400) {{ input x: [B, width] input rate: [] optional = 0.0 output y = dropout(x, rate) }}"
    Path(spec).write_text(text.format().replace("input rate", "\ninput rate").replace("output", "\noutput"))
    program = backends.find(backend).program(load(spec), dtype="float64")
    x = np.random.default_rng(0).normal(size=(50, 400)) + 9
    for rate in (0.0, 0.25, 0.9):
        given = {"x": x, "rate": np.asarray(rate)}
        outputs, _, gradients = program.gradients(given, {"y": np.ones_like(x)}, training=training)
        kept = outputs["y"] != 0
        share = rate if training else 0.0
        assert 1 - kept.mean() == pytest.approx(share, abs=0.02)
        np.testing.assert_allclose(outputs["y"][kept], x[kept] / (1 - share), rtol=1e-6)
        np.testing.assert_allclose(gradients["x"], kept / (1 - share), rtol=1e-6)
        assert gradients["rate"] == 0
    assert not program.run({"x": x, "rate": np.asarray(1.0)}, training=True)["y"].any()
    np.testing.assert_array_equal(program.run({"x": x}, training=True)["y"], x)


@pytest.mark.parametrize(
    ("name", "said", "help"),
    [
        ("rat", "there is no input `rat`", "did you mean `rate`?"),
        ("temperature", "there is no input `temperature`", "input temperature: [] optional = 0.0"),
        ("tokens", "`next_token` fills it as its tokens", "declare another input"),
        ("weight", "the input `weight` is float[B]", "input weight: [] optional = 0.0"),
        ("seen", "the input `seen` is int[B, T]", "input seen: [] optional = 0.0"),
        ("bare", "the input `bare` has no default", "input bare: [] optional = 0.0"),
    ],
)
def test_what_cannot_follow_a_training(spec: str, name: str, said: str, help: str) -> None:
    graph = load(spec)
    recipe = read_recipe(None, hyperparameters_of(graph)).override({f"scheduled.{name}": "linear()"})
    with pytest.raises(AttnError) as problem:
        check_recipe(recipe, graph)
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.code == "E0722"
    assert said in diagnostic.message
    assert help in " ".join(diagnostic.helps)
