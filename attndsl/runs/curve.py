"""Curves over the steps of one training or of several, as an SVG: thin as measured, thick as smoothed, and points.

Written by hand, so that it needs nothing and is the same bytes for the same logs. Each curve has a shade, a dash and a
marker of its own, so that they are told apart in print without colours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from xml.sax.saxutils import escape

from attndsl.records import Frozen

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 72, 24, 56, 56
ROW = 20  # of the legend
POINTS = 1000  # at most so many of a line; more cannot be seen
COLOURS = ("#1f4e79", "#c2410c", "#3f7d20", "#8e5aa8", "#0f766e", "#a16207")  # dark enough on white, each its own grey
DASHES = ("", "7 4", "2 3", "10 4 2 4", "14 5")
MARKERS = ("circle", "square", "triangle", "diamond", "cross", "plus", "bar")

Point = tuple[float, float]


class Curve(Frozen):
    """A name, what was `measured` in passing (drawn raw and smoothed), and `points` that stand for themselves."""

    name: str
    measured: Sequence[Point] = ()
    points: Sequence[Point] = ()


class _Style(Frozen):
    colour: str
    dash: str
    marker: str

    @staticmethod
    def of(number: int) -> _Style:
        """Of so many curves that no paper shows more, no two have the same dash, marker and colour."""
        return _Style(COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)], MARKERS[number % len(MARKERS)])

    def line(self, points: Sequence[Point], width: float, more: str = "", dash: str | None = None) -> Iterator[str]:
        if len(points) > 1:
            dash = self.dash if dash is None else dash
            path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
            dashed = f' stroke-dasharray="{dash}"' if dash else ""
            yield (
                f'<path d="M{path}" fill="none" stroke="{self.colour}" stroke-width="{width}" '
                f'stroke-linejoin="round"{dashed}{more}/>'
            )

    def mark(self, x: float, y: float) -> str:
        paint = f'fill="#fff" stroke="{self.colour}" stroke-width="1.8"'
        if self.marker == "circle":
            return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.6" {paint}/>'
        shape = {
            "square": "m-3.4 -3.4h6.8v6.8h-6.8z",
            "triangle": "m0 -4.4l4.2 7.4h-8.4z",
            "diamond": "m0 -4.8l4.4 4.8l-4.4 4.8l-4.4 -4.8z",
            "cross": "m-3.4 -3.4l6.8 6.8m0 -6.8l-6.8 6.8",
            "plus": "m-4.4 0h8.8m-4.4 -4.4v8.8",
            "bar": "m0 -4.8v9.6",
        }[self.marker]
        return f'<path d="M{x:.1f} {y:.1f}{shape}" {paint}/>'


def loss_curve(title: str, training: Sequence[Point], held_out: Sequence[Point]) -> str:
    """The curve of one run: (step, loss) points of either; both may be empty."""
    parts = [Curve("training", training)] if training else []
    return chart(title, [*parts, *([Curve("held out", (), held_out)] if held_out else [])])


def chart(title: str, curves: Sequence[Curve], x: str = "steps", y: str = "loss") -> str:
    """An SVG of several curves over the same axes, whose names are `x` and `y`. Any of them may be empty."""
    every = [point for curve in curves for point in (*curve.measured, *curve.points)]
    right = max((each for each, _ in every), default=1.0) or 1.0
    unit, over = _unit(right)
    low, high = _range([each for _, each in every])
    y_ticks, x_ticks = ticks(low, high), ticks(0, right / over)
    low, high = min(low, y_ticks[0]), max(high, y_ticks[-1])
    longest = max((len(curve.name) for curve in curves), default=0)
    columns = max(1, (WIDTH - LEFT - RIGHT) // (int(7.2 * longest) + 60))
    rows = -(-len(curves) // columns)
    top = TOP + ROW * max(0, rows - 1)
    tall = HEIGHT + top - TOP
    bottom = tall - BOTTOM

    def place(point: Point) -> Point:
        value = min(max(point[1], low), high)
        return LEFT + (WIDTH - LEFT - RIGHT) * point[0] / right, top + (bottom - top) * (high - value) / (high - low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{tall}" viewBox="0 0 {WIDTH} {tall}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="13" fill="#222" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{tall}" fill="#fff"/>',
        f'<text x="{LEFT}" y="20" font-size="16" font-weight="bold">{escape(title)}</text>',
        *_axes(place, x_ticks, y_ticks, over, bottom),
        f'<path d="M{LEFT} {top}V{bottom}H{WIDTH - RIGHT}" fill="none" stroke="#555"/>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{tall - 14}" text-anchor="middle">{escape(x + unit)}</text>',
        f'<text transform="translate(20 {(top + bottom) / 2:.0f}) rotate(-90)" text-anchor="middle">{escape(y)}</text>',
    ]
    styles = [_Style.of(number) for number in range(len(curves))]
    for curve, style in zip(curves, styles, strict=True):  # what is thin lies below all that is to be read
        parts += style.line([place(each) for each in thinned(_finite(curve.measured))], 1, ' opacity=".35"', "")
    for curve, style in zip(curves, styles, strict=True):
        parts += style.line([place(each) for each in thinned(smoothed(_finite(curve.measured)))], 2.2)
        points = [place(each) for each in _finite(curve.points)]
        parts += style.line(points, 1.2, "" if curve.measured else ' opacity=".8"')
        parts += [style.mark(*each) for each in points]
    for number, (curve, style) in enumerate(zip(curves, styles, strict=True)):
        wide = (WIDTH - LEFT - RIGHT) / columns
        parts += _entry(curve, style, LEFT + wide * (number % columns), 40 + ROW * (number // columns))
    return "\n".join([*parts, "</svg>", ""])


def _axes(place: object, x_ticks: Sequence[float], y_ticks: Sequence[float], over: float, bottom: float) -> list[str]:
    assert callable(place)
    parts = []
    for value in y_ticks:
        _, y = place((0, value))
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#e4e4e4"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4.5:.1f}" text-anchor="end">{_number(value, y_ticks)}</text>')
    for value in x_ticks:
        x, _ = place((value * over, y_ticks[0]))
        parts.append(f'<path d="M{x:.1f} {bottom}v5" stroke="#555"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">{_number(value, x_ticks)}</text>')
    return parts


def _entry(curve: Curve, style: _Style, x: float, y: float) -> Iterator[str]:
    """A line of the legend: a piece of the curve with its marker, and the name."""
    if curve.measured:
        yield from style.line([(x, y), (x + 34, y)], 5, ' opacity=".35"', "")
    yield from style.line([(x, y), (x + 34, y)], 2.2 if curve.measured else 1.2)
    if curve.points:
        yield style.mark(x + 17, y)
    yield f'<text x="{x + 42:.0f}" y="{y + 4.5:.1f}">{escape(curve.name)}</text>'


_POWERS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def _unit(most: float) -> tuple[str, float]:
    """By which power of ten large numbers on an axis are divided, and how the axis says so."""
    power = 3 * math.floor(math.log10(most) / 3) if most >= 1e7 else 0
    return (f" (10{str(power).translate(_POWERS)})", 10.0**power) if power else ("", 1.0)


def _finite(points: Iterable[Point]) -> list[Point]:
    return [(x, y) for x, y in points if math.isfinite(y)]


def _range(values: Iterable[float]) -> tuple[float, float]:
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    return (low, high) if high - low > 1e-9 * max(1.0, abs(high)) else (low - 0.5, high + 0.5)


def ticks(low: float, high: float, about: int = 6) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) that span `[low, high]`'s inside, at least two."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    if last <= first:
        last = first + 1
    return [number * step for number in range(first, last + 1)]


def _number(value: float, among: Sequence[float]) -> str:
    step = among[1] - among[0]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:,.{decimals}f}"


def smoothed(points: Sequence[Point]) -> list[Point]:
    """The mean of each point and those around it, over about a fiftieth of the curve."""
    reach = len(points) // 100
    sums = [0.0]
    for _, y in points:
        sums.append(sums[-1] + y)
    result: list[Point] = []
    for place, (x, _) in enumerate(points):
        first, last = max(0, place - reach), min(len(points), place + reach + 1)
        result.append((x, (sums[last] - sums[first]) / (last - first)))
    return result


def thinned(points: Sequence[Point]) -> list[Point]:
    """At most `POINTS` of them, evenly chosen, the last among them."""
    if len(points) <= POINTS:
        return list(points)
    return [points[(number * (len(points) - 1)) // (POINTS - 1)] for number in range(POINTS)]
