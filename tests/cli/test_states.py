"""`run --state-in --state-out`: a text in several runs, and files of states that do not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

SPEC = """
model Sums(width=3) {
  input x: [B, T, width]
  state total: [B, width] = zeros
  state calls: int[] = 0
  calls <- calls + 1
  y = linear(x, width) as map
  total <- total + sum(y, over=T)
  output z = total + cumsum(y, over=T)
}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sums.attn").write_text(SPEC)
    (tmp_path / "plain.attn").write_text("model Plain() {\n  input x: [B]\n  output y = 2 * x\n}\n")
    x = np.random.default_rng(0).standard_normal((2, 6, 3)).astype(np.float32)
    for name, part in (("whole", x), ("first", x[:, :4]), ("second", x[:, 4:])):
        np.savez(tmp_path / f"{name}.npz", x=part)
    return tmp_path


def told(done, *expected: str) -> None:
    assert done.code != 0
    assert "Traceback" not in done.err
    for text in expected:
        assert text in done.err


@pytest.mark.parametrize("backend", ["numpy", pytest.param("torch", marks=pytest.mark.torch)])
def test_two_runs_are_one(attndsl, folder, backend):
    run = ("run", "sums.attn", "--backend", backend, "--dtype", "float64")
    assert attndsl(*run, "--inputs", "whole.npz", "-o", "whole-out.npz", "--state-out", "whole.states").code == 0
    done = attndsl(*run, "--inputs", "first.npz", "-o", "first-out.npz", "--state-out", "kept.states")
    assert "wrote kept.states" in done.out
    argv = ("--inputs", "second.npz", "--state-in", "kept.states", "--state-out", "kept.states", "-o", "second-out.npz")
    assert attndsl(*run, *argv).code == 0
    outs = [np.load(folder / f"{name}-out.npz")["z"] for name in ("first", "second", "whole")]
    np.testing.assert_allclose(np.concatenate(outs[:2], 1), outs[2], atol=1e-12)
    kept, whole = (load_file(folder / f"{name}.states") for name in ("kept", "whole"))
    np.testing.assert_allclose(kept["total"], whole["total"], atol=1e-12)
    assert (int(kept["calls"]), int(whole["calls"])) == (2, 1)


def test_files_that_do_not_fit_are_told(attndsl, folder):
    run = ("run", "sums.attn", "--backend", "numpy")
    assert attndsl(*run, "--size", "B=2,T=3", "--state-out", "kept.states").code == 0
    given = (*run, "--state-in", "kept.states")
    told(attndsl(*given, "--size", "B=3,T=1"), "E0815", "the state `total` is [2, 3], and must be [3, 3]")
    told(attndsl(*given, "--seed", 1), "E0815", "were made with other parameters")
    told(attndsl(*given, "--set", "width=4"), "E0815", "of another model", "(width = 3)", "(width = 4)")
    told(attndsl("run", "plain.attn", "--state-in", "kept.states"), "`Plain` has none")
    told(attndsl("run", "plain.attn", "--state-out", "kept.states"), "`Plain` has none")
    told(attndsl(*run, "--state-in", "no.states"), "E0815", "cannot be read", "No such file")
    told(attndsl(*run, "--state-in", "whole.npz"), "E0815", "cannot be read")
    told(attndsl(*run, "--state-out", "no/folder"), "E0883")
    raw = (folder / "kept.states").read_bytes()
    (folder / "cut.states").write_bytes(raw[:-4])
    (folder / "flipped.states").write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    for name in ("cut", "flipped"):
        told(attndsl(*run, "--state-in", f"{name}.states"), "E0815", "cannot be read")
    save_file({"total": np.zeros((2, 3), np.float32)}, folder / "plain.safetensors")
    told(attndsl(*run, "--state-in", "plain.safetensors"), "E0815", "holds no states")
    np.savez(folder / "in.npz", x=np.zeros((2, 1, 3), np.float32), total=np.zeros((2, 3), np.float32))
    told(attndsl(*run, "--inputs", "in.npz"), "E0815", "`total` is a state and no input")


def test_a_file_that_is_there_stays_where_the_run_fails(attndsl, folder):
    (folder / "kept.states").write_bytes(b"mine")
    run = ("run", "sums.attn", "--backend", "numpy", "--inputs", "in.npz", "--state-out", "kept.states")
    np.savez(folder / "in.npz", x=np.zeros((2, 1, 7), np.float32))
    told(attndsl(*run), "E0802")
    assert (folder / "kept.states").read_bytes() == b"mine"
