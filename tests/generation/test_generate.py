"""Text from a run: what is streamed, where it slides, and what is refused."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import attndsl
from attndsl.attention_maps.run import attend
from attndsl.diagnostics import AttnError
from attndsl.elaborate import load
from attndsl.generation import Run, generate, load_run
from attndsl.generation.continuing import begins
from attndsl.generation.generate import next_token_logits
from attndsl.graph.limits import most
from attndsl.runs.checkpoint import save_tensors
from attndsl.storage.whole import write_text
from attndsl.training import train
from attndsl.training.console import Silent
from tests.generation.conftest import A_TEXT, SPEC, stirred

Make = Callable[[str], Run]
needs_tokenizers = pytest.mark.skipif(
    importlib.util.find_spec("tokenizers") is None, reason="tokenizers is not installed"
)
TOKENIZERS = ["bytes", "chars", pytest.param("bpe:300", marks=needs_tokenizers)]


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_text_is_streamed_and_whole(make_run: Make, tokenizer: str) -> None:
    run = make_run(tokenizer)
    pieces = list(generate(run, "Now is", 30, seed=1, backend="numpy"))
    assert len(pieces) > 3
    assert all(pieces)
    assert "".join(pieces) == "".join(generate(run, "Now is", 30, seed=1, backend="numpy"))
    assert "".join(pieces) != "".join(generate(run, "Now is", 30, seed=2, backend="numpy"))


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_an_empty_prompt_begins_a_text(make_run: Make, tokenizer: str) -> None:
    assert "".join(generate(make_run(tokenizer), "", 5, temperature=0, backend="numpy"))


def test_greedy_text_follows_the_logits(run: Run) -> None:
    """Token by token from the whole of the logits, also where the older half has been dropped."""
    run = stirred(run)
    program = run.program("numpy")
    window = list(b"If the")
    for _ in range(12):
        seen = window[begins(len(window), 12) :]
        logits = program.run({"tokens": np.array([seen])}, ["logits"])["logits"]
        window.append(int(np.argmax(logits[0, -1])))
    expected = bytes(window[6:]).decode(errors="replace")
    assert "".join(generate(run, "If the", 12, temperature=0, backend="numpy")) == expected


@pytest.mark.torch
def test_both_backends_say_the_same(run: Run) -> None:
    texts = {
        backend: "".join(generate(run, "The ", 25, seed=7, top_k=20, backend=backend)) for backend in ("numpy", "torch")
    }
    assert texts["numpy"] == texts["torch"]


@pytest.mark.parametrize(
    ("prompt", "tokens", "said"),
    [
        ("x" * 5, 7, []),
        ("x" * 5, 8, []),
        ("x" * 5, 9, ["past the model's context of 12"]),
        ("x" * 13, 1, ["the prompt has 13 tokens"]),
        ("x" * 13, 9, ["the prompt has 13 tokens", "past the model's context"]),
    ],
)
def test_it_says_once_that_it_slides(run: Run, prompt: str, tokens: int, said: list[str]) -> None:
    heard: list[str] = []
    list(generate(run, prompt, tokens, backend="numpy", say=heard.append))
    assert len(heard) == len(said)
    assert all(part in text for part, text in zip(said, heard, strict=True))


def test_no_tokens_are_no_text(run: Run) -> None:
    assert list(generate(run, "x", 0, backend="numpy")) == []


@needs_tokenizers
def test_the_end_of_a_text_ends_it(make_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run("bpe:300")
    monkeypatch.setattr(
        "attndsl.decoding.sampling.Sampling.choose", lambda self, logits, index, row: 65 if index < 3 else 0
    )
    assert run.tokenizer.separator == 0
    assert len(list(generate(run, "x", 20, backend="numpy"))) == 3


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"tokens": -1}, "E0740"),
        ({"temperature": -1}, "E0740"),
        ({"top_p": 2}, "E0740"),
        ({"prompt": "\ud800"}, "E0741"),
        ({"backend": "nump"}, "E0723"),
        ({"device": "cuda"}, "E0811"),
        ({"device": "cuda", "backend": "numpy"}, "E0811"),
    ],
)
def test_what_cannot_be_asked_for(run: Run, values: dict[str, object], code: str) -> None:
    with pytest.raises(AttnError) as problem:
        generate(run, **values)  # type: ignore[arg-type]
    assert problem.value.diagnostics[0].code == code


# ---------------------------------------------------------------------------------------------- reading runs


@pytest.fixture
def copy(run: Run, tmp_path: Path) -> Path:
    return shutil.copytree(run.folder, tmp_path / "copy")


def code_of(folder: Path) -> str:
    with pytest.raises(AttnError) as problem:
        load_run(folder)
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.helps
    return diagnostic.code


def test_no_run(tmp_path: Path) -> None:
    assert code_of(tmp_path) == "E0732"
    assert code_of(tmp_path / "nowhere") == "E0732"


def test_a_run_without_weights(copy: Path) -> None:
    (copy / "weights.safetensors").unlink()
    assert load_run(copy).step == 10  # its checkpoint
    shutil.rmtree(copy / "checkpoints")
    assert code_of(copy) == "E0732"


def test_a_newer_checkpoint_wins(copy: Path) -> None:
    run = load_run(copy)
    save_tensors(copy / "weights.safetensors", run.weights, step=4)
    assert load_run(copy).step == 10
    save_tensors(copy / "weights.safetensors", run.weights, step=14)
    assert load_run(copy).step == 14


def test_damaged_weights(copy: Path) -> None:
    path = copy / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:500])
    assert code_of(copy) == "E0733"


@needs_tokenizers
def test_a_foreign_tokenizer(make_run: Make, tmp_path: Path) -> None:
    folder = shutil.copytree(make_run("bpe:300").folder, tmp_path / "pairs")
    text = (folder / "tokenizer.json").read_text()
    write_text(folder / "tokenizer.json", text.replace("true", "false", 1))
    assert code_of(folder) == "E0707"
    write_text(folder / "tokenizer.json", "{}")
    assert code_of(folder) == "E0707"
    (folder / "tokenizer.json").unlink()
    assert code_of(folder) == "E0705"


def test_another_vocabulary(copy: Path) -> None:
    facts = json.loads((copy / "run.json").read_text())
    facts["tokenizer"]["vocab"] = 99
    write_text(copy / "run.json", json.dumps(facts))
    assert code_of(copy) == "E0707"


# ---------------------------------------------------------------------------------------------- models


def graph_of(tmp_path: Path, body: str) -> object:
    path = tmp_path / "m.attn"
    path.write_text(f"model M(vocab=9, width=4, context=7) {{\n{body}\n}}\n")
    return load(str(path))


@pytest.mark.parametrize(
    ("where", "expected"),
    [("T <= context", 7), ("T < context", 6), ("T <= context, T <= 5", 5), ("tokens < vocab", None)],
)
def test_how_long_a_text_may_be(tmp_path: Path, where: str, expected: int | None) -> None:
    body = f"input tokens: int[B, T] where {where}\n layer e = embedding(vocab, width)\n output y = e(tokens)"
    assert most(graph_of(tmp_path, body), "tokens") == expected  # type: ignore[arg-type]


def test_a_model_that_says_no_next_token(tmp_path: Path) -> None:
    graph = graph_of(
        tmp_path, "input tokens: int[B, T]\n layer e = embedding(vocab, width)\n output y = mean(e(tokens), over=T)"
    )
    with pytest.raises(AttnError) as problem:
        next_token_logits(graph, "tokens", 9)  # type: ignore[arg-type]
    assert problem.value.diagnostics[0].code == "E0742"


def test_targets_that_a_spec_always_asks_for_are_asked_for_in_training_only(tmp_path: Path) -> None:
    spec = tmp_path / "strict.attn"
    spec.write_text(SPEC.replace("int[B, T] optional\n", "int[B, T]\n"), encoding="utf-8")
    with pytest.raises(AttnError, match="E0803"):
        attndsl.load(spec).run({"tokens": [[1, 2]]}, backend="numpy")
    train(str(spec), A_TEXT, tmp_path / "run", settings={"steps": 2}, backend="numpy", console=Silent())
    run = load_run(tmp_path / "run")
    assert {output.name: set(output.needs) for output in run.graph.outputs} == {"logits": set(), "loss": {"targets"}}
    assert len("".join(generate(run, "what", 5, temperature=0))) > 0
    assert attend(run, "what").groups
