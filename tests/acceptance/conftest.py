"""A trained model with its exports, in a folder of which every test gets a copy to spoil."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from attndsl.cli import main

SMALL = ("--set", "width=16", "--set", "heads=2", "--set", "depth=2", "--set", "context=16")
"""A GPT-2 that trains in a blink."""

RECIPE = ("--set", "tokenizer=bytes", "--set", "warmup=1", "--set", "batch=2")
RUN = ("run", "gpt2", *SMALL, "--set", "vocab=256", "--backend", "numpy")
TRAIN = ("train", "gpt2", *SMALL, *RECIPE, "--backend", "numpy")
SONG = "".join(f"{i} bottles of beer on the wall, {i} bottles of beer.\n" for i in range(100))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`song.txt`, the run `run`, its exports `good.safetensors` and `hf`, the inputs `ok.npz`, the spec `tiny.attn`."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "song.txt").write_text(SONG, encoding="utf-8")
    run = str(folder / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main([*TRAIN, "--data", "song.txt", "--out", run, "--steps", "2"]) == 0
        assert main(["export", run, "--to", "safetensors", str(folder / "good.safetensors")]) == 0
        assert main(["export", run, "--to", "huggingface", str(folder / "hf")]) == 0
    np.savez(folder / "ok.npz", tokens=np.zeros((1, 4), int))
    (folder / "tiny.attn").write_text("model Tiny(width=4) {\n  input x: float[B, width]\n  output y = x\n}\n")
    shutil.rmtree(folder / ".attndsl-tokens")
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `made`, which is the current folder."""
    folder = tmp_path / "place"
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    return folder


def everything(folder: Path) -> dict[str, bytes | None]:
    """All that is in a folder, except for the cache of tokens, which may stay behind after a failure."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if ".attndsl-tokens" not in path.parts
    }


def assert_told(err: str, *said: str, bare: bool = False) -> None:
    """A message to act on: what was to be said is said, a way out or the circumstances are named, nothing is a bug."""
    for phrase in said:
        assert phrase in err
    assert "Traceback" not in err
    assert "bug in attndsl" not in err
    assert bare or any(mark in err for mark in ("= help: ", "= note: ", "^")) or "--help` shows" in err, err


@pytest.fixture
def refused(attndsl: Callable, place: Path) -> Callable[..., str]:
    """`refused(argv, "E0801", "said")`: the command fails with this code (or 2: it makes no sense), says why, and
    changes no file."""

    def check(argv: tuple[object, ...], code: str | int, *said: str, bare: bool = False) -> str:
        before = everything(place)
        done = attndsl(*argv)
        assert done.code == (code if isinstance(code, int) else 1), done.out + done.err
        assert_told(done.err, *said, *([f"error[{code}]"] if isinstance(code, str) else []), bare=bare)
        assert everything(place) == before
        return done.err

    return check
