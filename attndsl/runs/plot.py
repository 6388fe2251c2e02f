"""The curves of several runs in one picture, against steps, tokens, FLOPs or time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from html import escape

from attndsl.runs.curve import Curve, Point, chart
from attndsl.runs.history import History, Points
from attndsl.runs.overview import Misasked, named

AGAINST = {"steps": "step", "tokens": "tokens", "flops": "flops", "time": "seconds"}
"""What a curve may run along, and what the log calls it."""
LABELS = {"steps": "steps", "tokens": "tokens", "flops": "FLOPs", "time": "seconds"}
HELD_OUT = "held_out"


def plot(histories: Sequence[History], name: str = "loss", against: str = "steps") -> str:
    """An SVG with `name`, a number of the log, of each run: as it was in training, raw and smoothed, and on held-out
    data, with a marker for each evaluation. Raises `Misasked` where no run has it."""
    names = named(histories)
    curves = [Curve(names[each.folder], *_both(each, name, against)) for each in histories]
    if not any(curve.measured or curve.points for curve in curves):
        known = list(dict.fromkeys(key for each in histories for key in each.names))
        raise Misasked(f"no run has logged `{name}`", f"there are: {', '.join(known) or 'no steps yet'}")
    what = name if len(histories) > 1 else f"{names[histories[0].folder]}: {name}"
    return chart(f"{what} (markers: held out)" if any(each.points for each in curves) else what,
                 curves, LABELS[against], name)  # fmt: skip


def _both(history: History, name: str, against: str) -> Iterator[list[Point]]:
    """The curve of the training and the one of held-out data."""
    apart = name.startswith(HELD_OUT)
    other = HELD_OUT if name == "loss" else f"{HELD_OUT}_{name}"
    yield [] if apart else _along(history, history.series(name), against)
    yield _along(history, history.series(name if apart else other), against)


def _along(history: History, points: Points, against: str) -> list[Point]:
    """Points over the steps as points over what else the log counts: as far as that was after the step."""
    if against == "steps":
        return [(float(step), value) for step, value in points]
    counted = history.series(AGAINST[against])
    steps = [step for step, _ in counted]
    places = ((bisect_right(steps, step) - 1, value) for step, value in points)
    return [(counted[place][1], value) for place, value in places if place >= 0]


def page(svg: str, headings: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str] = ()) -> str:
    """The plot above the table, as a page that needs nothing else."""
    said = f"<pre>{escape(chr(10).join(notes))}</pre>" if notes else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Runs</title>\n'
        "<style>body { font: 15px Helvetica, Arial, sans-serif; margin: 2em; color: #222 }\n"
        "table { border-collapse: collapse } th, td { padding: .3em .8em; border-bottom: 1px solid #ddd; "
        "text-align: left; white-space: nowrap } svg { max-width: 100%; height: auto }</style></head>\n"
        f"<body>\n{svg}\n{html_table(headings, rows)}{said}</body></html>\n"
    )


def html_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table that scrolls where it is wider than its place."""
    head = "".join(f"<th>{escape(each)}</th>" for each in headings)
    body = "\n".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div style="overflow-x: auto"><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'
