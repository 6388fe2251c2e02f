"""The verbs from the outside: what they print, what they write, and what they say to wrong files."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest

GOOD = """
model M(width=4, depth=2) {
  input x: [B, width]
  repeat h in depth {
    x += tanh(linear(x, width) as up)
  }
  output y = x
}
"""
BAD = """
model M(width=4, hidden=4) {
  input x: [B, width]
  output y = x + linear(x, hidden)
}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "good.attn").write_text(GOOD, encoding="utf-8")
    (tmp_path / "bad.attn").write_text(BAD, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ---------------------------------------------------------------- check, list, show, inspect


@pytest.mark.parametrize(
    ("spec", "line"),
    [
        ("gpt2", "gpt2: ok · GPT2 · 124,439,808 parameters"),
        ("gpt2:medium", "gpt2:medium: ok · GPT2:medium · 354,823,168 parameters"),
        ("gpt2:large", "gpt2:large: ok · GPT2:large · 774,030,080 parameters"),
        ("gpt2:xl", "gpt2:xl: ok · GPT2:xl · 1,557,611,200 parameters"),
        ("gpt3:175b", "gpt3:175b: ok · GPT3:175b · 174,604,259,328 parameters"),
    ],
)
def test_check_counts_the_published_parameters(attndsl, spec, line):
    done = attndsl("check", spec)
    assert (done.code, done.out, done.err) == (0, line + "\n", "")


def test_check_goes_through_all_specs_and_fails_if_one_is_wrong(attndsl, folder):
    done = attndsl("check", "good.attn", "bad.attn", "gpt2")
    assert done.code == 1
    assert [line.split(":")[0] for line in done.out.splitlines()] == ["good.attn", "gpt2"]
    assert done.err.startswith("error[E0203]")
    assert "bad.attn:4:18" in done.err


def test_check_as_json(attndsl, folder):
    done = attndsl("check", "good.attn", "bad.attn", "--set", "width=8", "--json")
    assert done.code == 1
    assert done.err == ""
    plain = json.loads(done.out)
    assert plain["schema"] == "attndsl.check/1"
    good, bad = plain["results"]
    assert (good["ok"], good["model"], good["parameters"], good["hyperparameters"]["width"]) == (True, "M", 144, 8)
    assert good["sizes_from_inputs"] == ["B"]
    assert bad["ok"] is False
    assert bad["diagnostics"][0]["code"] == "E0203"
    assert bad["diagnostics"][0]["primary"]["start"]["line"] == 4


def test_no_more_than_twenty_mistakes_are_told_and_how_many_more_there_are(attndsl, folder):
    names = "".join(f"  a{i} = nope{i}\n" for i in range(50))
    (folder / "many.attn").write_text(f"model M(width=8) {{\n  input x: [B, width]\n{names}  output y = x\n}}\n")
    done = attndsl("check", "many.attn")
    assert (done.code, done.err.count("error[E0101]")) == (1, 20)
    assert done.err.endswith("\n\n… and 30 more\n")
    (result,) = json.loads(attndsl("check", "many.attn", "--json").out)["results"]
    assert (len(result["diagnostics"]), result["more"]) == (20, 30)


def test_a_name_that_no_file_can_have_is_told_where_it_stands(attndsl, folder):
    name = "q" * 300
    (folder / "long.attn").write_text(f'use "{name}"\nmodel M {{\n  output y = range(2)\n}}\n')
    done = attndsl("check", "long.attn", name, f"{name}.attn")
    assert "error[E0501]: there is no file `qqq" in done.err
    assert "long.attn:1:1" in done.err
    assert "error[E0501]: there is no spec `qqq" in done.err
    assert "cannot be read: file name too long" in done.err


def test_other_verbs_give_their_errors_as_json_too(attndsl, folder):
    done = attndsl("inspect", "bad.attn", "--json")
    assert done.code == 1
    assert json.loads(done.out)["diagnostics"][0]["code"] == "E0203"


def test_list_names_every_spec_with_its_variants(attndsl):
    plain = {entry["spec"]: entry for entry in json.loads(attndsl("list", "--json").out)["specs"]}
    assert plain["gpt2"]["variants"] == ["small", "medium", "large", "xl"]
    assert "gpt_nano" in plain
    listed = attndsl("list").out
    for name, entry in plain.items():
        assert entry["doc"]
        assert f"\n{name} " in "\n" + listed
    assert len(plain["bert"]["variants"]) == 37
    assert "nano … and 26 more: attndsl show bert\n" in listed
    assert max(map(len, listed.splitlines())) <= 200


RECIPES = ("pretraining", "classifier", "tagger", "answer", "nano", "nano-classifier", "nano-answer")


def test_training_without_a_recipe_names_the_variants_that_have_one(attndsl, folder):
    done = attndsl("train", "bert", "--data", "no-such-file.txt", "--out", "run")
    assert done.code == 1
    assert "error[E0722]" in done.err
    named = ", ".join(f"`bert:{name}`" for name in RECIPES)
    assert f"name a variant that has a recipe: {named}\n" in done.err


def test_show_prints_the_text_that_is_checked(attndsl, folder):
    shown = attndsl("show", "gpt2").out
    (folder / "mine.attn").write_text(shown, encoding="utf-8")
    assert attndsl("check", "mine.attn").out == "mine.attn: ok · GPT2 · 124,439,808 parameters\n"
    assert "block layer_norm" in attndsl("show", "layer_norm").out
    assert attndsl("show", "no_such_thing").code == 1


def test_inspect(attndsl, folder):
    done = attndsl("inspect", "good.attn", "--size", "B=3", "--json")
    assert done.code == 0
    assert json.loads(done.out)["totals"]["parameters"] == 40
    assert "h × 2" in attndsl("inspect", "good.attn").out


# ---------------------------------------------------------------- compile, render


@pytest.mark.parametrize("stage", ["tree", "graph", "optimized", "dot"])
def test_compile_prints_a_stage(attndsl, folder, stage):
    done = attndsl("compile", "good.attn", "--emit", stage)
    assert done.code == 0, done.err
    assert "tanh" in done.out or stage == "dot"
    assert attndsl("compile", "good.attn", "--emit", stage).out == done.out
    attndsl("compile", "good.attn", "--emit", stage, "-o", "out.txt")
    assert (folder / "out.txt").read_text(encoding="utf-8") == done.out


def test_compile_lays_a_graph_out(attndsl, folder):
    layout = ("--layout", "data=2; B on data")
    told = attndsl("compile", "good.attn", "--emit", "layout", *layout)
    assert told.code == 0, told.err
    assert "laid out over (data=2): 2 devices" in told.out
    assert "all_gather" in attndsl("compile", "good.attn", "--emit", "graph", *layout).out
    assert "all_gather" in attndsl("compile", "good.attn", "--explain", "--backend", "numpy", *layout).out
    both = attndsl("compile", "good.attn", "--explain", "--emit", "layout", "--backend", "numpy", *layout).out
    assert both.count(attndsl("compile", "good.attn", "--emit", "layout", *layout).out.strip()) == 1
    refused = attndsl("compile", "good.attn", "--emit", "layout")
    assert refused.code == 2
    assert "--layout" in refused.err


@pytest.mark.torch
def test_compile_writes_a_module(attndsl, folder):
    done = attndsl("compile", "good.attn", "-o", "good.py")
    assert done.code == 0, done.err
    text = (folder / "good.py").read_text(encoding="utf-8")
    assert "import torch" in text
    assert "attndsl." not in text.replace("attndsl.org", "")
    compile(text, "good.py", "exec")


def test_compile_explains(attndsl):
    done = attndsl("compile", "gpt2", "--explain")
    assert done.code == 0
    assert "attention" in done.out
    assert "layer_norm" in done.out


def test_render_writes_the_same_bytes(attndsl, folder):
    for name in ("a.dot", "b.dot"):
        assert attndsl("render", "good.attn", "-o", name).code == 0
    assert (folder / "a.dot").read_bytes() == (folder / "b.dot").read_bytes()


# ---------------------------------------------------------------- run


def test_run_takes_and_gives_arrays_by_name(attndsl, folder):
    x = np.arange(12.0, dtype="float32").reshape(3, 4) / 10
    np.savez(folder / "in.npz", x=x)
    argv = ("run", "good.attn", "--inputs", "in.npz", "-o", "out.npz", "--backend", "numpy", "--dump", "h.1.up")
    done = attndsl(*argv, "--dtype", "float64")
    assert done.code == 0, done.err
    assert "y: float64 3×4 · mean" in done.out
    with np.load(folder / "out.npz") as out:
        assert sorted(out.files) == ["h.1.up", "y"]
        from attndsl.backends.numpy_reference import NumpyProgram
        from attndsl.elaborate import load

        expected = NumpyProgram(load("good.attn"), dtype="float64").run({"x": x})["y"]
        np.testing.assert_array_equal(out["y"], expected)
    assert not [name for name in os.listdir(folder) if "partial" in name or "part" in name]


def test_run_is_the_same_for_the_same_seed_and_another_for_another(attndsl, folder):
    outs = [attndsl("run", "good.attn", "--backend", "numpy", "--seed", seed).out for seed in (0, 0, 1)]
    assert outs[0] == outs[1] != outs[2]


@pytest.mark.torch
def test_run_gives_the_same_on_both_backends(attndsl, folder):
    for backend in ("numpy", "torch"):
        argv = (
            "run",
            "good.attn",
            "--backend",
            backend,
            "--dtype",
            "float64",
            "-o",
            f"{backend}.npz",
            "--dump",
            "h.0.up",
        )
        assert attndsl(*argv).code == 0
    with np.load(folder / "numpy.npz") as one, np.load(folder / "torch.npz") as other:
        assert one.files == other.files
        for name in one.files:
            np.testing.assert_allclose(one[name], other[name], atol=1e-12)


def _npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.ones(3))
    return file.getvalue()


def _write(name: str, **arrays: np.ndarray) -> None:
    np.savez(name, **arrays)


@pytest.mark.parametrize(
    ("write", "code", "said"),
    [
        (lambda: None, "E0880", "there is no file `in.npz`"),
        (lambda: Path("in.npz").write_text("tokens: 1 2 3"), "E0881", "not an .npz file"),
        (lambda: Path("in.npz").write_bytes(b""), "E0881", "not an .npz file"),
        (lambda: Path("in.npz").write_bytes(b"PK\x03\x04" + bytes(40)), "E0881", "not an .npz file"),
        (lambda: Path("in.npz").write_bytes(_npy()), "E0881", "one array without a name"),
        (lambda: _write("in.npz", x=np.array([[object()]])), "E0882", "holds Python objects"),
        (lambda: _write("in.npz", x=np.ones((2, 3), "float32")), "E0802", "3 long"),
        (lambda: _write("in.npz", x=np.ones((2, 4), "int64")), "E0802", "int64"),
        (lambda: _write("in.npz", z=np.ones((2, 4), "float32")), "E0803", "`z`"),
    ],
)
def test_wrong_inputs_are_told(attndsl, folder, write, code, said):
    write()
    done = attndsl("run", "good.attn", "--inputs", "in.npz", "--backend", "numpy")
    assert done.code == 1
    assert f"error[{code}]" in done.err
    assert said in done.err
    assert "bug" not in done.err


def test_a_truncated_file_of_inputs_is_told(attndsl, folder):
    _write("whole.npz", x=np.ones((2, 4), "float32"))
    whole = (folder / "whole.npz").read_bytes()
    for length in range(0, len(whole) - 1, 17):
        (folder / "in.npz").write_bytes(whole[:length])
        done = attndsl("run", "good.attn", "--inputs", "in.npz", "--backend", "numpy")
        assert done.code == 1
        assert "error[E088" in done.err


@pytest.mark.parametrize(
    "verb", [("run", "good.attn", "--backend", "numpy"), ("compile", "good.attn", "--emit", "graph")]
)
def test_a_place_that_cannot_be_written_is_told(attndsl, folder, verb):
    for path in ("no/such/folder/out", "."):
        done = attndsl(*verb, "-o", path)
        assert done.code == 1
        assert "error[E0883]" in done.err


def test_a_large_array_that_is_no_input_is_told_by_its_name_and_not_read(attndsl, folder, monkeypatch):
    _write("in.npz", x=np.ones((2, 4), "float32"), other=np.zeros(1000))
    monkeypatch.setattr("attndsl.storage.arrays.ArrayFile.read", lambda self, name: pytest.fail(f"`{name}` is read"))
    done = attndsl("run", "good.attn", "--inputs", "in.npz", "--backend", "numpy")
    assert done.code == 1
    assert "error[E0803]: there is no input `other`" in done.err
