"""States in training: carried from segment to segment with the gradient cut, kept in checkpoints, begun anew with each
epoch and each evaluation; those that all rows share are kept with the weights."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.data.batches import Segments
from attndsl.diagnostics import AttnError
from attndsl.elaborate import load
from attndsl.recipe.recipe import Recipe
from attndsl.running.states import stacks_of
from attndsl.runs.checkpoint import furthest_parameters, list_checkpoints, read_tensors, save_checkpoint
from attndsl.runs.run import load_run
from attndsl.training import Outcome, train
from attndsl.training.console import Silent
from attndsl.training.data import CACHE, TrainingData, open_data
from tests.training.reading import losses
from tests.training.test_kill import check

ELMAN = """
model Elman(vocab=256, width=12, depth=2) {
  input tokens: int[B, T] where tokens < vocab
  state read: int[B] = 0
  read <- read + T
  state rate: [width] = ones                       # of all rows: a running average
  x = embedding(tokens, vocab, width) as word
  rate <- 0.9 * rate + 0.1 * mean(x ^ 2, over=[B, T])
  x = x * rsqrt(rate + 0.1)
  repeat h in depth {
    state last: [B, width] = zeros
    u = linear(x, width, init=normal(0.3)) as from_x
    x = scan t in T with s: [B, width] = last {
      s = tanh(u[T=t] + linear(s, width, bias=false, init=normal(0.3)) as from_s)
      emit s
    }
    last <- x[T=T - 1]
  }
  output logits = linear(x, vocab) as head
  input targets: int[B, T] optional where targets >= -100, targets < vocab
  output loss = cross_entropy(logits, targets, over=vocab)
}

train Elman {
  batches    = next_token(tokens, targets)
  minimize   = loss
  optimizer  = sgd(lr=0.5, momentum=0)
  schedule   = constant()
  batch      = 3
  length     = 10
  steps      = 7
  evaluate   = 7
  checkpoint = 3
  clip       = 0
  precision  = "float64"
}
"""


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "elman.attn"
    path.write_text(ELMAN)
    return str(path)


def run(spec: str, text: str, folder: Path, backend: str, **settings: Any) -> Outcome:
    return train(spec, text, folder, settings=settings, backend=backend, device="cpu", console=Silent())


# ---------------------------------------------------------------- which text


TOKENS = np.arange(100)


def test_rows_go_on_where_they_ended_and_an_epoch_begins_again():
    segments = Segments(("a", "b"), batch=2, length=5, parts=3)
    assert segments.steps(TOKENS) == 3  # stretches of 16 tokens
    for part in range(3):
        batches = [segments.training(TOKENS, step, part) for step in range(6)]
        rows = np.concatenate([batch["a"] for batch in batches[:3]], 1)
        assert rows.tolist() == [list(range(start, start + 15)) for start in (32 * part, 32 * part + 16)]
        for batch in batches:
            np.testing.assert_array_equal(batch["b"], batch["a"] + 1)
        for first, again in zip(batches[:3], batches[3:], strict=True):
            np.testing.assert_array_equal(first["a"], again["a"])
    assert [segments.goes_on(TOKENS, step) for step in range(6)] == [False, True, True] * 2


@pytest.mark.parametrize(
    ("size", "shape", "count"), [(100, (2, 5), 4), (11, (2, 5), 1), (8, (1, 5), 1), (4, (1, 3), 1)]
)
def test_held_out_text_is_walked_in_order(size, shape, count):
    found = list(Segments(("a", "b"), batch=2, length=5, parts=3).evaluation(TOKENS[:size], 4))
    assert [batch["a"].shape for batch in found] == [shape] * count
    rows = np.concatenate([batch["a"] for batch in found], 1)
    assert (np.diff(rows) == 1).all()
    assert rows[0, 0] == 0


# ---------------------------------------------------------------- what is computed with


def test_a_step_goes_on_with_the_states_and_no_gradient_flows_back(spec, text, tmp_path, backend):
    """The same by hand: each loss from the states of the step before, as constants."""
    run(spec, text, tmp_path / "run", backend, steps=5)
    graph = load(spec)
    program = NumpyProgram(graph, dtype="float64", seed=0)
    tokens = _data(tmp_path / "run").train
    segments, states = Segments(("tokens", "targets"), 3, 10), None
    for step, loss in enumerate(losses(tmp_path / "run")):
        batch = segments.training(tokens, step)
        results = program.run(batch, ["loss"], states=states, training=True)
        assert results["loss"] == pytest.approx(loss, rel=1e-9)
        given = batch if states is None else batch | stacks_of(graph, states)
        _, gradients, _ = program.gradients(given, {"loss": np.ones(())}, training=True)
        for address, gradient in gradients.items():
            program.arrays[address] -= 0.5 * gradient
        states = results.states
    assert set(np.concatenate([states["read"]])) == {50}


def _data(run: Path) -> TrainingData:
    facts = json.loads((run / "run.json").read_text())
    found = open_data(facts["data"]["key"], Recipe.from_json(facts["recipe"]), run.parent / CACHE, None)
    assert found is not None
    return found


def test_an_epoch_begins_with_fresh_rows_and_keeps_what_all_share(spec, tmp_path, backend):
    short = tmp_path / "short.txt"
    short.write_text("Ein kurzer Text, der bald zu Ende ist und dann von vorn beginnt." * 2)
    run(spec, str(short), tmp_path / "run", backend, held_out=0, steps=5)
    states = read_tensors(list_checkpoints(tmp_path / "run")[-1][1], "the checkpoint")[0]
    assert states["states/0/read"].tolist() == [10] * 3  # 127 tokens in 3 rows: 4 steps in an epoch
    assert not np.allclose(states["parameters/rate"], 1)


def test_accumulated_batches_are_rows_of_their_own(text, tmp_path, backend):
    """A step over two parts of three rows is one over six, where nothing is shared by all rows."""
    spec = tmp_path / "rows.attn"
    spec.write_text("\n".join(line for line in ELMAN.splitlines() if "rate" not in line))
    run(str(spec), text, tmp_path / "parts", backend, accumulate=2, steps=4)
    run(str(spec), text, tmp_path / "whole", backend, batch=6, steps=4)
    assert losses(tmp_path / "parts") == pytest.approx(losses(tmp_path / "whole"), rel=1e-10)
    newest = [list_checkpoints(tmp_path / name)[-1][1] for name in ("parts", "whole")]
    parts, whole = (read_tensors(path, "the checkpoint")[0] for path in newest)
    for name in ("read", "h.0.last", "h.1.last"):
        found = np.concatenate([parts[f"states/{part}/{name}"] for part in range(2)])
        np.testing.assert_allclose(found, whole[f"states/0/{name}"], rtol=1e-9)


def test_evaluation_begins_anew_and_carries(spec, text, tmp_path, backend):
    outcome = run(spec, text, tmp_path / "run", backend, steps=2, evaluate_batches=3)
    trained = load_run(tmp_path / "run")
    program = trained.program("numpy")
    held_out = _data(tmp_path / "run").held_out
    states, nats = None, []
    for batch in Segments(("tokens", "targets"), 3, 10).evaluation(held_out, 3):
        results = program.run(batch, ["loss"], states=states)
        states = results.states
        nats.append(float(results["loss"]))
    assert outcome.held_out is not None
    assert outcome.held_out.loss == pytest.approx(np.mean(nats), rel=1e-5)


def test_segments_can_be_chosen_by_hand(spec, text, tmp_path):
    outcomes = {}
    for chosen in ("true", "false", "auto"):
        run(spec, text, tmp_path / chosen, "numpy", **{"batches.segments": chosen})
        outcomes[chosen] = losses(tmp_path / chosen)
    assert outcomes["true"] == outcomes["auto"] != outcomes["false"]
    kept = read_tensors(list_checkpoints(tmp_path / "false")[-1][1], "the checkpoint")[0]
    assert kept["states/0/read"].tolist() == [10] * 3


# ---------------------------------------------------------------- what is kept


def test_states_that_all_rows_share_come_with_the_weights(spec, text, tmp_path, backend):
    run(spec, text, tmp_path / "run", backend)
    weights, _ = furthest_parameters(tmp_path / "run")
    trained = load_run(tmp_path / "run")
    tokens = np.full((2, 4), 7)
    want = NumpyProgram(trained.graph, parameters=weights).run({"tokens": tokens})
    found = trained.program(backend).run({"tokens": tokens})
    np.testing.assert_allclose(found["logits"], want["logits"], atol=1e-5)
    plain = {address: array for address, array in weights.items() if address != "rate"}
    other = NumpyProgram(trained.graph, parameters=plain).run({"tokens": tokens})
    assert not np.allclose(other["logits"], want["logits"], atol=1e-4)
    (tmp_path / "more").mkdir()
    train(spec, text, tmp_path / "more/run", weights=tmp_path / "run", settings={"steps": 1}, backend=backend,
          device="cpu", console=Silent())  # fmt: skip
    first = read_tensors(list_checkpoints(tmp_path / "more/run")[0][1], "the checkpoint")[0]
    np.testing.assert_array_equal(first["parameters/rate"], weights["rate"])


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_killed_and_resumed(spec, text, tmp_path, backend):
    more = {"accumulate": 2, "precision": "float32", "steps": 40}
    check(spec, text, tmp_path, backend, 2, int.from_bytes(os.urandom(4)), **more)


def test_a_resumed_run_keeps_its_rows(spec, text, tmp_path):
    run(spec, text, tmp_path / "run", "numpy")
    for name in ("batch", "length", "accumulate"):
        with pytest.raises(AttnError, match=f"cannot change its `{name}`") as caught:
            train(resume=tmp_path / "run", settings={name: 4, "steps": 9}, console=Silent())
        assert caught.value.diagnostics[0].code == "E0734"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {k: v for k, v in s.items() if not k.startswith("states/")}, "has no states"),
        (lambda s: {k: v for k, v in s.items() if k != "states/0/read"}, "lacks `states/0/read`"),
        (lambda s: s | {"states/0/h.2.last": s["states/0/h.1.last"]}, "has `states/0/h.2.last`"),
        (lambda s: s | {"states/0/read": s["states/0/read"][None]}, "2 axes instead of 1"),
        (lambda s: s | {"parameters/rate": s["parameters/rate"][:3]}, r"shape \[3\]"),
        (lambda s: {k: v for k, v in s.items() if k != "parameters/rate"}, "lacks `parameters/rate`"),
    ],
)
def test_a_checkpoint_with_other_states_is_refused(spec, text, tmp_path, change, message):
    run(spec, text, tmp_path / "run", "numpy")
    path = list_checkpoints(tmp_path / "run")[-1][1]
    save_checkpoint(tmp_path / "run", 7, change(dict(read_tensors(path, "the checkpoint")[0])))
    with pytest.raises(AttnError, match=message) as caught:
        train(resume=tmp_path / "run", settings={"steps": 9}, console=Silent())
    assert caught.value.diagnostics[0].code == "E0733"


def test_a_text_too_short_for_its_rows_is_refused(spec, tmp_path):
    short = tmp_path / "short.txt"
    short.write_text("Zu kurz.")
    with pytest.raises(AttnError, match="3 rows of segments of 10 take 31") as caught:
        run(spec, str(short), tmp_path / "run", "numpy", held_out=0)
    assert caught.value.diagnostics[0].code == "E0704"
