"""No label stands over a line, a box or another label: read off the SVG, by a measure of letters of its own."""

from __future__ import annotations

import re
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from itertools import combinations

import pytest

from attndsl.drawing import Style, picture
from attndsl.elaborate import elaborate, load, open_text, shipped
from attndsl.graph import Graph
from tests.drawing.conftest import HAS_GRAPHVIZ
from tests.programs.writer import Program

SPACE = "{http://www.w3.org/2000/svg}"
NARROW = "[](),. ijlt*'"
Box = tuple[float, float, float, float]
pytestmark = pytest.mark.skipif(not HAS_GRAPHVIZ, reason="Graphviz is not installed")


def written(group: ElementTree.Element) -> Iterator[tuple[str, Box]]:
    """The texts of a group with about what they cover."""
    for text in group.iter(f"{SPACE}text"):
        words, size = (text.text or "").strip(), float(text.get("font-size", "14"))
        x, y = float(text.get("x", "0")), float(text.get("y", "0"))
        half = size * sum(0.13 if letter in NARROW else 0.25 for letter in words)
        yield words, (x - half, y - 0.7 * size, x + half, y)


def points(path: ElementTree.Element) -> Iterator[tuple[float, float]]:
    """Points along the cubic curves of a path, close to each other."""
    numbers = [float(x) for x in re.findall(r"-?[\d.]+", path.get("d", ""))]
    corners = list(zip(numbers[::2], numbers[1::2], strict=True))
    for at in range(0, len(corners) - 3, 3):
        a, b, c, d = corners[at : at + 4]
        for step in range(101):
            t = step / 100
            weights = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
            x, y = (sum(w * p[i] for w, p in zip(weights, (a, b, c, d), strict=True)) for i in (0, 1))
            yield x, y


def covered(svg: str) -> list[str]:
    """What stands over something else."""
    root = ElementTree.fromstring(svg)
    groups = [group for group in root.iter(f"{SPACE}g") if group.get("class", "").split()[:1] != ["graph"]]
    texts = [(group, *found) for group in groups for found in written(group)]
    lines = [
        (str(group.findtext(f"{SPACE}title")), list(points(path)))
        for group in groups
        if group.get("class", "").startswith("edge")
        for path in group.iter(f"{SPACE}path")
    ]
    found = []
    for _, words, (left, top, right, bottom) in texts:
        for name, line in lines:
            if any(left < x < right and top < y < bottom for x, y in line):
                found.append(f"{words} over {name}")
    for (_, one, a), (_, two, b) in combinations(texts, 2):
        if a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]:
            found.append(f"{one} over {two}")
    return found


TOO_MUCH = ("seq2seq",)  # scans over each other, of whose states Graphviz's package makes a tangle
DRAWN = shipped() if shutil.which("dot") else [name for name in shipped() if name not in TOO_MUCH]


@pytest.mark.parametrize("name", DRAWN)
def test_no_label_stands_over_anything(name: str) -> None:
    assert not covered(str(picture(load(name, {}))))


@pytest.mark.parametrize("name", ["rnn_lm", "rnn_tagger"])
def test_nor_does_one_where_a_scan_is_unrolled(name: str) -> None:
    assert not covered(str(picture(load(name, {}), style=Style(unrolled=True))))


@pytest.mark.parametrize("name", ["gpt2", "vit", "mixtral", "transformer"])
def test_nor_does_one_where_it_runs_from_left_to_right(name: str) -> None:
    assert not covered(str(picture(load(name, {}), style=Style(landscape=True))))


@pytest.mark.parametrize("number", range(4))
def test_nor_in_random_programs(number: int) -> None:
    graph: Graph = elaborate(open_text(Program.random(number).text), {})
    assert not covered(str(picture(graph, depth=2)))
