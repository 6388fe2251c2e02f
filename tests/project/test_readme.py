"""Every command that the README and the docs show is run, and every program in the README. The programs of the docs
have tests of their own."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _blocks(language: str) -> list[tuple[str, str]]:
    return [
        (path.relative_to(ROOT).as_posix(), body)
        for path in TEXTS
        for found, body in FENCE.findall(path.read_text(encoding="utf-8"))
        if found == language
    ]


def _commands() -> list[tuple[str, str]]:
    return [(name, line) for name, body in _blocks("sh") for line in body.splitlines() if line.strip()]


def _environment() -> dict[str, str]:
    # The scripts use the environment that the tests run in.
    return {
        **os.environ,
        "VENV": sys.prefix,
        "PATH": f"{Path(sys.prefix, 'bin')}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }


def _run(command: str, folder: Path, **environment: str) -> str:
    done = subprocess.run(
        ["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=False, env=_environment() | environment
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.torch
@pytest.mark.slow
def test_the_commands_work_one_after_the_other(tmp_path):
    shutil.copy(ROOT / "README.md", tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    commands = [command for _, command in _commands() if not command.startswith("./scripts/")]
    assert len(commands) > 12
    for command in commands:
        _run(command, tmp_path)
    assert (tmp_path / "gpt2.svg").read_text(encoding="utf-8").startswith("<")
    assert "import attndsl" not in (tmp_path / "gpt2_module.py").read_text(encoding="utf-8")


@pytest.mark.torch
@pytest.mark.slow
def test_the_demo_goes_its_whole_way(tmp_path):
    """With few steps; the promise about the loss is for the steps that the demo takes by itself."""
    out = _run(f"{ROOT}/scripts/demo", tmp_path, STEPS="3", OUT=str(tmp_path / "demo"))
    assert "gpt2: ok · GPT2 · 124,439,808 parameters" in out
    entropy = re.search(r"loss per byte +[\d.]+ +unigram entropy of the text: ([\d.]+)", out)
    assert entropy is not None
    assert 2.5 < float(entropy[1]) < 4.0
    assert re.search(r"^\d+ arrays agree$", out, re.MULTILINE)
    assert (tmp_path / "demo" / "gpt2.svg").is_file()
    assert (tmp_path / "demo" / "run" / "loss.svg").is_file()


def test_the_scripts_that_are_shown_exist_and_continuous_integration_runs_the_second():
    shown = [command for name, command in _commands() if name == "README.md" and command.startswith("./scripts/")]
    assert shown == ["./scripts/demo", "./scripts/test"]
    for command in (*shown, "./scripts/setup", "./.ci/run"):
        path = ROOT / command
        assert os.access(path, os.X_OK)
        assert path.read_text(encoding="utf-8").startswith("#!/bin/sh\n")
        subprocess.run(["sh", "-n", str(path)], check=True)
    assert "exec ./scripts/test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def _readme(language: str) -> list[str]:
    return [text for name, text in _blocks(language) if name == "README.md"]


@pytest.mark.parametrize("text", _readme("attn"))
def test_the_programs_are_right(attndsl, tmp_path, text):
    path = tmp_path / "shown.attn"
    path.write_text(text, encoding="utf-8")
    done = attndsl("check", path)
    assert done.code == 0, done.err


@pytest.mark.slow
def test_the_python_runs_block_after_block(tmp_path, monkeypatch, capsys):
    """Each where the one before has left off; those that need PyTorch where it is installed."""
    shutil.copy(ROOT / "README.md", tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    blocks = _readme("python")
    assert len(blocks) == 4
    for text in blocks:
        if "torch" in text and importlib.util.find_spec("torch") is None:
            continue
        exec(compile(text, "README.md", "exec"), names)
        assert capsys.readouterr().out
    assert (tmp_path / "small.dot").read_text(encoding="utf-8").startswith("digraph")
    assert (tmp_path / "runs" / "python" / "weights.safetensors").is_file()


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#\s]+)\)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), target
