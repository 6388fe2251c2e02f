"""Every objective from its data to its metrics: what a run keeps, how it goes on, and what is refused."""

from __future__ import annotations

import itertools
import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attndsl.objectives import OBJECTIVES
from attndsl.runs.log import read_log
from attndsl.runs.record import WEIGHTS
from attndsl.training import train
from attndsl.training.console import Silent
from tests.training.objective_models import (
    CAPTIONED,
    PAIRS,
    PATCHES,
    QUESTIONS,
    ROWS,
    TAGGED,
    Go,
    facts,
    refused,
)

SMOOTHED = {"loss per token", "minimised loss", "tokens"}


CASES = {
    "masked_tokens": ("Tiny", None, {}, {"loss", "masked tokens"}),
    "next_token": (
        "Tiny", None, {"batches": "next_token(tokens, targets)"}, {"loss per token", "loss per byte", "perplexity"}
    ),
    "both_directions": ("Spelled", None, {}, {"loss per word", "perplexity", "next word", "previous word"}),
    "classify": ("Tiny:class", ROWS, {}, {"loss", "accuracy", "macro F1"}),
    "tag": ("Tiny:tags", TAGGED, {}, {"loss", "token accuracy", "macro F1"}),
    "sequence_to_sequence": ("Pair", PAIRS, {}, SMOOTHED | {"exact match", "chrF"}),
    "denoise": ("Pair", None, {"batches": "denoise(source, target, targets)"}, SMOOTHED),
    "span_corruption": (
        "Pair", None, {"batches": "span_corruption(source, target, targets, valid=valid)"}, SMOOTHED
    ),
    "classify_images": ("Pictures", PATCHES, {}, {"loss", "accuracy", "macro F1"}),
    "answer": ("Tiny:answer", QUESTIONS, {}, {"loss", "exact match", "F1"}),
    "contrast": ("Towers", CAPTIONED, {}, {"loss", "own text", "zero-shot accuracy", "macro F1"}),
}  # fmt: skip


@pytest.mark.parametrize("kind", CASES)
def test_from_data_to_metrics(go: Go, book: str, tmp_path: Path, kind: str) -> None:
    model, data, settings, names = CASES[kind]
    outcome = go(model, book if data is None else data, **settings)
    assert outcome.objective == kind
    assert {metric.name for metric in outcome.metrics} == names
    assert all(metric.value is not None and np.isfinite(metric.value) for metric in outcome.metrics)
    kept = facts(tmp_path / "run")
    assert [metric["name"] for metric in kept["metrics"]] == [metric.name for metric in outcome.metrics]
    assert kept["recipe"]["batches"]["kind"] == kind
    assert (tmp_path / "run" / WEIGHTS).is_file()
    lines = [line for line in read_log(tmp_path / "run") if "loss" in line]
    assert [line["step"] for line in lines] == list(range(1, 9))
    assert all(a["tokens"] < b["tokens"] for a, b in itertools.pairwise(lines))
    expected = {"classify": ["bad", "good"], "tag": ["A", "N", "Q"], "classify_images": ["0", "1", "2"]}
    expected["contrast"] = ["0", "1", "2"]
    # The most frequent words; those that are as frequent as each other in the order of their letters.
    expected["both_directions"] = [
        "<unknown>",
        *["!", ",", ".", "A", "Another", "about", "of", "one", "sentence", "words", "0"],
    ]
    assert kept["labels"] == expected.get(kind)
    if kind in expected and kind != "contrast":
        counted = "vocab" if kind == "both_directions" else "labels"
        assert kept["hyperparameters"][counted] == len(expected[kind])
    if data is None or kind in ("sequence_to_sequence", "answer"):
        read = "entries" if kind == "both_directions" else "vocab"
        assert kept["hyperparameters"][read] == kept["tokenizer"]["vocab"]


@pytest.mark.parametrize(
    "kind",
    ["masked_tokens", "both_directions", "sequence_to_sequence", "span_corruption", "classify_images", "contrast"],
)
def test_a_run_that_was_stopped_is_the_same(
    go: Go, book: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    model, data, settings, _ = CASES[kind]
    data = book if data is None else data
    settings = settings | {"accumulate": 1 if OBJECTIVES[kind].joint else 2}
    go(model, data, "whole", **settings)

    def stop_after_five(self: Silent, step: int, loss: float, tokens_per_second: float) -> None:
        if step == 5:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Silent, "step", stop_after_five)
    assert go(model, data, "stopped", **settings).interrupted
    monkeypatch.undo()
    train(resume=tmp_path / "stopped", data=None if isinstance(data, str) else data, console=Silent())

    def told(run: str) -> list[dict[str, Any]]:
        return [{name: v for name, v in line.items() if name != "seconds"} for line in read_log(tmp_path / run)]

    assert told("whole") == told("stopped")
    assert (tmp_path / "whole" / WEIGHTS).read_bytes() == (tmp_path / "stopped" / WEIGHTS).read_bytes()
    assert facts(tmp_path / "whole")["metrics"] == facts(tmp_path / "stopped")["metrics"]


SUM = """
model Sum(vocab=300, context=32, width=8, labels=2, weights=[1.0, 4.0], beside=0.25) {
  require len(weights) == labels
  input tokens: int[B, T] where T <= context, tokens < vocab
  x = embedding(tokens, vocab, width)
  input targets: int[B, T] optional where targets >= -100, targets < vocab
  output words = cross_entropy(linear(x, vocab), targets, over=vocab)
  input label: int[B] optional where label < labels
  output logits = linear(mean(x, over=T), labels)
  output class = cross_entropy(logits, label, over=labels, weight=stack(weights, over=labels))
  output loss = class + beside * words
}
train Sum {
  batches   = classify(tokens, label, targets=targets)
  special   = tokens(pad="[PAD]")
  schedule  = constant()
  steps     = 3
  batch     = 4
  accumulate = 2
  held_out  = 0.25
}
"""


def test_each_term_of_a_sum_is_logged(go: Go, tmp_path: Path) -> None:
    (tmp_path / "Sum.attn").write_text(SUM)
    go("Sum", ROWS, precision="float64")
    lines = read_log(tmp_path / "run")
    steps = [(line["loss"], line["scalars"]) for line in lines if "loss" in line]
    held = [(line["held_out"], line["held_out_scalars"]) for line in lines if "held_out" in line]
    assert (len(steps), len(held)) == (3, 1)
    for loss, scalars in steps + held:
        assert loss == pytest.approx(scalars["class"] + 0.25 * scalars["words"], rel=1e-9)


def test_data_from_python_are_given_again(go: Go, tmp_path: Path) -> None:
    go("Tiny:class", ROWS, steps=3)
    refused(lambda: train(resume=tmp_path / "run", settings={"steps": 4}, console=Silent()), "E0734")
    refused(lambda: train(resume=tmp_path / "run", data=ROWS[:-1], settings={"steps": 4}, console=Silent()), "E0734")
    assert train(resume=tmp_path / "run", data=ROWS, settings={"steps": 4}, console=Silent()).step == 4


def test_a_table_in_a_file_is_found_again(go: Go, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    go("Tiny:class", str(path), steps=3)
    assert train(resume=tmp_path / "run", settings={"steps": 4}, console=Silent()).step == 4
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS[1:]))
    refused(lambda: train(resume=tmp_path / "run", settings={"steps": 5}, console=Silent()), "E0734")


def test_tuples_are_rows_in_the_order_of_the_columns(go: Go) -> None:
    assert go("Tiny:class", [(row["text"], row["label"]) for row in ROWS]).step == 8
    assert go("Pair", [(row["source"], row["target"]) for row in PAIRS], "pairs").step == 8


def test_other_columns(go: Go, tmp_path: Path) -> None:
    rows = [{"review": row["text"], "stars": int(row["label"] == "good")} for row in ROWS]
    diagnostic = refused(lambda: go("Tiny:class", rows), "E0711")
    assert "review" in " ".join(diagnostic.notes)
    assert not (tmp_path / "run").exists()
    outcome = go("Tiny:class", rows, **{"batches.text": "review", "batches.label": "stars"})
    assert outcome.step == 8
    assert facts(tmp_path / "run")["labels"] == ["0", "1"]


# ---------------------------------------------------------------------------------------------- what is evaluated


def test_batches_weigh_as_much_as_counts_in_them(go: Go, tmp_path: Path) -> None:
    """The held-out loss is the mean over all its tokens, whatever batches they came in."""
    rows = [{"source": "x", "target": "y" * (1 + i % 12)} for i in range(60)]
    found = {}
    for batch in (1, 4, 64):
        outcome = go("Pair", rows, f"run{batch}", batch=batch, steps=1, lr=0, evaluate_batches=64)
        assert outcome.held_out is not None
        found[batch] = outcome.held_out
    assert len({evaluation.counted for evaluation in found.values()}) == 1
    np.testing.assert_allclose([found[n].per_token for n in (1, 4)], found[64].per_token, rtol=1e-5)


def test_a_classifier_that_learns_beats_its_majority_class(go: Go) -> None:
    outcome = go("Tiny:class", ROWS * 4, steps=60, lr=0.02, batch=16)
    accuracy, score = (next(m for m in outcome.metrics if m.name == name) for name in ("accuracy", "macro F1"))
    assert accuracy.value == score.value == 1.0
    assert accuracy.baseline is not None
    assert score.baseline is not None
    assert 0.5 <= accuracy.baseline < 1
    assert score.baseline < accuracy.baseline


def test_sequences_are_written_out(go: Go) -> None:
    rows = [{"source": letter * (1 + i), "target": letter} for letter in "abcd" for i in range(10)]
    outcome = go("Pair", rows, steps=120, lr=0.05, batch=16, held_out=0.2, width=16)
    exact = next(metric for metric in outcome.metrics if metric.name == "exact match")
    assert exact.value is not None
    assert exact.value > 0.9
    assert exact.baseline is not None
    assert exact.baseline < 0.6


# ---------------------------------------------------------------------------------------------- what does not fit


@pytest.mark.parametrize(
    ("model", "data", "settings", "code", "said"),
    [
        ("Tiny:class", "book", {}, "E0718", ""),
        ("Tiny", "rows", {}, "E0758", "table"),
        ("Tiny:class", "rows", {"labels": 1}, "E0757", "labels"),
        ("Spelled", "book", {"vocab": 11}, "E0757", "vocab"),
        ("Spelled", "book", {"entries": 256}, "E0709", "entries"),
        ("Spelled", "book", {"special": 'tokens(pad="<pad>", begin="<w>")'}, "E0735", 'end="<end>"'),
        ("Spelled", "book", {"batches": "both_directions(next_word, next_word, previous_word)"}, "E0722", "[B, T, C]"),
        ("Tiny", "book", {"batches": "both_directions(tokens, targets, targets)"}, "E0722", "int[B, T, C]"),
        ("Spelled", "book", {"batches": "next_token(characters, next_word)"}, "E0722", "int[B, T]"),
        ("Spelled", "rows", {}, "E0758", "table"),
        ("Tiny:class", "rows", {"vocab": 10}, "E0709", "vocab"),
        ("Tiny", "book", {"special": 'tokens(pad="[PAD]")'}, "E0735", 'mask="<mask>"'),
        ("Pair", "pairs", {"special": 'tokens(pad="[PAD]")'}, "E0735", 'end="<end>"'),
        ("Pair", "book", {"batches": "span_corruption(source, target, targets)", "special.sentinels": 1}, "E0737", "="),
        ("Tiny", "book", {"batches": "masked_tokens(tokens, target)"}, "E0722", "did you mean `targets`?"),
        ("Tiny", "book", {"batches": "masked_tokens(tokens, valid)"}, "E0722", "int[B, T]"),
        ("Tiny", "book", {"batches": "masked_tokens(tokens, targets, next=targets)"}, "E0722", "int[B]"),
        ("Pair", "pairs", {"batches": "classify(source, targets)"}, "E0722", ""),
        ("Tiny", "book", {"batches": "masked_token(tokens, targets)"}, "E0720", "masked_tokens"),
        ("Tiny", "book", {"batches": "masked_tokens(tokens, targets, shar=0.1)"}, "E0720", "share"),
        ("Tiny", "book", {"batches.share": "2"}, "E0721", "share"),
        ("Tiny", "book", {"special.msk": "x"}, "E0720", "mask"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_begins(
    go: Go, book: str, tmp_path: Path, model: str, data: str, settings: dict[str, Any], code: str, said: str
) -> None:
    given = {"book": book, "rows": ROWS, "pairs": PAIRS}[data]
    diagnostic = refused(lambda: go(model, given, **settings), code)
    assert said in " ".join(diagnostic.helps)
    assert not (tmp_path / "run").exists()


def test_what_is_too_long_is_cut_and_told(go: Go, console: Silent) -> None:
    go("Tiny:class", [{**row, "text": row["text"] * 9} for row in ROWS])
    assert any("longer than 32 tokens: their ends are cut off" in text for text in console.said)
