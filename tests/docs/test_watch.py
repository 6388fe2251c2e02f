"""What docs/watch.md shows of the terminal is what its commands print, for the shipped GPT-2 and a slip of the pen."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from attndsl.cli import main
from attndsl.elaborate import shipped
from attndsl.model_page import serving
from tests.drawing.conftest import HAS_GRAPHVIZ

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "watch.md").read_text(encoding="utf-8")
WATCH, RENDER = re.findall(r"^```console\n\$ attndsl ([^\n]*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "my.attn"
    path.write_text(shipped()["gpt2"].read_text(encoding="utf-8"), encoding="utf-8")
    return path


def test_what_watch_prints(file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    right = file.read_text(encoding="utf-8")

    def writes() -> Iterator[Callable[[], object]]:
        """What somebody does between the looks at the file; a text is read once it has settled."""
        for text in (right.replace("layer_norm(eps) as ln_1", "layer_nrm(eps) as ln_1"), right):
            yield lambda text=text: file.write_text(text, encoding="utf-8")
            yield from (lambda: None,) * 3
        raise KeyboardInterrupt

    doing = writes()
    monkeypatch.setattr(serving, "time", SimpleNamespace(sleep=lambda seconds: next(doing)()))
    assert main([*WATCH[0].split(), "--no-open", "--port", "0"]) == 0
    said = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:8765", capsys.readouterr().out)
    assert said == f"{WATCH[1]}\nended\n"
    assert serving.PORT == 8765


@pytest.mark.skipif(not HAS_GRAPHVIZ, reason="Graphviz is not installed")
def test_what_render_prints(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(RENDER[0].split()) == 0
    assert capsys.readouterr().out == RENDER[1]
    assert file.with_name("my.html").is_file()
