"""A trained run measured again: as its training measured it, and with a longer memory than it was trained with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import attndsl
from attndsl.diagnostics import AttnError
from attndsl.training.evaluation import evaluate_run
from tests.conftest import Finished

SPEC = """
model Reader(vocab=128, width=8, M=2, depth=1) {
  input tokens: int[B, T] where tokens < vocab
  x = embedding(tokens, vocab, width)
  repeat h in depth {
    state memory: [B, M, width] = zeros
    past = concat(memory, x, over=[M, T] -> K)
    memory <- past[K=T:]
    x += attention(x, past, 2, mask=causal) as attn
  }
  output logits = linear(x, vocab) as head
  input targets: int[B, T] optional where targets >= -100, targets < vocab
  output loss = cross_entropy(logits, targets, over=vocab)
}

train Reader {
  batches   = next_token(tokens, targets)
  tokenizer = chars
  minimize  = loss
  optimizer = adam(lr=0.05)
  batch     = 4
  length    = 4
  steps     = 30
  evaluate  = 30
}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluation")
    (folder / "reader.attn").write_text(SPEC, encoding="utf-8")
    (folder / "text.txt").write_text("abcdefgh hgfedcba abcdabcd " * 150, encoding="utf-8")
    done = attndsl.load(str(folder / "reader.attn")).train(
        str(folder / "text.txt"), str(folder / "run"), backend="numpy", quiet=True
    )
    return Path(done.folder)


def measured(run: Path, **settings: object) -> dict[str, float | None]:
    return {metric.name: metric.value for metric in evaluate_run(run, settings=settings)}  # type: ignore[arg-type]


def test_the_same_as_at_the_end_of_the_training(run: Path) -> None:
    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    assert measured(run) == pytest.approx(attndsl.open_run(run).metrics)
    assert before == {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}


def test_settings_that_the_weights_do_not_depend_on(run: Path) -> None:
    usual, longer, cut = measured(run), measured(run, M=9), measured(run, length=1)
    assert len({usual["loss per token"], longer["loss per token"], cut["loss per token"]}) == 3
    assert attndsl.open_run(run, M=9).graph.hyperparameters["M"] == 9


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_what_fewer_bits_cost(run: Path, backend: str) -> None:
    (loss, *_) = evaluate_run(run, backend=backend, weights_as="int8")
    assert loss.against == "with float32 weights"
    assert loss.baseline == pytest.approx(measured(run)["loss per token"], rel=1e-5)
    assert loss.value is not None
    assert 0 < abs(loss.value - loss.baseline) < 0.02 * loss.baseline


@pytest.mark.parametrize(
    ("settings", "code", "said"),
    [
        ({"width": 16}, "E0807", "change what no parameter's shape depends on"),
        ({"depth": 2}, "E0807", "change what no parameter's shape depends on"),
        ({"tokenizer": "bytes"}, "E0734", "an evaluation cannot change its `tokenizer`"),
        ({"memory": 3}, "E0402", "memory"),
    ],
)
def test_settings_that_they_depend_on(run: Path, settings: dict[str, object], code: str, said: str) -> None:
    with pytest.raises(AttnError) as caught:
        measured(run, **settings)
    assert caught.value.diagnostics[0].code == code
    assert said in str(caught.value)


def test_the_verb(run: Path, attndsl: Callable[..., Finished]) -> None:
    done = attndsl("evaluate", run, "--set", "M=9", "--json")
    found = {metric["name"]: metric["value"] for metric in json.loads(done.out)}
    assert found == pytest.approx(measured(run, M=9))
    assert "loss per token" in attndsl("evaluate", run).out
    assert attndsl("generate", run, "--set", "M=9", "--tokens", 3).code == 0
    assert attndsl("generate", run, "--set", "width=16", "--tokens", 3).code == 1
