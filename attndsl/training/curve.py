"""The loss curve of a run as an SVG: training loss (thin, and smoothed) and held-out loss (dots) over the steps.

Written by hand, so that it needs nothing and is the same bytes for the same log.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 760, 440
LEFT, RIGHT, TOP, BOTTOM = 72, 24, 56, 56
RAW, SMOOTH, HELD = "#9db7d5", "#1f4e79", "#c2410c"
POINTS = 1000  # at most so many of a line; more cannot be seen

Point = tuple[float, float]


def loss_curve(title: str, training: Sequence[Point], held_out: Sequence[Point]) -> str:
    """An SVG of (step, loss) points; either sequence may be empty."""
    every = [*training, *held_out]
    right = max((x for x, _ in every), default=1.0) or 1.0
    low, high = _range([y for _, y in every])
    x_ticks, y_ticks = ticks(0, right), ticks(low, high)
    low, high = min(low, y_ticks[0]), max(high, y_ticks[-1])

    def place(point: Point) -> Point:
        x = LEFT + (WIDTH - LEFT - RIGHT) * point[0] / right
        return x, TOP + (HEIGHT - TOP - BOTTOM) * (high - min(max(point[1], low), high)) / (high - low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="13" fill="#222">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="24" font-size="16" font-weight="bold">{escape(title)}</text>',
    ]
    for value in y_ticks:
        _, y = place((0, value))
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#e4e4e4"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4.5:.1f}" text-anchor="end">{_number(value, y_ticks)}</text>')
    for value in x_ticks:
        x, _ = place((value, low))
        parts.append(f'<path d="M{x:.1f} {HEIGHT - BOTTOM}v5" stroke="#555"/>')
        parts.append(
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{_number(value, x_ticks)}</text>'
        )
    parts.append(f'<path d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}" fill="none" stroke="#555"/>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 14}" text-anchor="middle">steps</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    turned = f"translate(20 {middle:.0f}) rotate(-90)"
    parts.append(f'<text transform="{turned}" text-anchor="middle">loss</text>')
    parts += _line([place(p) for p in thinned(training)], RAW, 1)
    parts += _line([place(p) for p in thinned(smoothed(training))], SMOOTH, 2.2)
    placed = [place(p) for p in held_out]
    parts += _line(placed, HELD, 1.4, ' stroke-dasharray="5 4"')
    parts += [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.6" fill="#fff" stroke="{HELD}" stroke-width="2"/>' for x, y in placed
    ]
    parts += _legend(bool(training), bool(held_out))
    return "\n".join([*parts, "</svg>", ""])


def _legend(training: bool, held_out: bool) -> list[str]:
    """At the top right, each entry with its kind of line."""
    parts: list[str] = []
    x = WIDTH - RIGHT - 216
    if training:
        parts.append(f'<path d="M{x} 41h28" stroke="{RAW}" stroke-width="5"/>')
        parts.append(f'<path d="M{x} 41h28" stroke="{SMOOTH}" stroke-width="2.2"/>')
        parts.append(f'<text x="{x + 36}" y="45.5">training</text>')
    if held_out:
        x += 120
        parts.append(f'<path d="M{x} 41h28" stroke="{HELD}" stroke-width="1.4" stroke-dasharray="5 4"/>')
        parts.append(f'<circle cx="{x + 14}" cy="41" r="3.6" fill="#fff" stroke="{HELD}" stroke-width="2"/>')
        parts.append(f'<text x="{x + 36}" y="45.5">held out</text>')
    return parts


def _line(points: Sequence[Point], colour: str, width: float, more: str = "") -> list[str]:
    if len(points) < 2:
        return []
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return [f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round"{more}/>']


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
