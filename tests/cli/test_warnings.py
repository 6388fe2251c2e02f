"""Warnings on the command line: printed as errors are, counted, errors with --strict, nothing with --allow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from attndsl.cli.verbs import VERBS

TEXT = """model M(vocab=256, width=4, unused=3) {
  input tokens: int[B, T] where tokens < vocab
  y = embedding(tokens, vocab, width)
  z = y + 1
  output logits = linear(y, vocab)
  input targets: int[B, T] optional where targets >= -100, targets < vocab
  output loss = cross_entropy(logits, targets, over=vocab)
}

train M {
  batches  = next_token(tokens, targets)
  minimize = loss
  length   = 8
  steps    = 1
  batch    = 2
}
"""
WARNED = """warning[W0101]: the hyperparameter `unused` is never read
  --> my.attn:1:29
   |
 1 | model M(vocab=256, width=4, unused=3) {
   |                             ^^^^^^
   |
   = help: remove it; where it is meant to be unused, call it `_unused`

warning[W0101]: the value assigned to `z` is never read
  --> my.attn:4:3
   |
 4 |   z = y + 1
   |   ^
   |
   = help: remove it; where it is meant to be unused, call it `_z`

2 warnings

"""

# Every verb that checks a spec, with what else it needs.
VERBS_OF_SPECS = {
    "check": [],
    "inspect": [],
    "render": ["-o", "m.dot"],
    "compile": ["--emit", "graph"],
    "run": ["--backend", "numpy"],
    "compare": ["--against", "passes"],
    "verify": [],
    "train": ["--data", "text.txt", "--backend", "numpy"],
    "sweep": ["--data", "text.txt", "--backend", "numpy"],
}
OUT = {"train", "sweep"}  # the verbs that write a folder, which may not be there yet


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.attn").write_text(TEXT, encoding="utf-8")
    (tmp_path / "text.txt").write_text("a text to learn from, " * 20, encoding="utf-8")
    return tmp_path


def test_the_verbs_that_check_a_spec_are_those_that_take_it_strictly(attndsl):
    taking = {name for name in VERBS if "--strict" in attndsl(name, "--help").out}
    assert taking == set(VERBS_OF_SPECS)


@pytest.mark.parametrize("verb", VERBS_OF_SPECS)
def test_a_verb_warns_and_goes_on_and_with_strict_it_does_not(attndsl, verb):
    done = attndsl(verb, "my.attn", *VERBS_OF_SPECS[verb])
    assert done.code == 0, done.err
    assert done.err.count(WARNED) == 1
    done = attndsl(verb, "my.attn", *VERBS_OF_SPECS[verb], "--strict", *(["--out", "again"] if verb in OUT else []))
    assert (done.code, done.out) == (1, "")
    assert done.err.count("error[W0101]") == 2
    assert "warning" not in done.err
    done = attndsl(
        verb,
        "my.attn",
        *VERBS_OF_SPECS[verb],
        "--strict",
        "--allow",
        "W0101",
        *(["--out", "b"] if verb in OUT else []),
    )
    assert done.code == 0, done.err
    assert "W0101" not in done.err


def test_each_spec_has_its_warnings(attndsl):
    done = attndsl("check", "gpt2", "my.attn")
    assert done.code == 0
    assert done.err == WARNED
    assert [line.split(":")[0] for line in done.out.splitlines()] == ["gpt2", "my.attn"]
    assert attndsl("check", "gpt2", "my.attn", "--strict").code == 1


def test_warnings_as_json(attndsl):
    (result,) = json.loads(attndsl("check", "my.attn", "--json").out)["results"]
    assert (result["ok"], result["more"]) == (True, 0)
    assert [(it["severity"], it["code"]) for it in result["diagnostics"]] == [("warning", "W0101")] * 2
    (result,) = json.loads(attndsl("check", "my.attn", "--json", "--strict").out)["results"]
    assert (result["ok"], [it["severity"] for it in result["diagnostics"]]) == (False, ["error"] * 2)


def test_only_a_warning_is_allowed(attndsl):
    for code in ("E0203", "W9999"):
        done = attndsl("check", "my.attn", "--allow", code)
        assert (done.code, done.out) == (2, "")
        assert f"there is no warning `{code}`" in done.err


def test_many_are_counted(attndsl):
    many = ", ".join(f"n{number}=1" for number in range(25))
    Path("many.attn").write_text(f"model M({many}) {{\n  input x: [B]\n  output y = x\n}}\n", encoding="utf-8")
    done = attndsl("check", "many.attn")
    assert done.err.count("warning[W0101]") == 20
    assert done.err.endswith("\n\n… and 5 more\n\n25 warnings\n\n")
