"""On a slide, a diagram that would be a thin band runs in rows; its ways lead on round what stands there."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import pytest

from attndsl.drawing import Style, picture
from attndsl.drawing.fold import fold
from attndsl.drawing.layout import Area, node_areas
from attndsl.drawing.output import scene_of
from attndsl.drawing.scene import Arrow, Box, Scene
from attndsl.drawing.style import SLIDE
from attndsl.elaborate import load
from tests.drawing.conftest import HAS_GRAPHVIZ
from tests.drawing.test_labels import SPACE, covered

needs_graphviz = pytest.mark.skipif(not HAS_GRAPHVIZ, reason="Graphviz is not installed")
BAND = """digraph "" {
	graph [bb="0,0,1040,120", label=M, lp="520,110"];
	subgraph "cluster page" {
		graph [bb="10,10,1030,100", label=settings, lp="520,90"];
		a [pos="100,40", width=1, height=0.5];
		b [pos="300,40", width=1, height=0.5];
		c [pos="500,40", width=1, height=0.5];
		d [pos="700,40", width=1, height=0.5];
		e [pos="900,40", width=1, height=0.5];
		a -> b [pos="e,264,40 136,40 180,40 220,40 256,40"];
		b -> c [label=x, lp="400,50", pos="e,464,40 336,40 380,40 420,40 456,40"];
		c -> d [pos="e,664,40 536,40 580,40 620,40 656,40"];
		d -> e [pos="e,864,40 736,40 780,40 820,40 856,40"];
	}
}
"""


def band(*further: tuple[str, str, str]) -> Scene:
    """The scene of `BAND`, and arrows between its boxes that Graphviz has not laid out."""
    scene = scene_of(load("gpt_nano", {}), style=Style(fit="slide"))
    boxes = {name: Box(name, "linear", (name,), scene.root) for name in "abcde"}
    ends = [*((a, b, "flow") for a, b in pairwise("abcde")), *further]
    scene.boxes, scene.arrows = list(boxes.values()), [Arrow(boxes[a], boxes[b], kind) for a, b, kind in ends]
    return scene


def rows(text: str) -> list[str]:
    """The boxes of each row, from left to right."""
    found: dict[float, list[str]] = {}
    for name, area in sorted(node_areas(text).items(), key=lambda item: item[1].left):
        found.setdefault(area.middle[1], []).append(name)
    return ["".join(found[y]) for y in sorted(found, reverse=True)]


def test_a_band_is_folded_so_that_it_becomes_as_large_as_it_can() -> None:
    text, ways = fold(BAND, band(), 500.0, 260.0)
    assert rows(text) == ["ab", "cde"]
    areas = node_areas(text)
    whole = re.search(r'\bbb="([^"]*)"', text)
    assert whole is not None
    page = Area(*map(float, whole[1].split(",")))
    assert list(ways) == [("b", "c")]
    (way,) = ways.values()
    assert way[0] == (areas["b"].right, areas["b"].middle[1])
    assert way[-1] == (areas["c"].left, areas["c"].middle[1])
    assert all(page.holds(corner) for corner in way)
    assert all(page.left < a.left and a.right < page.right and page.bottom < a.bottom for a in areas.values())
    assert all(one[0] == two[0] or one[1] == two[1] for one, two in pairwise(way))
    assert not any(a.meets(p, q, 0) for n, a in areas.items() if n not in "bc" for p, q in pairwise(way))


@pytest.mark.parametrize(
    ("further", "wide", "high", "expected"),
    [
        ((), 5000.0, 260.0, ["abcde"]),  # it is as large as it can be
        ((("a", "d", "flow"),), 500.0, 260.0, ["abcd", "e"]),  # two ways lead over the other gaps
        ((("a", "e", "tie"),), 500.0, 260.0, ["ab", "cde"]),
        ((("b", "e", "memory"),), 500.0, 260.0, ["a", "bcde"]),
        ((("a", "e", "mask"),), 500.0, 260.0, ["abcde"]),  # so everywhere
    ],
)
def test_where_it_is_cut(
    further: tuple[tuple[str, str, str], ...], wide: float, high: float, expected: list[str]
) -> None:
    assert rows(fold(BAND, band(*further), wide, high)[0]) == expected


@needs_graphviz
@pytest.mark.parametrize("name", ["gpt2", "vit", "mistral"])
def test_slides_are_filled_and_nothing_stands_over_anything(name: str) -> None:
    svg = str(picture(load(name, {}), style=Style(fit="slide")))
    assert not covered(svg)
    root = ElementTree.fromstring(svg)
    (drawing,) = (group for group in root.iter(f"{SPACE}g") if group.get("class") == "graph")
    zoom = re.search(r"scale\(([\d.]+)", drawing.get("transform", ""))
    assert zoom is not None
    assert float(zoom[1]) > 0.55  # letters of 8 points
    wide, high = map(float, root.get("viewBox", "").split()[2:])
    assert (wide, high) == SLIDE
