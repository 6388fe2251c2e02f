"""Train the runs of docs/runs.md, draw their curves, and put into the page what the commands print.

    python scripts/runs_page.py             train, in a folder of its own (about two minutes on two cores)
    python scripts/runs_page.py --render    only docs/runs.svg and the page again, from docs/runs.json

docs/runs.json has what was printed, and the logs of one seed of each combination.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from attndsl.runs.curve import Curve, chart  # noqa: E402
from attndsl.runs.history import read_history  # noqa: E402

PAGE, FIGURES, PICTURE = (ROOT / "docs" / f"runs.{ending}" for ending in ("md", "json", "svg"))
COMMANDS = {
    "sweep": "attndsl sweep small.attn --data example:stdlib --set lr=3e-3,3e-4 --set norm=layer_norm,rms_norm "
    "--seeds 3 --jobs 2 --backend numpy --out runs/sweep",
    "runs": "attndsl runs runs/sweep --where seed=0 --sort best --plot curves.svg",
    "train": "attndsl train small.attn --data example:stdlib --steps 50 --set 'rates.wte.*=0.1' --backend numpy "
    "--out runs/short",
}
LINES = {"train": 4}
"""How many lines of what a command prints are shown, where not all are."""


def spec() -> str:
    """The text of the page's model."""
    found = re.search(r"^```attn\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def train() -> dict[str, Any]:
    """Run the commands, and keep what they print and what the runs logged."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "small.attn").write_text(spec(), encoding="utf-8")
        printed = {}
        for name, command in COMMANDS.items():
            words = [sys.executable, "-m", "attndsl", *shlex.split(command)[1:]]
            done = subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True)
            printed[name] = [line for line in done.stdout.splitlines() if not line.startswith("reading ")]
        curves = {}
        for run in sorted((Path(folder) / "runs" / "sweep").glob("*_seed=0")):
            history = read_history(run)
            rounded = {key: [[x, round(y, 4)] for x, y in history.series(key)] for key in ("loss", "held_out")}
            curves[run.name] = rounded
    return {"printed": printed, "curves": curves}


def picture(figures: dict[str, Any]) -> str:
    curves = [Curve(name, each["loss"], each["held_out"]) for name, each in figures["curves"].items()]
    return chart("loss (markers: held out)", curves)


def rendered(figures: dict[str, Any], page: str) -> str:
    """The page with what the commands print in its places."""
    for name, command in COMMANDS.items():
        lines = figures["printed"][name]
        shown = lines[: LINES.get(name, len(lines))] + (["…"] if name in LINES else [])
        block = "\n".join(["```console", f"$ {command}", *shown, "```", ""])
        place = re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", re.DOTALL)
        page = place.sub(lambda _, block=block: block, page)
    return page


def main() -> int:
    if "--render" not in sys.argv:
        FIGURES.write_text(json.dumps(train(), ensure_ascii=False) + "\n", encoding="utf-8")
    figures = json.loads(FIGURES.read_text(encoding="utf-8"))
    PICTURE.write_text(picture(figures), encoding="utf-8")
    PAGE.write_text(rendered(figures, PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
