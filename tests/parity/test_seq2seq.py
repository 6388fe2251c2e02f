"""Teacher forcing, free running and scheduled sampling: what the decoder of `seq2seq` is fed in training and in use."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from attndsl.elaborate import load
from attndsl.graph import Graph
from attndsl.running import backends
from attndsl.running.initial import initial_parameters
from tests.std.meaning import written

Array = np.ndarray[Any, Any]

SIZES = {"vocab": 9, "source_vocab": 7, "width": 4, "hidden": 5, "sampled": True}
KINDS: dict[str, dict[str, Any]] = {
    "no attention": {"depth": 2},
    "input feeding": {"depth": 2, "score": "dot_score", "feeding": True},
    "Bahdanau": {
        "depth": 1, "cell": 'gru_cell(reset="before")', "both": True, "score": "additive_score(3)", "ahead": True,
        "maxout": 2,
    },
}  # fmt: skip
B, S, T = 40, 6, 5


def made(kind: str, backend: str) -> tuple[Graph, Any]:
    graph = load("seq2seq", {**SIZES, **KINDS[kind]})
    draw = np.random.default_rng(0)
    arrays = {a: v + draw.normal(size=v.shape) for a, v in initial_parameters(graph, 0)}
    return graph, backends.find(backend).program(graph, dtype="float64", parameters=arrays)


def given(seed: int = 1) -> dict[str, Array]:
    draw = np.random.default_rng(seed)
    lengths = draw.integers(1, S + 1, B)
    return {
        "source": draw.integers(0, 7, (B, S)),
        "valid": np.arange(S) < lengths[:, None],
        "target": draw.integers(0, 9, (B, T)),
        "targets": draw.integers(0, 9, (B, T)),
    }


def said_alone(program: Any, inputs: dict[str, Array]) -> Array:
    """The logits of a decoder in use that goes on with the likeliest token each time."""
    target = inputs["target"][:, :1]
    for _ in range(T - 1):
        logits = program.run({**inputs, "target": target, "targets": target}, ["logits"])["logits"]
        target = np.concatenate([target, logits[:, -1:].argmax(-1)], 1)
    found: Array = program.run({**inputs, "target": target}, ["logits"])["logits"]
    return found


@pytest.fixture(params=["numpy", pytest.param("torch", marks=pytest.mark.torch)])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("kind", KINDS)
def test_the_rate_says_what_the_decoder_is_fed(kind: str, backend: str) -> None:
    """At 0 the target, at 1 its own words, in use always the target."""
    _, program = made(kind, backend)
    inputs = given()
    forced = program.run(inputs, ["logits"])["logits"]
    alone = said_alone(program, inputs)
    assert abs(forced[:, 1:] - alone[:, 1:]).max() > 0.1

    def trained(rate: float | None) -> Array:
        more = {} if rate is None else {"rate": np.asarray(rate)}
        found: Array = program.run({**inputs, **more}, ["logits"], training=True, seed=3)["logits"]
        return found

    np.testing.assert_allclose(trained(0.0), forced, atol=1e-12)
    np.testing.assert_allclose(trained(None), forced, atol=1e-12)
    np.testing.assert_allclose(trained(1.0), alone, atol=1e-12)
    np.testing.assert_allclose(
        program.run({**inputs, "rate": np.asarray(1.0)}, ["logits"])["logits"], forced, atol=1e-12
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_coin_is_tossed_for_each_word(kind: str, backend: str) -> None:
    """After the first word each row goes on with the target or with its own word, about as often as the rate says."""
    _, program = made(kind, backend)
    forced_share = []
    for seed in range(5):
        inputs = given(seed)
        forced = program.run(inputs, ["logits"])["logits"][:, 1]
        alone = said_alone(program, inputs)[:, 1]
        found = program.run({**inputs, "rate": np.asarray(0.3)}, ["logits"], training=True, seed=seed)["logits"][:, 1]
        differ = abs(forced - alone).max(-1) > 1e-9
        as_forced, as_alone = (abs(found - each).max(-1) < 1e-9 for each in (forced, alone))
        assert (as_forced | as_alone).all()
        forced_share += list(as_forced[differ])
    assert np.mean(forced_share) == pytest.approx(0.7, abs=0.12)


@pytest.mark.torch
@pytest.mark.parametrize("rate", [0.0, 1.0])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_agree_in_training(kind: str, rate: float) -> None:
    """No gradient flows through what was said."""
    inputs = {**given(), "rate": np.asarray(rate)}
    found = []
    for backend in ("numpy", "torch"):
        _, program = made(kind, backend)
        found.append(program.gradients(inputs, {"loss": np.ones(())}, training=True)[1])
    for address, gradient in found[0].items():
        np.testing.assert_allclose(found[1][address], gradient, rtol=1e-8, atol=1e-12, err_msg=address)


def test_a_model_that_is_not_sampled_has_no_rate() -> None:
    graph = load("seq2seq", {**SIZES, "sampled": False})
    assert "rate" not in {info.name for info in graph.inputs}


def test_one_step_of_cells_on_top_of_one_another_is_a_step_of_layers() -> None:
    text = """
model M(width=3, hidden=4, depth=2) {
  input x: [B, T, width]
  layer first = recurrent(lstm_cell(hidden))
  a = recurrent(lstm_cell(hidden))(x) as one
  output layers = recurrent(lstm_cell(hidden))(a) as two
  states = repeat_states(lstm_cell(hidden), depth)(x)
  output steps = scan t in T {
    states = stacked_step(lstm_cell(hidden), states=states, depth=depth)(x[T=t]) as _
    emit states[2]
  }
}
block repeat_states(cell, depth)(x: [B, T, D]) {
  states = []
  unrolled repeat i in depth { states = states + defaults(cell, [B, D]) }
  return states
}
""".replace("  layer first = recurrent(lstm_cell(hidden))\n", "")
    graph = written(text)
    draw = np.random.default_rng(0)
    arrays = {a: v + draw.normal(size=v.shape) for a, v in initial_parameters(graph, 0)}
    for layer, name in enumerate(("one", "two")):
        for parameter in ("from_x.weight", "from_h.weight", "bias"):
            arrays[f"t.layer.{layer}.cell.{parameter}"] = arrays[f"{name}.cell.{parameter}"]
    found = (
        backends.find("numpy")
        .program(graph, dtype="float64", parameters=arrays)
        .run({"x": draw.normal(size=(2, 5, 3))})
    )
    np.testing.assert_allclose(found["steps"], found["layers"], atol=1e-12)
