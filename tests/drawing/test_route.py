"""Arrows that are led anew: straight pieces with round corners that touch no box, in what Graphviz has laid out."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from attndsl.drawing.dot import to_dot
from attndsl.drawing.layout import Area
from attndsl.drawing.output import scene_of
from attndsl.drawing.route import _Layout, route
from attndsl.drawing.scene import Arrow, Box, Scene, SceneFrame
from attndsl.elaborate import load
from tests.drawing.conftest import HAS_GRAPHVIZ, graphviz

SPECS = Path(__file__).parent / "specs"
pytestmark = pytest.mark.skipif(not HAS_GRAPHVIZ, reason="Graphviz is not installed")
NAMES = ["gpt2", "gpt3:175b", *(str(SPECS / f"{name}.attn") for name in ("transformer", "encoder", "alternating"))]


def laid_out(scene: Scene) -> str:
    return graphviz(to_dot(scene).source, "dot", "dot").replace("\\\n", "")


def led(name: str, depth: int | None = None) -> tuple[Scene, _Layout, list[Arrow]]:
    scene = scene_of(load(name, {}), depth=depth)
    layout = _Layout(laid_out(scene), scene)
    return scene, layout, [arrow for arrow in scene.arrows if arrow.kind == "skip" or arrow.is_across]


@pytest.mark.parametrize("name", NAMES)
def test_every_skip_goes_round_at_right_angles(name: str) -> None:
    scene, layout, arrows = led(name)
    skips = [arrow for arrow in arrows if arrow.kind == "skip"]
    assert skips
    for arrow in skips:
        way = layout.way(arrow)
        assert way is not None, (arrow.tail.id, arrow.head.id)
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = way
        assert y0 == y1 > y2 == y3
        assert x1 == x2 > max(x0, x3)
        assert x3 == layout.areas[arrow.head.id].right
        frame = layout.borders.get(arrow.head.frame.id)
        assert frame is None or x1 < frame.right
        for box in scene.boxes:
            if box not in (arrow.tail, arrow.head):
                assert not any(layout.areas[box.id].meets(a, b, 0) for a, b in pairwise(way)), box.id


def test_a_memory_goes_from_below_the_encoder_into_the_decoders_side() -> None:
    _, layout, arrows = led(str(SPECS / "transformer.attn"))
    (arrow,) = [arrow for arrow in arrows if arrow.is_across]
    way = layout.way(arrow)
    assert way is not None
    encoder, decoder = layout.borders["encoder"], layout.borders["decoder"]
    assert way[0][1] < layout.borders["encoder.layer"].bottom  # from below the layers
    assert encoder.right < way[1][0] == way[2][0] < decoder.left  # between the stacks
    cross = layout.areas["decoder.layer.*.cross"]
    assert way[3] == (cross.left, cross.middle[1])


@pytest.mark.parametrize("depth", [None, 1])
@pytest.mark.parametrize("name", NAMES)
def test_every_new_way_is_made_of_straight_pieces_that_touch_no_box(name: str, depth: int | None) -> None:
    scene, layout, _ = led(name, depth)
    ways = {arrow: way for arrow in scene.arrows if (way := layout.way(arrow)) is not None}
    assert {arrow.kind for arrow in ways} >= {"skip"}
    for arrow, way in ways.items():
        for (x0, y0), (x1, y1) in pairwise(way):
            assert x0 == x1 or y0 == y1
        for box in scene.boxes:
            if box not in (arrow.tail, arrow.head):
                assert not any(layout.areas[box.id].meets(a, b, 0) for a, b in pairwise(way)), (arrow.tail.id, box.id)


def test_parameters_that_are_used_again_are_tied_round_everything() -> None:
    scene, layout, _ = led("gpt2")
    (tie,) = [arrow for arrow in scene.arrows if arrow.kind == "tie"]
    way = layout.way(tie)
    assert way is not None
    wte, dot = layout.areas["wte"], layout.areas["dot"]
    assert way[0] in ((wte.left, wte.middle[1]), (wte.right, wte.middle[1]))
    assert not layout.borders["h"].left < way[1][0] < layout.borders["h"].right
    assert way[-1] in ((dot.left, dot.middle[1]), (dot.right, dot.middle[1])) or way[-1][1] == dot.top


def test_what_is_added_comes_in_from_the_side() -> None:
    scene, layout, _ = led(str(SPECS / "encoder.attn"))
    ways = [layout.way(arrow) for arrow in scene.arrows if arrow.head.id == "add" and arrow.tail.id != "word"]
    circle = layout.areas["add"]
    assert len(ways) == 2
    for way in ways:
        assert way is not None
        assert way[-1] in ((circle.left, circle.middle[1]), (circle.right, circle.middle[1]))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_else_changes(name: str) -> None:
    """Boxes, frames and what is written in them stand as Graphviz has put them (but for one shift), and are as
    large."""
    scene = scene_of(load(name, {}))
    placed = laid_out(scene)
    wanted, found = (
        shapes(svg)
        for svg in (graphviz(to_dot(scene).source, "dot", "svg"), graphviz(route(placed, scene), "nop2", "svg"))
    )
    assert len(wanted) > 10
    assert wanted.keys() == found.keys()
    dx, dy = (found["cluster page"][0][i] - wanted["cluster page"][0][i] for i in (0, 1))
    for title, areas in wanted.items():
        for left, top, right, bottom in areas:
            moved = (left + dx, top + dy, right + dx, bottom + dy)
            assert any(max(abs(a - b) for a, b in zip(moved, area, strict=True)) < 0.6 for area in found[title]), title


def shapes(svg: str) -> dict[str, list[tuple[float, float, float, float]]]:
    """The outlines of each box and frame: left, top, right, bottom."""
    found: dict[str, list[tuple[float, float, float, float]]] = {}
    for group in re.findall(r'<g id="(?:node|clust)\d+".*?</g>', svg, re.DOTALL):
        (title,) = re.findall(r"<title>(.*?)</title>", group)
        for points in re.findall(r'(?: points| d)="([^"]*)"', group):
            xs, ys = zip(*((float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", points)), strict=True)
            found.setdefault(title, []).append((min(xs), min(ys), max(xs), max(ys)))
        for numbers in re.findall(r'cx="(.*?)" cy="(.*?)" rx="(.*?)" ry="(.*?)"', group):
            x, y, w, h = map(float, numbers)
            found.setdefault(title, []).append((x - w, y - h, x + w, y + h))
    return found


def test_an_area_is_met_by_what_comes_near() -> None:
    area = Area(10, 10, 20, 20)
    assert area.meets((0, 15), (30, 15))
    assert area.meets((22, 0), (22, 30))
    assert not area.meets((24, 0), (24, 30))
    assert not area.meets((0, 15), (6, 15))


def test_what_has_no_free_way_stays_as_it_is() -> None:
    """A box stands in the way of the skip."""
    root = SceneFrame("root", "root", "")
    tail, middle, head = (Box(id, kind, (id,), root) for id, kind in (("a", "linear"), ("b", "linear"), ("+", "add")))
    wall = Box("wall", "linear", ("wall",), root)
    flows = [Arrow(tail, middle, "flow"), Arrow(middle, head, "flow")]
    skip = Arrow(tail, head, "skip")
    text = "\n".join(
        f'"{id}" [pos="{x},{y}", width=1, height=0.5];'
        for id, x, y in (("a", 100, 300), ("b", 100, 200), ("+", 100, 100), ("wall", 170, {}))
    )
    scene = Scene("", "", "", root, [tail, middle, head, wall], [*flows, skip])
    beside, below = (_Layout(text.format(y), scene) for y in (100, 0))
    assert beside.way(skip) is None
    assert below.way(skip) is not None
