"""What Graphviz has laid out, as it writes it: patterns for its text, and areas."""

from __future__ import annotations

import re

from attndsl.records import Frozen

INCH = 72.0

Point = tuple[float, float]
Ways = dict[tuple[str, str], list[Point]]
"""The corners of arrows, by the names of their ends."""

_ID = r'(?:"(?:[^"\\]|\\.)*"|[\w.]+)'
_ATTRIBUTES = r'\[(?P<attributes>(?:[^\]"]|"(?:[^"\\]|\\.)*")*)\];'
NODE = re.compile(rf"^\s*(?P<id>{_ID})\s+{_ATTRIBUTES}", re.MULTILINE)
EDGE = re.compile(rf"^\s*(?P<tail>{_ID})(?::\w+)* -> (?P<head>{_ID})(?::\w+)*\s+{_ATTRIBUTES}", re.MULTILINE)
CLUSTER = re.compile(rf"subgraph (?P<id>{_ID}) \{{\s*graph {_ATTRIBUTES}")
_MEASURE = re.compile(r'\b(pos|width|height|peripheries|style)=(?:"([^"]*)"|([^\s,\]]+))')
POSITION = re.compile(r'\bpos="[^"]*"')


class Area(Frozen):
    """A rectangle, in points; up is positive."""

    left: float
    bottom: float
    right: float
    top: float

    @property
    def middle(self) -> Point:
        return (self.left + self.right) / 2, (self.bottom + self.top) / 2

    @property
    def turned(self) -> Area:
        """The same of a diagram from left to right as if it ran from top to bottom."""
        return Area(self.bottom, -self.right, self.top, -self.left)

    def meets(self, start: Point, end: Point, room: float = 3.0) -> bool:
        """Whether a horizontal or vertical line comes nearer than `room`."""
        (x0, y0), (x1, y1) = start, end
        return (
            min(x0, x1) < self.right + room
            and max(x0, x1) > self.left - room
            and min(y0, y1) < self.top + room
            and max(y0, y1) > self.bottom - room
        )

    def overlaps(self, other: Area) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.bottom < other.top and other.bottom < self.top
        )

    def holds(self, point: Point) -> bool:
        return self.left < point[0] < self.right and self.bottom < point[1] < self.top


def node_areas(text: str) -> dict[str, Area]:
    """Where every node stands, by its name; those that are not seen are left out."""
    found: dict[str, Area] = {}
    usual: dict[str, str] = {}  # what most nodes have is written once
    for match in NODE.finditer(text):
        measures = usual | {m[1]: m[2] or m[3] for m in _MEASURE.finditer(match["attributes"])}
        if match["id"] == "node":
            usual = measures
        elif "pos" in measures and measures.get("style") != "invis":
            x, y = map(float, measures["pos"].split(","))
            w, h = (INCH / 2 * float(measures[name]) for name in ("width", "height"))
            found[plain(match["id"])] = Area(x - w, y - h, x + w, y + h)
    return found


def frame_areas(text: str) -> dict[str, Area]:
    """The borders of every cluster, by its name."""
    found: dict[str, Area] = {}
    for match in CLUSTER.finditer(text):
        if box := re.search(r'\bbb="([^"]*)"', match["attributes"]):
            left, bottom, right, top = map(float, box[1].split(","))
            found[plain(match["id"])] = Area(left, bottom, right, top)
    return found


def plain(id: str) -> str:
    return id[1:-1].replace('\\"', '"') if id.startswith('"') else id


def number(point: Point) -> str:
    return f"{point[0]:.2f},{point[1]:.2f}"
