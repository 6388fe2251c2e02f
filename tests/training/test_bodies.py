"""Training from a body: which layers are new, what is kept of it, and what is frozen."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from attndsl.running import initial
from attndsl.runs.checkpoint import list_checkpoints
from attndsl.runs.record import WEIGHTS
from attndsl.training import train
from attndsl.training.console import Silent
from tests.training.objective_models import (
    ROWS,
    Go,
    facts,
    refused,
)


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


def test_only_what_a_body_lacks_is_drawn(go: Go, book: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go("Tiny", book, "body")
    drawn, draw = set[tuple[int, ...]](), initial.initial_value

    def noted(*given: Any) -> Any:
        found = draw(*given)
        drawn.add(found.shape)
        return found

    monkeypatch.setattr(initial, "initial_value", noted)
    go("Tiny:class", ROWS, "head", weights=tmp_path / "body")
    head = load_file(tmp_path / "head" / WEIGHTS)
    assert drawn == {head["classifier.weight"].shape, head["classifier.bias"].shape}


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
