"""A small run that has learned nothing much: `Runs.make(tokenizer)` trains it for a few steps on NumPy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attndsl.generation import Run, load_run
from attndsl.records import replace
from attndsl.training import train
from attndsl.training.console import Silent

A_TEXT = str(Path(__file__).parents[1] / "samples" / "prose.txt")

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
            train(
                str(folder / "tiny.attn"),
                A_TEXT,
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


def stirred(run: Run, size: float = 1.0) -> Run:
    """The run with weights drawn anew, so large that it says something else after every token."""
    draw = np.random.default_rng(1)
    sizes = {a: size * (4 if a.startswith("wpe") else 1) for a in run.weights}  # what a place says goes before a token
    weights = {a: sizes[a] * draw.standard_normal(each.shape).astype(each.dtype) for a, each in run.weights.items()}
    return replace(run, weights=weights)


# ---------------------------------------------------------------------------------------------- runs of every kind

KINDS = Path(__file__).with_name("kinds.attn")
PAIRS = [(f"{number} apples", f"{number:03}") for number in range(40)]
# The name of a run: its model, its data, and what is changed in its recipe.
RUNS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "classify": ("Classifier", [{"text": s, "label": "abc"[n % 3]} for n, (s, _) in enumerate(PAIRS)], {}),
    "pairs": (
        "Classifier",
        [{"text": s, "other": t, "label": "yn"[n % 2]} for n, (s, t) in enumerate(PAIRS)],
        {"batches.pair": "other"},
    ),
    "tag": ("Tagger", [{"tokens": s.split(), "tags": ["NUM", "NOUN"]} for s, _ in PAIRS], {}),
    "masked_tokens": ("Masked", None, {}),
    "next_token": ("Writer", None, {}),
    "both_directions": ("Spelled", None, {}),
    "sequence_to_sequence": ("Translator", [{"source": s, "target": t} for s, t in PAIRS], {}),
    "span_corruption": (
        "Translator",
        None,
        {
            "batches": "span_corruption(source, target, targets, valid=valid)",
            "special": 'tokens(pad="[PAD]", start="[GO]", end="[END]", sentinels=6)',
        },
    ),
    "denoise": (
        "Translator",
        None,
        {
            "batches": "denoise(source, target, targets, valid=valid)",
            "special": 'tokens(pad="[PAD]", start="[GO]", end="[END]", mask="[MASK]")',
        },
    ),
    "classify_images": (
        "Eyes",
        {"image": np.random.default_rng(0).random((40, 8, 8), np.float32), "label": np.arange(40) % 10},
        {},
    ),
    "answer": (
        "Asked",
        [{"question": "how many?", "context": s, "answer": s.split()[0], "start": 0} for s, _ in PAIRS],
        {},
    ),
    "contrast": (
        "Towers",
        {
            "image": np.random.default_rng(0).random((40, 6, 6), np.float32),
            "caption": [[f"a {'abc'[n % 3]}", f"one {'abc'[n % 3]}"] for n in range(40)],
            "label": ["abc"[n % 3] for n in range(40)],
        },
        {},
    ),
}


@pytest.fixture(scope="session")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """`run_of("classify")` is a run of three steps, which knows nothing and has all that a run has."""
    made: dict[str, Run] = {}

    def run(name: str) -> Run:
        if name not in made:
            model, data, changed = RUNS[name]
            folder = tmp_path_factory.mktemp("kinds")
            if data is None:
                data = A_TEXT
            train(f"{KINDS}:{model}", data, folder / "run", settings=changed, backend="numpy", console=Silent())
            made[name] = load_run(folder / "run")
        return made[name]

    return run
