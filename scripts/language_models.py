"""Train language models of one budget on the sources of Python's standard library, and write down how good they get:
recurrent ones, with and without the states of the segment before, Transformer-XL, and a GPT.

    python scripts/language_models.py              all of them, one after the other: a few minutes each on two cores
    python scripts/language_models.py LSTM GRU     some of them
    python scripts/language_models.py --render     only draw docs/language_models.svg, and put the table into the tour

All have about as many parameters, and as many steps of as many tokens; each has the optimizer of its own recipe, except
that Elman's network begins with smaller weights and takes smaller steps. The figures go into docs/language_models.json.
Runs are kept in `runs/language_models`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from attndsl.elaborate import load  # noqa: E402
from attndsl.runs.curve import Curve, chart  # noqa: E402

FIGURES = ROOT / "docs" / "language_models.json"
PLOT = ROOT / "docs" / "language_models.svg"
TOUR = ROOT / "docs" / "tour.md"
TABLE = re.compile(r"(?<=<!-- language models -->\n).*?(?=<!-- /language models -->)", re.DOTALL)

BUDGET = 1_000_000
"""The number of parameters that each comes as near to as its widths allow."""
RECIPE = {"steps": 400, "batch": 16, "length": 64, "tokenizer": "bpe(1024)", "evaluate": 100, "evaluate_batches": 180}
"""Of what is held out, nearly all is read in an evaluation."""

Settings = dict[str, Any]


def recurrent(cell: str, **more: Any) -> Callable[[int], Settings]:
    return lambda width: {"width": width, "cell": cell, **more}


def xl(width: int) -> Settings:
    return {"vocab": 1024, "width": width, "head": width // 4, "hidden": 4 * width, "memory": RECIPE["length"]}


def gpt(width: int) -> Settings:
    return {"width": width, "heads": 4, "context": RECIPE["length"]}


MODELS: dict[str, tuple[str, Callable[[int], Settings], Settings]] = {
    "RNN": ("rnn_lm:nano", recurrent("elman_cell", spread=0.08), {"lr": 5e-3}),
    "LSTM": ("rnn_lm:nano", recurrent("lstm_cell"), {}),
    "LSTM, states not carried": ("rnn_lm:nano", recurrent("lstm_cell", kept="false"), {"batches.segments": "true"}),
    "LSTM, windows from anywhere": ("rnn_lm:nano", recurrent("lstm_cell", kept="false"), {}),
    "GRU": ("rnn_lm:nano", recurrent("gru_cell"), {}),
    "LSTM, normalised": ("rnn_lm:nano", recurrent("normed_cell"), {}),
    "Transformer-XL": ("transformer_xl:nano", xl, {}),
    "GPT": ("gpt_nano", gpt, {}),
}
"""The spec, its hyperparameters at a width, and what else is set in its recipe."""


def sized(name: str) -> tuple[Settings, int]:
    """The hyperparameters with which a model comes nearest to the budget, and how many parameters it has then."""
    spec, at, _ = MODELS[name]
    found = [(load(spec, at(width)).parameter_count, width) for width in range(64, 641, 8)]
    count, width = min(found, key=lambda each: abs(each[0] - BUDGET))
    return at(width), count


def train(name: str) -> dict[str, Any]:
    """Run the command, and read what the run says of itself."""
    spec, _, more = MODELS[name]
    settings, count = sized(name)
    out = ROOT / "runs" / "language_models" / re.sub(r"\W+", "-", name.lower())
    shutil.rmtree(out, ignore_errors=True)
    given = [f"{key}={value}" for key, value in {**settings, **RECIPE, **more}.items()]
    command = [sys.executable, "-m", "attndsl", "train", spec, "--data", "example:stdlib", "--out", str(out)]
    print(f"{name}: {count:,} parameters", flush=True)
    begun = os.times().children_user
    subprocess.run([*command, *(part for each in given for part in ("--set", each))], cwd=ROOT, check=True)
    log = [json.loads(line) for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return {
        "spec": spec,
        "width": settings["width"],
        "parameters": count,
        "seconds": round(os.times().children_user - begun),
        "held_out": [[line["step"], round(line["held_out_per_byte"], 4)] for line in log if "held_out" in line],
    }


def table(figures: dict[str, Any]) -> str:
    """What the tour shows: each model with its loss, and the plot."""
    rows = ["| model | width | parameters | loss per byte | processor time |", "|---|---|---|---|---|"]
    for name in (name for name in MODELS if name in figures):
        each = figures[name]
        minutes = f"{each['seconds'] // 60}:{each['seconds'] % 60:02}"
        last = each["held_out"][-1][1]
        rows.append(f"| {name} | {each['width']} | {each['parameters']:,} | {last:.3f} nats | {minutes} |")
    return "\n".join([*rows, "", "![Loss over steps](language_models.svg)", ""])


def plot(figures: dict[str, Any]) -> str:
    """Loss per byte on held-out text over the steps, a curve for each model, the best first."""
    names = sorted(figures, key=lambda name: figures[name]["held_out"][-1][1])
    curves = [Curve(name, points=[tuple(point) for point in figures[name]["held_out"]]) for name in names]
    return chart("Loss per byte on held-out text", curves, y="nats")


def render(figures: dict[str, Any]) -> None:
    PLOT.write_text(plot(figures), encoding="utf-8")
    page = TOUR.read_text(encoding="utf-8")
    TOUR.write_text(TABLE.sub(lambda match: table(figures), page), encoding="utf-8")


def main() -> None:
    figures: dict[str, Any] = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}
    asked = [name for name in sys.argv[1:] if name != "--render"]
    if unknown := [name for name in asked if name not in MODELS]:
        sys.exit(f"there is no {', '.join(unknown)}; there are {', '.join(MODELS)}")
    for name in asked or (() if "--render" in sys.argv else MODELS):
        figures[name] = train(name)
        FIGURES.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    render(figures)


if __name__ == "__main__":
    main()
