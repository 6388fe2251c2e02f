"""A model small enough to train in a blink, text for it, and a console that only listens."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attndsl.training import Outcome, train
from attndsl.training.console import Silent
from tests.training.objective_models import PAIR, PICTURES, SPEC, SPELLED, TOWERS, Go

A_TEXT = str(Path(__file__).parents[1] / "samples" / "prose.txt")

TINY = """
model Tiny(vocab=256, context=16, width=16, depth=1, heads=2, p=0.1) {
  input tokens: int[B, T] where T <= context, tokens < vocab
  layer wte = embedding(vocab, width)
  x = wte(tokens) + embedding(range(T), context, width) as wpe
  x = dropout(x, p)
  repeat h in depth {
    x += x |> layer_norm as ln_1 |> attention(heads, mask=causal, dropout=p) as attn |> dropout(p)
    x += x |> layer_norm as ln_2 |> mlp(4 * width, act=gelu_tanh) as mlp |> dropout(p)
  }
  output logits = x |> layer_norm as ln_f |> dot(wte.table, over=width)
  input targets: int[B, T] optional
  output loss = cross_entropy(logits, targets, over=vocab)
}

train Tiny {
  batches    = next_token(tokens, targets)
  minimize   = loss
  optimizer  = adamw(lr=1e-2, betas=[0.9, 0.95], decay=0.1)
  schedule   = warmup_cosine(warmup=2, steps=12, floor=0.1)
  batch      = 4
  evaluate   = 5
  checkpoint = 4
}
"""


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "tiny.attn"
    path.write_text(TINY)
    return str(path)


@pytest.fixture
def text() -> str:
    return A_TEXT


@pytest.fixture(params=["numpy", pytest.param("torch", marks=pytest.mark.torch)])
def backend(request: pytest.FixtureRequest) -> str:
    if request.param == "torch" and importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed")
    return str(request.param)


@pytest.fixture
def console() -> Silent:
    return Silent()


@pytest.fixture
def trained(spec: str, text: str, tmp_path: Path, backend: str) -> Callable[..., Outcome]:
    """`trained("run", lr=1e-3)`: a run in that folder, with those settings, on either backend."""

    def run(folder: str = "run", resume: str | Path | None = None, **settings: str | int | float) -> Outcome:
        if resume is not None:
            return train(resume=resume, settings=settings, console=Silent())
        return train(spec, text, tmp_path / folder, settings=settings, backend=backend, device="cpu", console=Silent())

    return run


@pytest.fixture
def go(tmp_path: Path, backend: str, console: Silent) -> Go:
    """`go("Tiny:class", rows, "run", steps=3)`: a run of that model."""
    for name, source in (("Tiny", SPEC), ("Pair", PAIR), ("Pictures", PICTURES), ("Towers", TOWERS),
                         ("Spelled", SPELLED)):  # fmt: skip
        (tmp_path / f"{name}.attn").write_text(source)

    def run(model: str, data: Any, out: str = "run", weights: Path | None = None, **settings: Any) -> Outcome:
        file, _, variant = model.partition(":")
        spec = str(tmp_path / f"{file}.attn") + (f":{variant}" if variant else "")
        return train(
            spec, data, tmp_path / out, weights=weights, settings=settings, backend=backend, device="cpu",
            console=console,
        )  # fmt: skip

    return run


@pytest.fixture
def book(tmp_path: Path) -> str:
    path = tmp_path / "book.txt"
    path.write_text("\n".join(f"A sentence about {i}. Another one, of {i * i} words!" for i in range(200)))
    return str(path)
