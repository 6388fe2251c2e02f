"""The figure that attention was invented for: how well a recurrent encoder-decoder answers, by the length of what it
reads, with attention and without (Bahdanau et al., 2015, figure 2).

    python scripts/alignment.py                  everything: figure and table (about ten minutes on two cores)
    python scripts/alignment.py reversed         one task: `copied`, `reversed`, `sorted` (strings) or `dates`
    python scripts/alignment.py fed              what the decoder is fed in training: the right words, its own, or both
    python scripts/alignment.py --draw           nothing is trained: docs/alignment.svg from docs/alignment.json

What is found is kept in docs/alignment.json, and shown in the tour. Both models are `seq2seq:nano`, with the same
cells, recipe and data; one has `score=additive_score(64)`. What the decoder is fed matters where it makes mistakes, so
that is compared without attention, on dates.
"""

from __future__ import annotations

import json
import random
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from attndsl.data.columns import Table  # noqa: E402
from attndsl.data.examples import example_table  # noqa: E402
from attndsl.generation.respond import respond  # noqa: E402
from attndsl.runs.run import load_run  # noqa: E402
from attndsl.training import train  # noqa: E402

FIGURES, DRAWING, TOUR = (ROOT / "docs" / name for name in ("alignment.json", "alignment.svg", "tour.md"))
PAIR = re.compile(r"\[\s+([\d.]+),\s+([\d.]+)\s+\]")  # on a line of its own
TABLE = re.compile(r"(?<=<!-- fed -->\n).*?(?=<!-- /fed -->)", re.DOTALL)
LETTERS, LONGEST, ROWS, ASKED, STEPS = "abcdefgh", 20, 30_000, 64, 500
TASKS: dict[str, Callable[[str], str]] = {
    "copied": str,
    "reversed": lambda text: text[::-1],
    "sorted": lambda text: "".join(sorted(text)),
}
WAYS = ("without attention", "with attention")
ATTENTION: dict[str, Any] = {"score": "additive_score(64)"}
FED: dict[str, dict[str, Any]] = {
    "teacher forcing": {"scheduled.rate": 0.0},
    "scheduled sampling": {"scheduled.rate": "linear(start=0, end=0.5)"},
    "free running": {"scheduled.rate": 1.0},
}
Point = tuple[int, float]


def strings(seed: int, count: int, lengths: Sequence[int]) -> list[str]:
    draw = random.Random(seed)
    return ["".join(draw.choice(LETTERS) for _ in range(draw.choice(lengths))) for _ in range(count)]


def data(task: str) -> tuple[Table, list[tuple[str, str]]]:
    """What is learnt from, and questions with their answers of every length, none of which it has."""
    if task == "dates":
        whole = example_table("example:dates")
        pairs = list(zip(whole.texts("source"), whole.texts("target"), strict=True))
        return whole.take(range(len(pairs) - 1000)), pairs[-1000:]
    answer = TASKS[task]
    known = strings(0, ROWS, range(1, LONGEST + 1))
    asked = [text for length in range(1, LONGEST + 1) for text in strings(length, ASKED, [length])]
    new = set(asked) - set(known)
    table = Table({"source": known, "target": [answer(text) for text in known]}, task)
    return table, [(text, answer(text)) for text in asked if text in new or len(text) < 3]


def trained(task: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Train one model, and ask it: the share of exact answers, in all and by the length of the source, and that of
    characters that are where they belong."""
    table, questions = data(task)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        outcome = train("seq2seq:nano", table, out, settings={"steps": STEPS, "evaluate": 0, **settings})
        run = load_run(out)
        found = respond(run, [source for source, _ in questions], LONGEST + 2)
    by_length: dict[int, list[bool]] = {}
    for (source, target), said in zip(questions, found, strict=True):
        by_length.setdefault(len(source), []).append(said == target)
    right = [each for several in by_length.values() for each in several]
    placed = [a == b for (_, target), said in zip(questions, found, strict=True) for a, b in zip_longest(target, said)]
    return {
        "parameters": run.graph.parameter_count,
        "steps": STEPS,
        "loss": outcome.held_out.loss if outcome.held_out else outcome.loss,
        "exact": sum(right) / len(right),
        "characters": sum(placed) / len(placed),
        "by_length": [[length, round(sum(of) / len(of), 4)] for length, of in sorted(by_length.items())],
    }


# ---------------------------------------------------------------- drawn

WIDTH, HEIGHT, MARGIN = 300, 190, 46
COLOURS = {"without attention": "#c2410c", "with attention": "#1f4e79"}


def _panel(task: str, found: dict[str, Any], left: int, top: int) -> Iterator[str]:
    lengths = [length for way in found.values() for length, _ in binned(way["by_length"])]
    first, last = min(lengths), max(lengths)

    def place(point: Point) -> str:
        x = left + WIDTH * (point[0] - first) / (last - first)
        return f"{x:.1f} {top + HEIGHT * (1 - point[1]):.1f}"

    yield f'<text x="{left}" y="{top - 12}" font-weight="bold">{task}</text>'
    for share in (0, 0.5, 1):
        y = top + HEIGHT * (1 - share)
        yield f'<path d="M{left} {y:.1f}h{WIDTH}" stroke="#ddd"/>'
        yield f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>'
    for length in range(-(-first // 5) * 5, last + 1, 5):
        x = place((length, 0)).split()[0]
        yield f'<text x="{x}" y="{top + HEIGHT + 18}" text-anchor="middle">{length}</text>'
    for way, figures in found.items():
        line = "L".join(place(point) for point in binned(figures["by_length"]))
        yield f'<path d="M{line}" fill="none" stroke="{COLOURS[way]}" stroke-width="2.2"/>'


def binned(points: Sequence[Point]) -> list[Point]:
    """The mean over each length and its neighbours."""
    known = dict(points)
    near = {length: [known[n] for n in range(length - 1, length + 2) if n in known] for length in known}
    return [(length, sum(values) / len(values)) for length, values in sorted(near.items())]


def drawing(figures: dict[str, Any]) -> str:
    tasks = [task for task in (*TASKS, "dates") if task in figures]
    width, height = 2 * (WIDTH + 2 * MARGIN), -(-len(tasks) // 2) * (HEIGHT + 2 * MARGIN) + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="13" fill="#222">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        f'<text x="{MARGIN}" y="28" font-size="16">Exact answers, by the length of the source</text>',
    ]
    for number, way in enumerate(WAYS):
        x = MARGIN + 170 * number
        parts.append(f'<path d="M{x} 46h26" stroke="{COLOURS[way]}" stroke-width="2.2"/>')
        parts.append(f'<text x="{x + 34}" y="50">{way}</text>')
    for number, task in enumerate(tasks):
        row, column = divmod(number, 2)
        left, top = MARGIN + column * (WIDTH + 2 * MARGIN), 2 * MARGIN + row * (HEIGHT + 2 * MARGIN)
        parts += _panel(task, figures[task], left, top)
    return "\n".join([*parts, "</svg>", ""])


def table(figures: dict[str, Any]) -> str:
    """What the decoder was fed, side by side; empty where that was not measured."""
    rows = [
        f"| {way} | {found['loss']:.3f} | {found['characters']:.1%} | {found['exact']:.1%} |"
        for way, found in figures.get("fed", {}).items()
    ]
    head = [
        "| in training | loss per token, the right ones given | right characters | exact answers |",
        "|---|---|---|---|",
    ]
    return "\n".join([*head, *rows, ""]) if rows else ""


def main(arguments: list[str]) -> int:
    figures = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.is_file() else {}
    for task in [] if arguments == ["--draw"] else arguments or [*TASKS, "dates", "fed"]:
        settings = FED if task == "fed" else {WAYS[0]: {}, WAYS[1]: ATTENTION}
        figures[task] = {}
        for way, more in settings.items():
            of, given = ("dates", {"sampled": True, **more}) if task == "fed" else (task, more)
            print(f"{task}, {way}", flush=True)
            figures[task][way] = trained(of, given)
            print(f"  {figures[task][way]['exact']:.1%} exact, loss {figures[task][way]['loss']:.3f}", flush=True)
        FIGURES.write_text(PAIR.sub(r"[\1, \2]", json.dumps(figures, indent=1)) + "\n", encoding="utf-8")
    DRAWING.write_text(drawing(figures), encoding="utf-8")
    page = TOUR.read_text(encoding="utf-8")
    TOUR.write_text(TABLE.sub(lambda match: table(figures), page), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
