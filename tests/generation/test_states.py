"""Text from models that keep states: the prompt is read once, each token by itself, and nothing is padded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import attndsl
from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.generation import Run, generate, load_run
from attndsl.training import train
from attndsl.training.console import Silent
from tests.generation.conftest import A_TEXT

RECURRENT = """
model Recurrent(vocab=256, width=12) {
  input tokens: int[B, T] where tokens < vocab
  x = embedding(tokens, vocab, width) as word
  state last: [B, width] = zeros
  u = linear(x, width, init=normal(0.5)) as from_x
  y = scan t in T with s: [B, width] = last {
    s = tanh(u[T=t] + linear(s, width, bias=false, init=normal(0.5)) as from_s)
    emit s
  }
  last <- y[T=T - 1]
  output logits = linear(y, vocab) as head
"""
REMEMBERING = """
model Remembering(vocab=256, width=12, depth=2, M=5, context=8) {
  input tokens: int[B, T] where tokens < vocab, T <= context
  x = embedding(tokens, vocab, width) as word
  repeat h in depth {
    state memory: [B, M, width] = zeros
    state filled: int[B] = 0
    past = concat(memory, x, over=[M, T] -> K)
    there: bool[B, K] = positions(K) >= -filled
    x += attention(x, past, 2, mask=causal & keys(there), position=alibi(2)) as attn
    memory <- past[K=T:]
    filled <- minimum(filled + T, M)
  }
  output logits = linear(x, vocab) as head
"""
LOSS = """
  input targets: int[B, T] optional where targets >= -100, targets < vocab
  output loss = cross_entropy(logits, targets, over=vocab)
}
"""


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("states")
    found = {}
    for name, text in (("recurrent", RECURRENT), ("remembering", REMEMBERING)):
        (folder / f"{name}.attn").write_text(text + LOSS)
        settings = {"steps": 6, "lr": 0.05, "batch": 4, "length": 8}
        train(str(folder / f"{name}.attn"), A_TEXT, folder / name, settings=settings, backend="numpy", console=Silent())
        found[name] = load_run(folder / name)
    return found


def test_what_a_recurrent_model_writes_is_what_it_says_to_the_whole_text(runs: dict[str, Run]) -> None:
    program = runs["recurrent"].program("numpy")
    tokens = list(b"Now is the time for")
    for _ in range(20):
        logits = program.run({"tokens": np.array([tokens])}, ["logits"])["logits"]
        tokens.append(int(np.argmax(logits[0, -1])))
    expected = bytes(tokens[19:]).decode(errors="replace")
    assert "".join(generate(runs["recurrent"], "Now is the time for", 20, temperature=0, backend="numpy")) == expected


def test_a_memory_is_read_segment_by_segment_then_token_by_token(runs: dict[str, Run]) -> None:
    program, states = runs["remembering"].program("numpy"), None
    tokens, new = list(b"Now is the time for"), list(b"Now is the time for")
    for _ in range(20):
        for piece in [new[start : start + 8] for start in range(0, len(new), 8)]:
            results = program.run({"tokens": np.array([piece])}, ["logits"], states=states)
            states = results.states
        new = [int(np.argmax(results["logits"][0, -1]))]
        tokens += new
    expected = bytes(tokens[19:]).decode(errors="replace")
    heard: list[str] = []
    found = generate(runs["remembering"], "Now is the time for", 20, temperature=0, backend="numpy", say=heard.append)
    assert "".join(found) == expected
    assert not heard


@pytest.mark.parametrize("name", ["recurrent", "remembering"])
def test_every_token_costs_the_same(runs: dict[str, Run], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []
    run = NumpyProgram.run

    def counted(self, inputs, *arguments, **named):
        lengths.append(inputs["tokens"].shape[1])
        return run(self, inputs, *arguments, **named)

    monkeypatch.setattr(NumpyProgram, "run", counted)
    assert list(generate(runs[name], "x" * 19, 40, backend="numpy"))
    assert lengths == [8, 8, 3, *[1] * 39]


@pytest.mark.torch
@pytest.mark.parametrize("name", ["recurrent", "remembering"])
def test_the_backends_write_the_same(runs: dict[str, Run], name: str) -> None:
    first, second = (
        "".join(generate(runs[name], "When in the", 30, seed=5, backend=backend)) for backend in ("numpy", "torch")
    )
    assert first == second


def test_prompts_of_different_lengths_are_texts_of_their_own(runs: dict[str, Run]) -> None:
    for run in runs.values():
        model = attndsl.open_run(run.folder)
        prompts = ["a", "a longer one, of two segments", "two"]
        together = model.generate(prompts, 8, temperature=0, backend="numpy")
        assert together == [model.generate(prompt, 8, temperature=0, backend="numpy") for prompt in prompts]


def test_a_state_that_is_written_from_answers_stays_in_use(tmp_path: Path) -> None:
    """Its next value is a matter of training: here, a running mean of the loss."""
    spec = tmp_path / "averaging.attn"
    body = LOSS.replace("optional ", "").replace("}\n", "  mean <- 0.9 * mean + 0.1 * loss\n}\n")
    text = RECURRENT.replace("  output logits =", "  state mean: [] = 5.0\n  y = y / mean\n  output logits =")
    spec.write_text(text + body)
    settings = {"steps": 3, "batch": 2, "length": 8}
    for backend in ("numpy", "torch"):
        if backend == "torch":
            pytest.importorskip("torch")
        run = tmp_path / backend
        train(str(spec), A_TEXT, run, settings=settings, backend=backend, device="cpu", console=Silent())
        trained = load_run(run)
        assert trained.weights["mean"] > 5.1
        program = trained.program(backend)
        results = program.run({"tokens": np.array([[1, 2, 3]])})
        np.testing.assert_allclose(results.states["mean"], trained.weights["mean"])
        assert "".join(generate(trained, "a", 4, backend=backend))
