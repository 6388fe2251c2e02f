"""ELMo's features against one-hot words on docstrings of Python's standard library, by group of modules, with few and
with many of them to learn from:

    python scripts/features.py --weights runs/elmo-nano     a run of `attndsl train elmo:nano --data example:stdlib`
    python scripts/features.py --table                      only put the table of docs/features.json into the tour

The classifier above the words is the same block, `class_of_words` of `specs/elmo.attn`, and so is the recipe. Below it
are either vectors of the most frequent words, which are learnt with it (`scripts/one_hot.attn`), or the layers of a
language model in both directions, which keeps its values; the weights of the layers are learnt. What is held out is the
same throughout. A few minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

import attndsl  # noqa: E402
from attndsl.data.table import Table, read_table, split_table  # noqa: E402

FIGURES = ROOT / "docs" / "features.json"
TOUR = ROOT / "docs" / "tour.md"
TABLE = re.compile(r"(<!-- features -->\n).*?(<!-- /features -->)", re.DOTALL)
SIDES = {"one-hot words": str(ROOT / "scripts" / "one_hot.attn"), "ELMo's features": "elmo:nano-classifier"}
ROWS = (500, 1500, 4500)
HELD_OUT = 500


def parts(docstrings: Table, rows: int) -> tuple[dict[str, list[Any]], float]:
    """So many rows to train on, and those that are held out, always the same, with their share."""
    train, held_out = split_table(docstrings, (HELD_OUT - 0.5) / len(docstrings))
    chosen = np.argsort(np.array(train.row_digests))[:rows]
    columns = {name: [*train.take(chosen).columns[name], *held_out.columns[name]] for name in ("text", "label")}
    return columns, (len(held_out) - 0.5) / (rows + len(held_out))


def measure(docstrings: Table, weights: Path, out: Path) -> dict[str, Any]:
    """The accuracy of each side by the number of rows, and the weights of the layers that are learnt from most."""
    found: dict[str, Any] = {"accuracy": {name: {} for name in SIDES}}
    for rows in ROWS:
        columns, share = parts(docstrings, rows)
        for name, spec in SIDES.items():
            folder = out / f"{Path(spec).stem.replace(':', '-')}-{rows}"
            if folder.exists():
                shutil.rmtree(folder)
            body = weights if spec.startswith("elmo") else None
            run = attndsl.load(spec).train(columns, folder, weights=body, held_out=share, quiet=True)
            found["accuracy"][name][str(rows)] = dict(run.metrics)["accuracy"]
            print(f"{name}, {rows:,} rows: accuracy {found['accuracy'][name][str(rows)]:.1%}", flush=True)
            if body is not None:
                mix = np.exp(run.run.weights["scalar_mix.weight"])
                found["mix"] = [round(float(share), 3) for share in mix / mix.sum()]
    return found


def table(figures: dict[str, Any]) -> str:
    """As the tour shows it."""
    lines = [f"| docstrings to learn from | {' | '.join(SIDES)} |", "|---|" + "---|" * len(SIDES)]
    for rows in ROWS:
        cells = (f"{figures['accuracy'][name][str(rows)]:.1%}" for name in SIDES)
        lines.append(f"| {rows:,} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=ROOT / "runs" / "elmo-nano")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "features")
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args(arguments)
    if not given.table:
        figures = measure(read_table("example:docstrings"), given.weights, given.out)
        FIGURES.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        print("the layers, from the words up, weigh", *figures["mix"])
    shown = table(json.loads(FIGURES.read_text(encoding="utf-8")))
    print(shown, end="")
    text = TABLE.sub(lambda found: found[1] + shown + found[2], TOUR.read_text(encoding="utf-8"))
    TOUR.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
