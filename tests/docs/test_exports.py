"""docs/onnx.md and docs/torch.md: their commands and programs, in order, print what they say."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
STEP = re.compile(r"^```console\n(.*?)^```$|^```python\n(.*?)^```\n\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.filterwarnings("ignore")  # what torch says of itself
@pytest.mark.parametrize(
    ("page", "count", "needed"), [("onnx.md", 4, ("onnx", "onnxruntime")), ("torch.md", 6, ("torch", "safetensors"))]
)
def test_a_page_is_what_happens(
    attndsl: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str, count: int, needed: tuple[str, ...]
) -> None:
    for package in needed:
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    names: dict[str, Any] = {}
    steps = STEP.findall((DOCS / page).read_text(encoding="utf-8"))
    assert len(steps) == count
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
