"""Which kernels a program uses: those that were measured, or asked for; and what `--explain` says of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from attndsl.running.machine import PIN

pytestmark = pytest.mark.torch
SPEC = "model M(width=8) { input x: [T, width]\n output y = linear(x, width) as up }"


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, float]]:
    """The seconds that each kernel takes, instead of what would be measured."""
    from attndsl.backends.pytorch import kernels
    from attndsl.running import machine

    given = {"plain": 0.25, "onednn": 0.125}
    monkeypatch.delenv(PIN)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(machine, "busy", lambda: False)
    monkeypatch.setattr(machine, "timed", lambda kernels: ({name: given[name] for name in kernels}, True))
    kernels._machine.cache_clear()
    yield given
    kernels._machine.cache_clear()


def _program() -> Any:
    from attndsl.backends.pytorch import TorchProgram
    from attndsl.elaborate import elaborate, open_text

    return TorchProgram(elaborate(open_text(SPEC), {}))


def _kernels(program: Any) -> set[str]:
    found = type(program.module).forward.__globals__["KERNELS"]
    return set(found.values())


def test_a_program_uses_what_was_measured(times: dict[str, float]) -> None:
    from attndsl.backends.pytorch import kernels

    assert _kernels(_program()) == {"onednn"}
    times.update(plain=0.1)
    assert _kernels(_program()) == {"onednn"}, "it is measured once"
    kernels._machine.cache_clear()
    assert _kernels(_program()) == {"onednn"}, "and kept"
    (Path(kernels.machine().file)).unlink()
    kernels._machine.cache_clear()
    assert _kernels(_program()) == {"plain"}


@pytest.mark.parametrize("asked", ["plain", "onednn"])
def test_a_program_uses_what_is_asked_for(asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PIN, asked)
    assert _kernels(_program()) == {asked}


def test_kernels_that_there_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    from attndsl.diagnostics import AttnError

    monkeypatch.setenv(PIN, "mkl")
    with pytest.raises(AttnError, match="E0816"):
        _program()


def test_what_is_measured_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sample, once: what it takes is not looked at."""
    from attndsl.backends.pytorch.kernels import KINDS, PEAKS

    for samples in (*(kind.samples() for kind in KINDS.values()), *(peak.samples() for peak in PEAKS.values())):
        for run in samples.values():
            run()


def test_explained(times: dict[str, float], attndsl: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "m.attn").write_text(SPEC)
    done = attndsl("compile", tmp_path / "m.attn", "--explain")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("products of float32 matrices on a CPU, as timed"))
    assert re.search(r", (1 thread|\d+ threads), torch ", lines[at])
    assert re.fullmatch(r"  arithmetic at the most: 17 GFLOP/s \(.*\)", lines[at + 1])
    assert re.fullmatch(r"  reading at the most: 1 GB/s \(.*\)", lines[at + 2])
    row = r"  one row \(.*\): onednn, 2.00 times as fast as plain; \d+ GB/s, \d+% of that"
    assert any(re.fullmatch(row, line) for line in lines[at:])
    assert lines[-1] == f"  plain is what torch calls by itself; {PIN}=plain asks for it"


def test_explained_where_a_kernel_is_asked_for(attndsl: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "m.attn").write_text(SPEC)
    assert f"by the kernels that {PIN} asks for" in attndsl("compile", tmp_path / "m.attn", "--explain").out


def test_nothing_is_timed_that_nobody_asked_for(
    times: dict[str, float], attndsl: Callable[..., Any], tmp_path: Path
) -> None:
    times.clear()
    (tmp_path / "m.attn").write_text(SPEC)
    for argv in (("check",), ("compile", "--emit", "graph"), ("compile", "--emit", "python")):
        assert attndsl(argv[0], tmp_path / "m.attn", *argv[1:]).code == 0
    assert not (tmp_path / "attndsl").exists()
