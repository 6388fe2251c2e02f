"""A diagram from left to right in several rows, as the lines of a text: what else would be a thin band on a slide.

It is cut where no box or frame stands and a single way leads on (and lines that tie parameters). The way goes on in the
next row; where there is no free way for it, nothing is cut there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise

from attndsl.drawing.layout import CLUSTER, EDGE, NODE, Area, Point, Ways, frame_areas, node_areas, number, plain
from attndsl.drawing.scene import Arrow, Scene
from attndsl.records import Frozen

ROWS = 3  # at most
WORTH = 0.85  # of a row: by so much it has to make the diagram larger
GUTTER, MARGIN, LANE = 56.0, 30.0, 14.0  # between rows; beside them; from a way to what it passes
_PLACES = re.compile(r'\b(?P<name>pos|bb|lp|head_lp|tail_lp)="(?P<at>[^"]*)"')
_POINT = re.compile(r"(-?[\d.]+),(-?[\d.]+)")


def fold(text: str, scene: Scene, wide: float, high: float) -> tuple[str, Ways]:
    """What Graphviz has laid out, in as many rows as make it the largest on a page of `wide` x `high`, and the ways
    that lead from one row to another."""
    layout = _Cut(text, scene)
    best = max(layout.foldings(), key=lambda folding: folding.zoom(wide, high) * WORTH ** len(folding.cuts))
    return (layout.moved(best), best.ways) if best.cuts else (text, {})


class _Folding(Frozen):
    cuts: tuple[float, ...]
    rows: tuple[Area, ...]  # what each row covers before it is moved
    shifts: tuple[Point, ...]  # how far each row is moved
    ways: Ways
    head: float  # how much the title takes above them

    @property
    def size(self) -> Point:
        wide = max(row.right - row.left for row in self.rows) + (2 * MARGIN if self.cuts else 0.0)
        high = sum(row.top - row.bottom for row in self.rows) + GUTTER * len(self.cuts)
        return wide, high + self.head + MARGIN

    def zoom(self, wide: float, high: float) -> float:
        return min(wide / self.size[0], high / self.size[1])


class _Cut:
    """Where a diagram can be cut, and how it looks then."""

    def __init__(self, text: str, scene: Scene) -> None:
        self.text = text
        self.areas = node_areas(text)
        self.frames = frame_areas(text)
        frames = {n: a for n, a in self.frames.items() if n not in ("cluster page", "cluster legend")}
        self.things = [(a.left, a.right) for n, a in (self.areas | frames).items() if not n.startswith("legend ")]
        self.page = self.frames["cluster page"]
        self.arrows = [a for a in scene.arrows if a.tail.id in self.areas and a.head.id in self.areas]

    def foldings(self) -> Iterator[_Folding]:
        """Every way to fold the diagram, and the diagram as it is."""
        cuts = [cut for cut in self._gaps() if self._is_one_way(cut)]
        for count in range(ROWS):
            for chosen in combinations(cuts, count):
                found = self._folding(chosen)
                if found is not None:
                    yield found

    def _gaps(self) -> list[float]:
        """The middles of the gaps between all that stands in a diagram, from left to right."""
        found, reached = [], float("inf")
        for left, right in sorted(self.things):
            if left > reached:
                found.append((left + reached) / 2)
            reached = right if reached == float("inf") else max(reached, right)
        return found

    def _crossing(self, cut: float) -> list[Arrow]:
        return [a for a in self.arrows if self._row(a.tail.id, (cut,)) != self._row(a.head.id, (cut,))]

    def _is_one_way(self, cut: float) -> bool:
        ways = [arrow for arrow in self._crossing(cut) if arrow.kind != "tie"]
        forwards = all(self.areas[arrow.tail.id].right < cut for arrow in ways)
        return forwards and len({arrow.tail for arrow in ways}) == 1 and all(a.kind == "flow" for a in ways)

    def _row(self, name: str, cuts: Sequence[float]) -> int:
        area = self.areas.get(name) or self.frames[name]
        return 0 if name.startswith(("legend", "cluster legend")) else sum(area.middle[0] > cut for cut in cuts)

    def _folding(self, cuts: tuple[float, ...]) -> _Folding | None:
        names = [*self.areas, *(name for name in self.frames if name != "cluster page")]
        inside: list[list[Area]] = [[] for _ in range(len(cuts) + 1)]
        for name in names:
            inside[self._row(name, cuts)].append(self.areas.get(name) or self.frames[name])
        rows = tuple(_around(areas) for areas in inside)
        head = self.page.top - max(row.top for row in rows)
        if not cuts:
            return _Folding((), rows, ((0.0, 0.0),), {}, head)
        shifts, top = [], sum(row.top - row.bottom for row in rows) + GUTTER * len(cuts) + self.page.bottom + MARGIN
        for row in rows:
            shifts.append((self.page.left + MARGIN - row.left, top - row.top))
            top -= row.top - row.bottom + GUTTER
        placed = {name: _shifted(self.areas[name], shifts[self._row(name, cuts)]) for name in self.areas}
        ends = [_shifted(row, shift) for row, shift in zip(rows, shifts, strict=True)]
        ways: Ways = {}
        for arrow in self.arrows:
            start, end = self._row(arrow.tail.id, cuts), self._row(arrow.head.id, cuts)
            if start != end:
                way = self._way(arrow, placed, ends, start, end)
                if way is None:
                    return None
                ways[arrow.tail.id, arrow.head.id] = way
        return _Folding(cuts, rows, tuple(shifts), ways, head)

    def _way(self, arrow: Arrow, placed: dict[str, Area], rows: list[Area], start: int, end: int) -> list[Point] | None:
        """From the end of a row back to the start of the next one; a tie leaves downwards, and comes from above."""
        tail, head = placed[arrow.tail.id], placed[arrow.head.id]
        others = [area for name, area in placed.items() if name not in (arrow.tail.id, arrow.head.id)]
        lane = rows[end].top + GUTTER / 2
        if arrow.kind != "tie":
            if end != start + 1:
                return None
            right, left = max(row.right for row in rows) + LANE, rows[end].left - LANE
            leaves = tail.middle if arrow.tail.kind == "fork" else (tail.right, tail.middle[1])
            enters = head.middle if arrow.head.kind == "fork" else (head.left, head.middle[1])
            back = [(right, leaves[1]), (right, lane), (left, lane), (left, enters[1])]
            ways = [[leaves, *back, enters]]
        else:
            down, lane = rows[start].bottom - LANE, lane + LANE * (1 if end > start else -1)
            sides = [rows[start].left - MARGIN + LANE / 2, max(row.right for row in rows) + LANE / 2]
            over = [(head.middle[0], lane), (head.middle[0], head.top)]
            below = rows[end].bottom - LANE
            under = [(head.middle[0], below), (head.middle[0], head.bottom)]
            first = (tail.middle[0], tail.bottom), (tail.middle[0], down)
            ways = [[first[0], (tail.middle[0], lane), *over]] if end == start + 1 else []
            for side in sides:
                ways += [[*first, (side, down), (side, y), *last] for y, last in ((lane, over), (below, under))]
        free = [way for way in ways if not any(a.meets(p, q, 2.0) for a in others for p, q in pairwise(way))]
        return free[0] if free else None

    def moved(self, folding: _Folding) -> str:
        """The text of a diagram with everything in its row."""

        def shift(match: re.Match[str], row: int) -> str:
            dx, dy = folding.shifts[row]

            def to(point: re.Match[str]) -> str:
                return number((float(point[1]) + dx, float(point[2]) + dy))

            return _PLACES.sub(lambda place: f'{place["name"]}="{_POINT.sub(to, place["at"])}"', match[0])

        def node(match: re.Match[str]) -> str:
            name = plain(match["id"])
            return shift(match, self._row(name, folding.cuts)) if name in self.areas else match[0]

        def frame(match: re.Match[str]) -> str:
            name = plain(match["id"])
            return match[0] if name == "cluster page" else shift(match, self._row(name, folding.cuts))

        def edge(match: re.Match[str]) -> str:
            tail = plain(match["tail"])
            return shift(match, self._row(tail, folding.cuts) if tail in self.areas else 0)

        text = CLUSTER.sub(frame, EDGE.sub(edge, NODE.sub(node, self.text)))
        wide, high = folding.size
        return _resized(
            text, self.page, Area(self.page.left, self.page.bottom, self.page.left + wide, self.page.bottom + high)
        )


def _around(areas: list[Area]) -> Area:
    return Area(
        min(a.left for a in areas), min(a.bottom for a in areas), max(a.right for a in areas), max(a.top for a in areas)
    )


def _shifted(area: Area, by: Point) -> Area:
    return Area(area.left + by[0], area.bottom + by[1], area.right + by[0], area.top + by[1])


def _resized(text: str, before: Area, after: Area) -> str:
    """The page and the whole drawing with another size, and their titles where they belong."""

    up, middle = after.top - before.top, (after.left + after.right) / 2

    def moved(match: re.Match[str]) -> str:
        points = [(float(x), float(y)) for x, y in _POINT.findall(match["at"])]
        if match["name"] == "lp":
            return f'lp="{number((middle, points[0][1] + up))}"'
        corner = points[1][0] + after.right - before.right, points[1][1] + up
        return f'bb="{number(points[0])},{number(corner)}"'

    def outer(match: re.Match[str]) -> str:
        return _PLACES.sub(moved, match[0])

    text = re.sub(r"^\s*graph \[(?:[^\]\"]|\"(?:[^\"\\]|\\.)*\")*\];", outer, text, count=1, flags=re.MULTILINE)
    return CLUSTER.sub(lambda match: outer(match) if plain(match["id"]) == "cluster page" else match[0], text)
