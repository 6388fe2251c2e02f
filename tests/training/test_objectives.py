"""Every objective from its data to its metrics: what a run keeps, how it goes on, and from which body it begins."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from attndsl.diagnostics import AttnError, Diagnostic
from attndsl.objectives import OBJECTIVES
from attndsl.runs.checkpoint import list_checkpoints
from attndsl.runs.record import RECORD, WEIGHTS
from attndsl.training import Outcome, train
from attndsl.training.console import Silent
from attndsl.training.log import read_log

SPEC = """
model Tiny(vocab=300, context=32, width=8, depth=1, labels=2, head="words") {
  input tokens: int[B, T] where T <= context, tokens < vocab
  input valid: bool[B, T] optional = true
  layer word = embedding(vocab, width)
  x = word(tokens)
  repeat h in depth {
    x += x |> layer_norm as norm |> attention(2, mask=keys(valid)) as attn
  }
  if head == "words" {
    output logits = dot(x, word.table, over=width)
    input targets: int[B, T] optional where targets >= -100, targets < vocab
    output loss = cross_entropy(logits, targets, over=vocab)
  }
  if head == "class" {
    output logits = linear(mean(x, over=T), labels) as classifier
    input label: int[B] optional where label < labels
    output loss = cross_entropy(logits, label, over=labels)
  }
  if head == "answer" {
    output first = linear(x, 1)[1=0]
    output last = linear(x, 1)[1=0]
    input first_label: int[B] optional where first_label < T
    input last_label: int[B] optional where last_label < T
    output loss = cross_entropy(first, first_label, over=T) + cross_entropy(last, last_label, over=T)
  }
  if head == "tags" {
    output logits = linear(x, labels) as tagger
    input targets: int[B, T] optional where targets >= -100, targets < labels
    output loss = cross_entropy(logits, targets, over=labels)
  }
}
variant Tiny:class { head="class" }
variant Tiny:tags { head="tags" }
variant Tiny:answer { head="answer" }

train Tiny {
  batches   = masked_tokens(tokens, targets, valid=valid)
  special   = tokens(pad="[PAD]", begin="[CLS]", end="[SEP]", mask="[MASK]")
  optimizer = adamw(lr=1e-2)
  schedule  = constant(warmup=2)
  steps     = 8
  batch     = 4
  evaluate  = 4
  evaluate_batches = 2
  checkpoint = 3
}
train Tiny:class {
  batches   = classify(tokens, label, valid=valid)
  special   = tokens(pad="[PAD]", begin="[CLS]", end="[SEP]", mask="[MASK]")
  schedule  = constant()
  steps     = 8
  batch     = 4
  evaluate  = 4
  checkpoint = 3
  held_out  = 0.25
}
train Tiny:answer {
  batches   = answer(tokens, first_label, last_label, valid=valid)
  special   = tokens(pad="[PAD]", begin="[CLS]", end="[SEP]")
  schedule  = constant()
  steps     = 8
  batch     = 4
  held_out  = 0.25
}
train Tiny:tags {
  batches   = tag(tokens, targets, valid=valid)
  special   = tokens(pad="[PAD]", begin="[CLS]", end="[SEP]", mask="[MASK]")
  schedule  = constant()
  steps     = 8
  batch     = 4
  held_out  = 0.25
}
"""
PAIR = """
model Pair(vocab=300, context=32, width=8) {
  input source: int[B, S] where S <= context, source < vocab
  input target: int[B, T] where T <= context, target < vocab
  input valid: bool[B, S] optional = true
  layer word = embedding(vocab, width)
  y = word(target)
  y += attention(y, word(source), 2, mask=keys(valid)) as cross
  y += mlp(y, 32, act=relu) as mlp
  output logits = linear(y, vocab) as head
  input targets: int[B, T] optional where targets >= -100, targets < vocab
  output loss = cross_entropy(logits, targets, over=vocab, smoothing=0.1)
}
train Pair {
  batches   = sequence_to_sequence(source, target, targets, valid=valid)
  special   = tokens(pad="<pad>", end="</s>", mask="<mask>", start="<s>", sentinels=9)
  optimizer = adamw(lr=1e-2)
  schedule  = constant()
  steps     = 8
  batch     = 4
  evaluate  = 4
  evaluate_batches = 2
  checkpoint = 3
}
"""
PICTURES = """
model Pictures(size=4, labels=2) {
  input image: [B, 1, size, breadth=size]
  output logits = rearrange(image, [1, size, breadth] -> [size * breadth]) |> linear(labels)
  input label: int[B] optional where label < labels
  output loss = cross_entropy(logits, label, over=labels)
}
train Pictures {
  batches   = classify_images(image, label, shift=1)
  schedule  = constant()
  steps     = 8
  batch     = 4
  held_out  = 0.25
}
"""
TOWERS = """
model Towers(size=4, vocab=300, context=20, width=8) {
  input image: [B, 1, size, across=size] optional
  input tokens: int[N, T] optional where T <= context, tokens < vocab
  input last: int[N] optional = 0 where last < T
  a = rearrange(image, [1, size, across] -> [size * across]) |> linear(width)
  x = embedding(tokens, vocab, width)
  output scores = dot(a, take(x, last, over=T), over=width)
  input match: int[B] optional where match < N
  output loss = contrastive_loss(scores, match)
}
train Towers {
  batches   = contrast(image, tokens, match, last=last, label="label", shift=1)
  special   = tokens(pad="[PAD]", end="[END]")
  schedule  = constant()
  steps     = 8
  batch     = 4
  held_out  = 0.25
}
"""
SPELLED = """
model Spelled(entries=300, longest=9, width=8, vocab=9, labels=2, task=false) {
  input characters: int[B, T, C] where C <= longest, characters < entries
  input valid: bool[B, T] optional = true
  output hidden = max(conv(embedding(characters, entries, width) as character, width, 3), over=C - 2) |> tanh
  if task {
    output logits = linear(sum(hidden * valid, over=T) / (1 + sum(valid, over=T)), labels) as classifier
    input label: int[B] optional where label < labels
    output loss = cross_entropy(logits, label, over=labels)
  } else {
    output next = recurrent(elman_cell(width))(hidden, valid=valid) as ahead |> linear(vocab)
    output previous = recurrent(elman_cell(width), reverse=true)(hidden, valid=valid) as back |> linear(vocab)
    input next_word: int[B, T] optional where next_word >= -100, next_word < vocab
    input previous_word: int[B, T] optional where previous_word >= -100, previous_word < vocab
    output loss = (cross_entropy(next, next_word, over=vocab) + cross_entropy(previous, previous_word, over=vocab)) / 2
  }
}
variant Spelled:task { task=true }
train Spelled {
  batches   = both_directions(characters, next_word, previous_word, valid=valid, words=12)
  special   = tokens(pad="<pad>", begin="<w>", end="</w>")
  optimizer = adamw(lr=1e-2)
  schedule  = constant()
  steps     = 8
  batch     = 4
  length    = 12
  evaluate  = 4
  evaluate_batches = 2
  checkpoint = 3
}
train Spelled:task {
  batches   = classify(characters, label, valid=valid)
  special   = tokens(pad="<pad>", begin="<w>", end="</w>")
  schedule  = constant()
  steps     = 8
  batch     = 4
  held_out  = 0.25
}
"""
TEXTS = [f"{'good' if i % 3 else 'bad'} text number {i}" for i in range(24)]
ROWS = [{"text": text, "label": text.split()[0]} for text in TEXTS]
PAIRS = [{"source": f"{a} and {b}", "target": f"{a + b}"} for a in range(6) for b in range(5)]
TAGGED = [{"tokens": text.split(), "tags": ["A", "N", "N", "Q"]} for text in TEXTS]
PATCHES = {"image": np.arange(24 * 16, dtype=np.uint8).reshape(24, 4, 4), "label": [i % 3 for i in range(24)]}
QUESTIONS = [{"question": "what?", "context": text, "answer": "text", "start": text.index("text")} for text in TEXTS]
CAPTIONED = PATCHES | {"caption": [["one", f"a {i % 3}"] for i in range(24)]}

Go = Callable[..., Outcome]


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


def facts(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / RECORD).read_text())
    return found


def refused(act: Callable[[], Any], code: str) -> Diagnostic:
    with pytest.raises(AttnError) as problem:
        act()
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.code == code, diagnostic
    assert diagnostic.helps, f"{code} gives no way out"
    return diagnostic


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


# ---------------------------------------------------------------------------------------------- bodies, frozen parts


def test_a_new_head_on_a_body(go: Go, book: str, tmp_path: Path, console: Silent) -> None:
    go("Tiny", book, "body", tokenizer="bpe:290")
    body = load_file(tmp_path / "body" / WEIGHTS)
    go("Tiny:class", ROWS, "head", weights=tmp_path / "body", freeze="word.*", lr=0.1)
    head = load_file(tmp_path / "head" / WEIGHTS)
    assert (head["word.table"] == body["word.table"]).all(), "what is frozen has moved"
    assert (head["h.0.attn.q.weight"] != body["h.0.attn.q.weight"]).any(), "what is not frozen has not"
    assert any("new, drawn at random: classifier" in text for text in console.said)
    before, after = facts(tmp_path / "body")["tokenizer"], facts(tmp_path / "head")["tokenizer"]
    assert (before["vocab"], after["vocab"]) == (290, 290)
    texts = ("body/tokenizer.json", "head/tokenizer.json")
    assert len({(tmp_path / name).read_text() for name in texts}) == 1, "the body's numbers mean other tokens"


def test_words_are_spelled_for_a_task_as_for_its_body(go: Go, book: str, tmp_path: Path, console: Silent) -> None:
    """Frozen characters and filters, a head that learns; the body's words, which the task does not tell apart, are not
    taken along."""
    go("Spelled", book, "body")
    outcome = go("Spelled:task", ROWS, "task", weights=tmp_path / "body", freeze="character.*|conv.*")
    assert {metric.name for metric in outcome.metrics} == {"loss", "accuracy", "macro F1"}
    body, task = (load_file(tmp_path / name / WEIGHTS) for name in ("body", "task"))
    for name in ("character.table", "conv.weight"):
        assert (task[name] == body[name]).all()
    assert set(task) - set(body) == {"classifier.weight", "classifier.bias"}
    said = " ".join(console.said)
    assert "new, drawn at random: classifier" in said
    assert "not used: ahead" in said
    found = facts(tmp_path / "task")
    assert (found["labels"], found["hyperparameters"]["entries"]) == (["bad", "good"], 259)


def test_a_body_gives_its_sizes(go: Go, book: str, tmp_path: Path) -> None:
    go("Tiny", book, "body", width=12, depth=2)
    go("Tiny:class", ROWS, "head", weights=tmp_path / "body")
    found = facts(tmp_path / "head")["hyperparameters"]
    assert (found["width"], found["depth"], found["head"], found["labels"]) == (12, 2, "class", 2)


def test_a_head_for_other_classes_is_new(go: Go, tmp_path: Path, console: Silent) -> None:
    go("Tiny:class", ROWS, "two")
    rows = [{"text": row["text"], "label": str(i % 3)} for i, row in enumerate(ROWS)]
    go("Tiny:class", rows, "three", weights=tmp_path / "two", steps=1, lr=0)
    two, three = (load_file(tmp_path / name / WEIGHTS) for name in ("two", "three"))
    assert three["classifier.weight"].shape == (8, 3)
    assert (three["word.table"] == two["word.table"]).all()
    assert any("new, drawn at random: classifier" in text for text in console.said)


@pytest.mark.parametrize("tokenizer", ["chars", "bytes"])
def test_a_body_of_text_goes_on_with_text(go: Go, book: str, tmp_path: Path, tokenizer: str) -> None:
    go("Tiny", book, "body", tokenizer=tokenizer)
    other = tmp_path / "other.txt"
    other.write_text("some other text, with a Ω in it. " * 40)
    go("Tiny", str(other), "more", weights=tmp_path / "body", steps=1, lr=0)
    one, two = (load_file(tmp_path / name / WEIGHTS) for name in ("body", "more"))
    assert (one["word.table"] == two["word.table"]).all()
    found = [facts(tmp_path / name)["tokenizer"]["fingerprint"] for name in ("body", "more")]
    assert found[0] == found[1]
    assert train(resume=tmp_path / "more", settings={"steps": 2}, console=Silent()).step == 2


def test_a_run_from_a_body_that_is_killed_at_once_begins_from_it_again(go: Go, book: str, tmp_path: Path) -> None:
    go("Tiny", book, "body")
    go("Tiny:class", ROWS, "whole", weights=tmp_path / "body")
    go("Tiny:class", ROWS, "killed", weights=tmp_path / "body", steps=1)
    for step, path in list_checkpoints(tmp_path / "killed"):
        if step:
            path.unlink()
    (tmp_path / "killed" / WEIGHTS).unlink()
    train(resume=tmp_path / "killed", data=ROWS, settings={"steps": 8}, console=Silent())
    assert (tmp_path / "whole" / WEIGHTS).read_bytes() == (tmp_path / "killed" / WEIGHTS).read_bytes()


def test_frozen_parameters_have_no_optimizer_state(go: Go, tmp_path: Path) -> None:
    go("Tiny:class", ROWS, freeze=("word.*", "h.*.norm.*"), steps=4)
    state = load_file(list_checkpoints(tmp_path / "run")[-1][1])
    kept = {name.split("/", 2)[2] for name in state if name.startswith("optimizer/")}
    parameters = {name.split("/", 1)[1] for name in state if name.startswith("parameters/")}
    assert parameters - kept == {"word.table", "h.0.norm.scale", "h.0.norm.shift"} & parameters
    assert "word.table" in parameters - kept
    assert train(resume=tmp_path / "run", data=ROWS, settings={"steps": 6}, console=Silent()).step == 6
    refused(lambda: train(resume=tmp_path / "run", data=ROWS, settings={"freeze": "word.*"}, console=Silent()), "E0734")


@pytest.mark.parametrize(
    ("pattern", "said"), [("wrd.*", "word"), ("h.3.*", "begin with classifier, h, word"), ("*", "leave something")]
)
def test_patterns_that_freeze_nothing_or_everything(go: Go, pattern: str, said: str) -> None:
    diagnostic = refused(lambda: go("Tiny:class", ROWS, freeze=pattern), "E0736")
    assert said in " ".join(diagnostic.helps)


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


def test_a_body_without_a_tokenizer_is_not_trained_on_bytes(go: Go, book: str, tmp_path: Path, console: Silent) -> None:
    """Published weights have one beside them, in whatever files, or the user chooses one."""
    pytest.importorskip("tokenizers")
    go("Tiny", book, "body", tokenizer="wordpiece:290")
    folder = tmp_path / "published"
    folder.mkdir()
    shutil.copy(tmp_path / "body" / WEIGHTS, folder / "model.safetensors")
    told = refused(lambda: go("Tiny:class", ROWS, "head", weights=folder / "model.safetensors"), "E0745")
    assert any("--set tokenizer=" in way for way in told.helps)
    assert not (tmp_path / "head").exists()
    go("Tiny:class", ROWS, "bytes", weights=folder / "model.safetensors", tokenizer="bytes", vocab=290, steps=1)
    tokenizer = json.loads((tmp_path / "body" / "tokenizer.json").read_text())
    names = sorted(tokenizer["model"]["vocab"].items(), key=lambda item: item[1])
    (folder / "vocab.txt").write_text("\n".join(name for name, _ in names) + "\n")
    go("Tiny:class", ROWS, "head", weights=folder / "model.safetensors", steps=1)
    assert facts(tmp_path / "head")["tokenizer"]["vocab"] == facts(tmp_path / "body")["tokenizer"]["vocab"]
