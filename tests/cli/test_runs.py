"""A run from the command line, from text to an export, on NumPy alone; and what is said where it cannot go on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from attndsl.cli import main

SMALL = ("--set", "depth=2", "--set", "width=16", "--set", "heads=2", "--set", "context=16", "--set", "batch=2")
TRAIN = ("train", "gpt2", *SMALL, "--set", "tokenizer=bytes", "--set", "warmup=1", "--backend", "numpy")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("runs")
    text = "".join(f"{i} bottles of beer on the wall, {i} bottles of beer.\n" for i in range(400))
    (folder / "song.txt").write_text(text, encoding="utf-8")
    assert main([*TRAIN, "--data", str(folder / "song.txt"), "--out", str(folder / "run"), "--steps", "3"]) == 0
    return folder


@pytest.fixture(autouse=True)
def _inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


def test_training_says_both_numbers(attndsl):
    done = attndsl(*TRAIN, "--data", "song.txt", "--out", "other", "--steps", "2")
    assert done.code == 0, done.err
    assert re.search(r"loss per byte +[\d.]+ +unigram entropy of the text: [\d.]+\n", done.out)
    assert '2 steps done; to use it: attndsl generate other --prompt "…"' in done.out


def test_a_run_goes_on(attndsl):
    assert attndsl(*TRAIN, "--data", "song.txt", "--out", "more", "--steps", "1").code == 0
    done = attndsl("train", "--resume", "more", "--steps", "2")
    assert done.code == 0, done.err
    assert "2 steps done" in done.out


def test_generating_gives_the_same_text_for_the_same_seed(attndsl):
    argv = ("generate", "run", "--prompt", "9 bottles", "--tokens", "12", "--seed")
    texts = [attndsl(*argv, seed).out for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]
    assert all(text.startswith("9 bottles") and text.endswith("\n") for text in texts)


def test_generating_reads_the_prompt_from_stdin_and_says_that_it_slides(monkeypatch, attndsl):
    import io
    import sys

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"one two three four five"), encoding="utf-8"))
    done = attndsl("generate", "run", "--prompt", "-", "--tokens", "3", "--temperature", "0")
    assert done.code == 0
    assert done.out.startswith("one two three four five")
    assert done.err.startswith("note: the prompt has 23 tokens")


def test_a_runs_weights_run_and_compare(attndsl):
    for _ in range(2):
        argv = ("run", "gpt2", "--weights", "run", "--size", "B=1,T=8", "--backend", "numpy", "-o", "out.npz")
        assert attndsl(*argv).code == 0
    done = attndsl("compare", "gpt2", "--weights", "run", "--against", "passes", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["ok"]
    assert attndsl("run", "gpt2", "--weights", "run", "--set", "depth=3", "--backend", "numpy").code == 1


def test_an_export_holds_the_runs_weights(attndsl):
    assert attndsl("export", "run", "--to", "safetensors", "run.safetensors").code == 0
    assert attndsl("export", "run", "--to", "huggingface", "published").code == 0
    assert json.loads(Path("published/config.json").read_text())["n_layer"] == 2
    outs = []
    for place in ("run", "run.safetensors", "published"):
        done = attndsl("run", "gpt2", "--weights", place, "--backend", "numpy", "--size", "B=2,T=8", "-o", "o.npz")
        assert done.code == 0, done.err
        with np.load("o.npz") as arrays:
            outs.append(arrays["logits"])
    np.testing.assert_array_equal(outs[0], outs[1])
    np.testing.assert_array_equal(outs[0], outs[2])


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("train", "gpt2", "--data", "no-such-file.txt"), "E0701"),
        (("train", "gpt2", "--data", "song.txt", "--out", "run"), "E0731"),
        (("train", "gpt2", "--data", "song.txt", "--set", "dpeth=1", "--out", "new"), "E0402"),
        (("train", "--resume", "no-such-run"), "E0732"),
        (("generate", "song.txt"), "E0732"),
        (("generate", "run", "--temperature", "-1"), "E0740"),
        (("run", "gpt2", "--weights", "song.txt"), "E0602"),
        (("run", "gpt2", "--weights", "no-such-file"), "E0601"),
        (("export", "run", "--to", "safetensors", "no/such/folder/x"), "E0883"),
    ],
)
def test_what_cannot_be_done_is_told(attndsl, argv, code):
    done = attndsl(*argv)
    assert done.code == 1
    assert f"error[{code}]" in done.err
    assert not Path("new").exists()


def test_a_run_is_verified_with_its_weights(attndsl, monkeypatch):
    """By `verify` and by Python: the graph of the run, as large as it is."""
    from attndsl import open_run, verification

    tried = []

    def told(graph, **options):
        tried.append((graph, options))
        return verification.Verification(graph.title, {}, dict(options["reduced"] or {}), graph.parameter_count, ())

    monkeypatch.setattr(verification, "verify", told)
    assert attndsl("verify", "run").code == 0
    assert open_run("run").model.verify().ok
    for graph, options in tried:
        assert graph.hyperparameters["width"] == 16
        assert options["reduced"] is None
        np.testing.assert_array_equal(options["weights"]["wte.table"], open_run("run").weights["wte.table"])
    assert len(tried) == 2


def test_a_run_is_compared(attndsl):
    done = attndsl("compare", "run", "--against", "passes", "--size", "B=1,T=4")
    assert done.code == 0, done.err
    assert "arrays agree" in done.out
