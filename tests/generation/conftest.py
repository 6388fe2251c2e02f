"""A small run that has learned nothing much: `Runs.make(tokenizer)` trains it for a few steps on NumPy."""

from __future__ import annotations

import this
from collections.abc import Callable
from pathlib import Path

import pytest

from attndsl.generation import Run, load_run
from attndsl.training import train
from attndsl.training.console import Silent

SPEC = """
model Tiny(vocab=256, context=12, width=16, depth=1) {
  input tokens: int[B, T] where T <= context, tokens < vocab
  layer wte = embedding(vocab, width)
  x = wte(tokens) + embedding(range(T), context, width) as wpe
  repeat h in depth {
    x += x |> layer_norm as ln_1 |> attention(2, mask=causal) as attn
    x += x |> layer_norm as ln_2 |> mlp(4 * width) as mlp
  }
  output logits = x |> layer_norm as ln_f |> dot(wte.table, over=width)
  input targets: int[B, T] optional
  output loss = cross_entropy(logits, targets, over=vocab)
}
"""


@pytest.fixture(scope="session")
def make_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    made: dict[str, Path] = {}

    def make(tokenizer: str) -> Run:
        if tokenizer not in made:
            folder = tmp_path_factory.mktemp("generation")
            (folder / "tiny.attn").write_text(SPEC)
            settings = {"tokenizer": tokenizer, "steps": 10, "lr": 1e-2}
            assert this.__file__ is not None
            train(
                str(folder / "tiny.attn"),
                this.__file__,
                folder / "run",
                settings=settings,
                backend="numpy",
                console=Silent(),
            )
            made[tokenizer] = folder / "run"
        return load_run(made[tokenizer])

    return make


@pytest.fixture
def run(make_run: Callable[[str], Run]) -> Run:
    return make_run("bytes")
