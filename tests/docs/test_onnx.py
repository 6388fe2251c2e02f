"""docs/onnx.md: its commands and programs, in order, print what it says."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "onnx.md").read_text(encoding="utf-8")
STEP = re.compile(r"^```console\n(.*?)^```$|^```python\n(.*?)^```\n\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_page_is_what_happens(attndsl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    steps = STEP.findall(PAGE)
    assert len(steps) == 4
    for commands, program, printed in steps:
        for command in re.findall(r"^\$ attndsl (.*)$", commands, re.MULTILINE):
            words = shlex.split(command)
            small = ["--set", "batch=2", "--set", "length=16", "--backend", "numpy"] if words[0] == "train" else []
            done = attndsl(*words, *small)
            assert done.code == 0, done.err
        if program:
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(program, names)
            assert out.getvalue() == printed
