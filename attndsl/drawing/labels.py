"""Where the labels stand: beside the arrow that they are of, over no line, box or other label.

Graphviz makes room for them, but not always in the end, and arrows that are led anew go elsewhere. So each label that
stands in the way of something is moved along its arrow to the first place that is free; where there is none it is left
out: it can be read at the next arrow, or in a larger drawing. Titles of frames stand in their upper right corners, and
a frame grows to the right where an arrow would run through its title.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from attndsl.drawing.layout import CLUSTER, EDGE, POSITION, Area, Point, frame_areas, node_areas, number, plain
from attndsl.records import Frozen

SIZE, LINE = 12.0, 14.4  # of the letters on arrows, and the height of a line of them, in points
NEAR = 5.0  # between a label and its arrow
CLEAR = 1.5  # between a label and boxes, borders and other labels
STEP = 3.0  # between the points at which a way is looked at

_LABEL = re.compile(r'\b(?P<end>|tail|head)label="(?P<text>(?:[^"\\]|\\.)*)"|\b(?P<name>\w+)label=(?P<word>\w+)')
_PLACE = re.compile(r'\b(?P<end>|tail_|head_)lp="(?P<at>[^"]*)"')
_TITLE = re.compile(r'\blheight=(?P<height>[\d.]+)|\blwidth=(?P<width>[\d.]+)|\blp="(?P<at>[^"]*)"')


def place(text: str) -> str:
    """What Graphviz gave, with every label where it is free."""
    return _place_labels(_place_titles(text))


def wide(text: str, size: float = SIZE) -> float:
    """About how wide a line of Helvetica is, in points; rather too wide."""
    return size * sum(_NARROW.get(c, 0.72 if c.isupper() else 0.56 if ord(c) < 0x1100 else 1.05) for c in text)


_NARROW = {**dict.fromkeys("[](),.:;|!' ijlIft/", 0.29), "*": 0.39, "-": 0.34, **dict.fromkeys("mwMW@%", 0.9)}


# ---------------------------------------------------------------- ways


def _ways(text: str) -> list[list[Point]]:
    return [_way(match["attributes"]) for match in EDGE.finditer(text)]


def _way(attributes: str) -> list[Point]:
    """Points along an arrow, from its tail to its head, none further than some points from the next."""
    found = POSITION.search(attributes)
    if found is None or re.search(r"\bstyle=invis\b", attributes):
        return []
    points, tips = [], dict[str, Point]()
    for word in found[0][5:-1].split():
        x, y = (float(part) for part in word.removeprefix("s,").removeprefix("e,").split(","))
        if word[0] in "se":
            tips[word[0]] = x, y
        else:
            points.append((x, y))
    way = [tips["s"]] if "s" in tips else []
    for at in range(0, len(points) - 3, 3):
        way += _curve(*points[at : at + 4])
    way += [tips["e"]] if "e" in tips else []
    return [point for start, end in pairwise(way) for point in _between(start, end)] + way[-1:]


def _curve(a: Point, b: Point, c: Point, d: Point) -> list[Point]:
    found = []
    for step in range(17):
        t = step / 16
        weights = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3
        found.append(
            (
                sum(w * p[0] for w, p in zip(weights, (a, b, c, d), strict=True)),
                sum(w * p[1] for w, p in zip(weights, (a, b, c, d), strict=True)),
            )
        )
    return found


def _between(start: Point, end: Point) -> Iterator[Point]:
    count = max(1, int(max(abs(end[0] - start[0]), abs(end[1] - start[1])) / STEP))
    for step in range(count):
        part = step / count
        yield start[0] + (end[0] - start[0]) * part, start[1] + (end[1] - start[1]) * part


class _Taken:
    """What a label must not stand on."""

    def __init__(self, text: str, ways: list[list[Point]]) -> None:
        whole = re.search(r'\bbb="([^"]*)"', text)
        self.page = Area(*map(float, whole[1].split(","))) if whole else None
        self.areas = list(node_areas(text).values())
        self.borders = [area for name, area in frame_areas(text).items() if name != "cluster page"]
        self.titles = [title for _, title in _titles(text)]
        self.ways = [(way, _around(way)) for way in ways if way]

    def is_free(self, label: Area) -> bool:
        if self.page is not None and not _inside(label, self.page):
            return False
        roomy = Area(label.left - CLEAR, label.bottom - CLEAR, label.right + CLEAR, label.top + CLEAR)
        if any(roomy.overlaps(area) for area in self.areas) or any(roomy.overlaps(area) for area in self.titles):
            return False
        if any(roomy.overlaps(border) and not _inside(roomy, border) for border in self.borders):
            return False
        return not self.is_crossed(label)

    def is_crossed(self, label: Area) -> bool:
        return any(label.overlaps(around) and any(map(label.holds, way)) for way, around in self.ways)


def _around(way: list[Point]) -> Area:
    xs, ys = [x for x, _ in way], [y for _, y in way]
    return Area(min(xs) - 1, min(ys) - 1, max(xs) + 1, max(ys) + 1)


def _inside(inner: Area, outer: Area) -> bool:
    return (
        inner.left > outer.left and inner.right < outer.right and inner.bottom > outer.bottom and inner.top < outer.top
    )


# ---------------------------------------------------------------- labels of arrows


def _place_labels(text: str) -> str:
    ways = _ways(text)
    taken, remaining = _Taken(text, ways), iter(ways)

    def placed(match: re.Match[str]) -> str:
        way = next(remaining)
        label, at = _LABEL.search(match["attributes"]), _PLACE.search(match["attributes"])
        if label is None or at is None or not way:
            return match[0]
        words = (label["text"] if label["text"] is not None else label["word"]).strip()
        half = wide(words) / 2 + 1
        x, y = map(float, at["at"].split(","))
        now = Area(x - half, y - LINE / 2, x + half, y + LINE / 2)
        backwards = at["end"] == "head_"
        middle = "dashed" in match["attributes"]
        found = next((a for a in _candidates(now, way, half, backwards, middle) if taken.is_free(a)), None)
        if found is None:
            return match[0].replace(label[0], f'{label["end"] or ""}label=""', 1)
        taken.areas.append(found)
        return match[0].replace(at[0], f'{at["end"]}lp="{number(found.middle)}"', 1)

    return EDGE.sub(placed, text)


def _candidates(now: Area, way: list[Point], half: float, backwards: bool, middle: bool) -> Iterator[Area]:
    """Where a label may stand: where it does, if that is at its arrow; else beside the arrow, near its start first."""
    reach = Area(now.left - 2 * NEAR, now.bottom - LINE, now.right + 2 * NEAR, now.top + LINE)
    if any(map(reach.holds, way)):
        yield now
    order = list(range(1, len(way) - 1))
    if middle:
        order.sort(key=lambda at: abs(at - len(way) // 2))
    elif backwards:
        order.reverse()
    for at in order:
        (x0, y0), (x, y), (x1, y1) = way[at - 1], way[at], way[at + 1]
        slope = abs(x1 - x0), abs(y1 - y0)
        aside = [(x + half + NEAR, y), (x - half - NEAR, y)] if slope[1] > 0.3 * slope[0] else []
        above = [(x, y + LINE / 2 + 2), (x, y - LINE / 2 - 2)] if slope[0] > 0.3 * slope[1] else []
        corners = [(x + i * (half + 2), y + j * (LINE / 2 + 1)) for i, j in ((1, 1), (-1, -1), (1, -1), (-1, 1))]
        for mx, my in (*aside, *above, *(corners if aside and above else ())):
            yield Area(mx - half, my - LINE / 2, mx + half, my + LINE / 2)


# ---------------------------------------------------------------- titles of frames


def _titles(text: str) -> Iterator[tuple[str, Area]]:
    """Where the title of each frame stands, by the frame's name."""
    for match in CLUSTER.finditer(text):
        found = dict[str, str]()
        for measure in _TITLE.finditer(match["attributes"]):
            found.update({key: value for key, value in measure.groupdict().items() if value})
        if {"height", "width", "at"} <= found.keys():
            x, y = map(float, found["at"].split(","))
            w, h = 36 * float(found["width"]), 36 * float(found["height"])
            yield plain(match["id"]), Area(x - w, y - h, x + w, y + h)


def _place_titles(text: str) -> str:
    """Each title beside the arrows that would run through it (to the right, if it can), in a frame that is wide enough
    for it."""
    ways, borders, areas = [way for way in _ways(text) if way], frame_areas(text), node_areas(text)
    moved: dict[str, Point] = {}
    for name, title in _titles(text):
        if name in ("cluster page", "cluster legend"):
            continue
        border = borders[name]
        row = Area(border.left, title.bottom, border.right, title.top)
        crossing = [x for way in ways for x, y in way if row.holds((x, y))]
        slide = _free_shift(title, border, crossing)
        if slide is not None:
            if slide:
                moved[name] = title.middle[0] + slide, title.middle[1]
            continue
        around = [other for other, area in borders.items() if other == name or _inside(border, area)]
        others = [area for other, area in borders.items() if other not in around] + list(areas.values())
        wider = _widened(title, border, crossing, ways, others)
        if wider is not None:
            borders |= _grown(borders, around, wider.border)
            moved[name] = wider.title.middle
            continue
        below = Area(title.left, border.bottom + NEAR, title.right, border.bottom + NEAR + title.top - title.bottom)
        slide = _free_shift(below, border, [x for way in ways for x, y in way if below.bottom < y < below.top])
        if slide is not None and not any(below.overlaps(area) for area in areas.values()):
            moved[name] = below.middle[0] + slide, below.middle[1]
    return _redrawn(text, borders, moved) if moved else text


class _Wider(Frozen):
    """A frame that is wide enough for its title."""

    border: Area
    title: Area


def _widened(
    title: Area, border: Area, crossing: list[float], ways: list[list[Point]], others: list[Area]
) -> _Wider | None:
    """A frame as wide as its title needs, where nothing else stands: to the right, or to the left; if it can, where no
    arrow runs either."""
    outside = [area for area in others if not _inside(area, border)]
    found = []
    for new in _beyond(title, crossing):
        left, right = min(border.left, new.left - 2 * NEAR), max(border.right, new.right + 2 * NEAR)
        wider, roomy = (Area(left - by, border.bottom, right + by, border.top) for by in (0, NEAR))
        if not any(map(wider.overlaps, outside)) and not any(new.holds(point) for way in ways for point in way):
            passed = any(roomy.holds(point) and not border.holds(point) for way in ways for point in way)
            found.append((passed, _Wider(wider, new)))
    return min(found, key=lambda each: each[0])[1] if found else None


def _beyond(title: Area, crossing: list[float]) -> Iterator[Area]:
    """A title to the right of what runs through it, and one to the left."""
    through = [x for x in crossing if title.left - 2 < x < title.right + 2]
    for shift in (max(through) + NEAR - title.left, min(through) - NEAR - title.right):
        yield Area(title.left + shift, title.bottom, title.right + shift, title.top)


def _free_shift(title: Area, border: Area, crossing: list[float]) -> float | None:
    """How far a title has to be moved along its row, away from its corner, so that nothing runs through it."""
    at_left = title.left - border.left < border.right - title.right
    room = (border.right - title.right if at_left else title.left - border.left) - NEAR
    for step in range(max(0, int(room / STEP)) + 1):
        shift = step * STEP if at_left else -step * STEP
        if not any(title.left + shift - 2 < x < title.right + shift + 2 for x in crossing):
            return shift
    return None


def _grown(borders: dict[str, Area], names: list[str], wider: Area) -> dict[str, Area]:
    """Frames around each other, of which the innermost is to be as wide as `wider`."""
    found: dict[str, Area] = {}
    left, right = wider.left, wider.right
    for name in sorted(names, key=lambda name: borders[name].right - borders[name].left):
        area = borders[name]
        found[name] = Area(min(area.left, left), area.bottom, max(area.right, right), area.top)
        left, right = left - NEAR, right + NEAR
    return found


def _redrawn(text: str, borders: dict[str, Area], titles: dict[str, Point]) -> str:
    def now(match: re.Match[str]) -> str:
        area, name = borders[plain(match["id"])], plain(match["id"])
        box = f'bb="{number((area.left, area.bottom))},{number((area.right, area.top))}"'
        found = re.sub(r'\bbb="[^"]*"', box, match[0], count=1)
        return re.sub(r'\blp="[^"]*"', f'lp="{number(titles[name])}"', found, count=1) if name in titles else found

    return CLUSTER.sub(now, text)
