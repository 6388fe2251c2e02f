"""Arrows led as papers lead them: round a sublayer, and from one stack to another, by straight ways with round corners.

Graphviz lays the diagram out; here the ways of some arrows are written anew into what it gives. One for which there is
no free way stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from attndsl.drawing.kinds import is_circle
from attndsl.drawing.labels import place
from attndsl.drawing.layout import (
    EDGE,
    INCH,
    NODE,
    POSITION,
    Area,
    Point,
    Ways,
    frame_areas,
    node_areas,
    number,
    plain,
)
from attndsl.drawing.scene import Arrow, Box, Scene, SceneFrame

RADIUS, ROOM, LEAST = 9.0, 15.0, 6.0  # of corners; between a lane and what it passes; the same, where it is tight
ARROWHEAD, OUTLINE = 7.5, 4.0


def route(text: str, scene: Scene, given: Ways | None = None) -> str:
    """What `dot -Tdot` gave for `scene`, with some arrows led anew: those with `given` ways by these."""
    layout = _Layout(text, scene)
    ways = {}
    for arrow in scene.arrows:
        ends = arrow.tail.id, arrow.head.id
        if given and ends in given:
            ways[ends] = given[ends], arrow
        elif (way := layout.way(arrow)) is not None:
            ways[ends] = layout.real(way), arrow

    def led(match: re.Match[str]) -> str:
        ends = plain(match["tail"]), plain(match["head"])
        if ends not in ways:
            return match[0]
        way, arrow = ways[ends]
        shape = _spline(way, has_tip=arrow.kind != "tie" and arrow.head.kind != "fork")
        return POSITION.sub(f'pos="{shape}"', match[0], count=1)

    return NODE.sub(_without_outlines, place(EDGE.sub(led, text)))


def _without_outlines(match: re.Match[str]) -> str:
    """A node's own size, without its second outline: Graphviz counts that in, and would add it again."""
    outlines = re.search(r"\bperipheries=(\d)", match["attributes"])
    further = (int(outlines[1]) - 1) * 2 * OUTLINE / INCH if outlines else 0.0

    def own(size: re.Match[str]) -> str:
        return f"{size[1]}={float(size[2]) - further:.5f}"

    return re.sub(r"\b(width|height)=([\d.]+)", own, match[0]) if further else match[0]


class _Layout:
    """Where everything stands."""

    def __init__(self, text: str, scene: Scene) -> None:
        self.scene = scene
        self.is_sideways = scene.style.is_sideways
        """Then everything here is turned, so that the main way leads down."""
        self.areas = {name: self._upright(area) for name, area in node_areas(text).items()}
        self.borders = {name.removeprefix("cluster "): self._upright(area) for name, area in frame_areas(text).items()}
        self.lanes: dict[tuple[str, str], tuple[float, ...]] = {}  # how far left and right Graphviz's way goes
        for match in EDGE.finditer(text):
            if pos := POSITION.search(match["attributes"]):
                points = re.findall(r"(-?[\d.]+),(-?[\d.]+)", pos[0])
                xs = [float(point[self.is_sideways]) for point in points]
                self.lanes[plain(match["tail"]), plain(match["head"])] = min(xs), max(xs)
        self.entered: set[Box] = set()  # from the right
        self.taken: list[list[Point]] = []  # ways back

    def _upright(self, area: Area) -> Area:
        return area.turned if self.is_sideways else area

    def real(self, way: list[Point]) -> list[Point]:
        """A way as it is drawn."""
        return [(-y, x) for x, y in way] if self.is_sideways else way

    def way(self, arrow: Arrow) -> list[Point] | None:
        """The corners of an arrow's new way, both ends included; None where Graphviz's stays."""
        if arrow.kind == "skip":
            return self.skip(arrow)
        if arrow.is_across:
            return self.across(arrow, *_apart(arrow, 1))
        if arrow.kind in ("next", "later"):
            return self.across(arrow, *_apart(arrow))
        if arrow.kind == "tie":
            return self.tie(arrow) or self.beside(arrow)
        if arrow.kind == "state":
            return self.beside(arrow)
        if arrow.kind != "flow" or arrow.tail.id not in self.areas or arrow.head.id not in self.areas:
            return None
        tail, head = self.areas[arrow.tail.id], self.areas[arrow.head.id]
        if head.top > tail.bottom - RADIUS:
            return None
        if abs(tail.middle[0] - head.middle[0]) < 1:  # straight down, where a label has bent it
            x, (left, right) = tail.middle[0], self.lanes.get((arrow.tail.id, arrow.head.id), (0, 0))
            way = [(x, tail.bottom), (x, head.top)]
            return way if (x - left > 1 or right - x > 1) and self._is_free(way, arrow) else None
        if abs(tail.middle[0] - head.middle[0]) < 2 * RADIUS:
            return None
        if is_circle(arrow.head.kind):  # down, and into its side
            to_right = head.middle[0] > tail.middle[0]
            corner = tail.middle[0], head.middle[1]
            way = [(tail.middle[0], tail.bottom), corner, (head.left if to_right else head.right, head.middle[1])]
        elif arrow.head.kind == "fork":  # out of its side, and down
            to_right = head.middle[0] > tail.middle[0]
            start = (tail.right if to_right else tail.left, tail.middle[1])
            way = [start, (head.middle[0], tail.middle[1]), head.middle]
        elif arrow.tail.kind == "fork":  # along, and down
            way = [tail.middle, (head.middle[0], tail.middle[1]), (head.middle[0], head.top)]
        else:
            return None
        return way if self._is_free(way, arrow) else None

    def skip(self, arrow: Arrow) -> list[Point] | None:
        """From the flow below the tail to the right, down beside all that is passed, and into the head."""
        shared = [f for f in arrow.tail.frame.chain() if f in arrow.head.frame.chain()][-1]
        start, head = self._branch(arrow), self.areas.get(arrow.head.id)
        if start is None or head is None or arrow.head in self.entered or start[1] <= head.middle[1]:
            return None
        passed = [a.right for a in self._inside(shared) if a.bottom < start[1] and a.top > head.middle[1]]
        least = max([*passed, head.right, start[0]])
        lane = least + ROOM
        if border := self.borders.get(shared.id):
            lane = min(lane, (least + border.right) / 2 if border.right - least < 2 * ROOM else lane)
        way = [start, (lane, start[1]), (lane, head.middle[1]), (head.right, head.middle[1])]
        if lane - least < LEAST or not self._is_free(way, arrow):
            return None
        self.entered.add(arrow.head)
        return way

    def _branch(self, arrow: Arrow) -> Point | None:
        """Where a skip leaves: at the fork, or from the line below the tail, or (where something is written there) from
        the tail's side."""
        area = self.areas.get(arrow.tail.id)
        if area is None or arrow.tail.kind == "fork":
            return area.middle if area else None
        flow = next((a for a in self.scene.arrows if a.tail is arrow.tail and a.kind == "flow"), None)
        below = self.areas.get(flow.head.id) if flow is not None else None
        if flow is None or below is None:
            return None
        straight = abs(below.middle[0] - area.middle[0]) < 1
        gap = area.bottom - below.top
        if straight and gap > 16 and flow.head.frame is arrow.tail.frame:
            return area.middle[0], area.bottom - min(0.4 * gap, 12)
        return (area.right, area.middle[1]) if not is_circle(arrow.tail.kind) else None

    def across(self, arrow: Arrow, before: SceneFrame, behind: SceneFrame) -> list[Point] | None:
        """From a stack's result (or a step's state) to the right, up or down between it and the one behind, and into
        the side of what reads it."""
        tail, head = self.areas.get(arrow.tail.id), self.areas.get(arrow.head.id)
        if tail is None or head is None:
            return None
        left, right = self.borders.get(before.id), self.borders.get(behind.id)
        first = left.right if left else tail.right
        if right is None or first >= right.left:
            return None
        lane = (first + right.left) / 2
        start = tail.middle if arrow.tail.kind == "fork" else (tail.right, tail.middle[1])
        end = head.middle if arrow.head.kind == "fork" else (head.left, head.middle[1])
        way = [start, (lane, start[1]), (lane, end[1]), end]
        return way if self._is_free(way, arrow) else None

    def tie(self, arrow: Arrow) -> list[Point] | None:
        """From the tail's side to where Graphviz has left room, down, and into the head's side, or from above."""
        tail, head = self.areas.get(arrow.tail.id), self.areas.get(arrow.head.id)
        if tail is None or head is None or head.top > tail.bottom or (arrow.tail.id, arrow.head.id) not in self.lanes:
            return None
        left, right = self.lanes[arrow.tail.id, arrow.head.id]
        to_left = tail.left - left > right - tail.right
        lane, side = (left, tail.left) if to_left else (right, tail.right)
        end = head.left if to_left else head.right
        if abs(lane - side) < ROOM or abs(lane - end) < ROOM:
            return None
        down = [(side, tail.middle[1]), (lane, tail.middle[1])]
        ways = [[*down, (lane, head.middle[1]), (end, head.middle[1])]]
        entry = end + ROOM if to_left else end - ROOM
        ways += [[*down, (lane, y), (entry, y), (entry, head.top)] for y in _steps(head.top + RADIUS + LEAST, 10)]
        return next((way for way in ways if self._is_free(way, arrow)), None)

    def beside(self, arrow: Arrow) -> list[Point] | None:
        """Out of the tail's side, up or down in the nearest free lane of the frame around both, and into the head's
        side: the way back of a state."""
        tail, head = self.areas.get(arrow.tail.id), self.areas.get(arrow.head.id)
        if tail is None or head is None:
            return None
        shared = [f for f in arrow.tail.frame.chain() if f in arrow.head.frame.chain()][-1]
        border = self.borders.get(shared.id) or self.borders["page"]
        around = {frame.id for box in (arrow.tail, arrow.head) for frame in box.frame.chain()}
        others = [area for name, area in self.borders.items() if name not in around and name != "page"]
        for step in range(2, 60):
            for lane in (max(tail.right, head.right) + 6 * step, min(tail.left, head.left) - 6 * step):
                is_right = lane > tail.right
                start = (tail.right if is_right else tail.left, tail.middle[1])
                end = (head.right if is_right else head.left, head.middle[1])
                if arrow.head.kind == "fork":
                    end = head.middle
                way = [start, (lane, start[1]), (lane, end[1]), end]
                if (
                    border.left + LEAST < lane < border.right - LEAST
                    and abs(start[1] - end[1]) > 2 * RADIUS
                    and not any(area.meets(a, b, 0) for area in others for a, b in pairwise(way))
                    and self._is_alone(way)
                    and self._is_free(way, arrow)
                ):
                    self.taken.append(way)
                    return way
        return None

    def _is_alone(self, way: list[Point]) -> bool:
        """Whether no other arrow that was led anew runs along the same line."""
        mine = [Area(min(x, u) - 4, min(y, v) - 4, max(x, u) + 4, max(y, v) + 4) for (x, y), (u, v) in pairwise(way)]
        return not any(
            area.meets(start, end, 0) and (start[0] == end[0]) == (area.right - area.left < area.top - area.bottom)
            for other in self.taken
            for start, end in pairwise(other)
            for area in mine
        )

    def _inside(self, frame: SceneFrame) -> Iterator[Area]:
        """What stands in a frame: boxes, and the borders of further frames."""
        for box in self.scene.boxes:
            if frame in box.frame.chain() and box.id in self.areas:
                yield self.areas[box.id]
        for other in self.scene.frames:
            if frame in other.chain() and other is not frame and other.id in self.borders:
                yield self.borders[other.id]

    def _is_free(self, way: list[Point], arrow: Arrow) -> bool:
        others = [
            self.areas[b.id] for b in self.scene.boxes if b not in (arrow.tail, arrow.head) and b.id in self.areas
        ]
        return not any(area.meets(start, end) for area in others for start, end in pairwise(way))


def _apart(arrow: Arrow, depth: int | None = None) -> tuple[SceneFrame, SceneFrame]:
    """The frames round an arrow's ends at a depth: by default the outermost that are not round both."""
    tail, head = arrow.tail.frame.chain(), arrow.head.frame.chain()
    if depth is None:
        depth = sum(one is other for one, other in zip(tail, head, strict=False))
    return tail[min(depth, len(tail) - 1)], head[min(depth, len(head) - 1)]


def _steps(start: float, count: int) -> list[float]:
    return [start + 4 * step for step in range(count)]


def _spline(way: list[Point], *, has_tip: bool = True) -> str:
    """The way as Graphviz writes it: cubic Bézier curves, and the arrow's tip before them."""
    tip = way[-1]
    points = [*way[:-1], _towards(tip, way[-2], ARROWHEAD)] if has_tip else way
    curve = [points[0]]

    def straight(to: Point) -> None:
        (x0, y0), (x1, y1) = curve[-1], to
        curve.extend((x0 + (x1 - x0) * part, y0 + (y1 - y0) * part) for part in (1 / 3, 2 / 3, 1))

    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        radius = min(RADIUS, _distance(before, corner) / 2, _distance(corner, after) / 2)
        enter, leave = _towards(corner, before, radius), _towards(corner, after, radius)
        straight(enter)
        curve += [_towards(enter, corner, 0.55 * radius), _towards(leave, corner, 0.55 * radius), leave]
    straight(points[-1])
    return (f"e,{number(tip)} " if has_tip else "") + " ".join(map(number, curve))


def _distance(a: Point, b: Point) -> float:
    return abs(a[0] - b[0]) + abs(a[1] - b[1])  # along one of the axes


def _towards(start: Point, end: Point, length: float) -> Point:
    whole = _distance(start, end)
    part = length / whole if whole else 0.0
    return start[0] + (end[0] - start[0]) * part, start[1] + (end[1] - start[1]) * part
