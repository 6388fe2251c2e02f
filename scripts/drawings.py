"""Draw every shipped family into docs/, the two models of docs/changes.md, and what docs/diagrams.md shows (needs
Graphviz): `python scripts/drawings.py` (a test says when it is due)."""

from __future__ import annotations

import contextlib
import re
import shlex
import sys
import tempfile
from collections import Counter
from html import unescape
from pathlib import Path

from attndsl import cli
from attndsl.drawing import picture
from attndsl.drawing.output import write_scene
from attndsl.drawing.scene import Scene
from attndsl.elaborate import elaborate, load, open_text, shipped
from attndsl.elaborate.settings import Setting
from attndsl.graph import Graph

DOCS = Path(__file__).resolve().parents[1] / "docs"
TOO_SMALL = ("gpt_nano",)  # a GPT-2 for trying things out
SHOWN: dict[str, tuple[str, dict[str, Setting]]] = {  # what the papers show
    "gpt3": ("gpt3:175b", {}),
    "bert": ("bert", {"head": "pretraining"}),
    "seq2seq": ("seq2seq:additive", {}),
}


def graph_of(name: str) -> Graph:
    """What the drawing of a shipped spec shows."""
    return load(*SHOWN.get(name, (name, {})))


def changes() -> Scene:
    """What docs/changes.md shows: GPT-2, and the model that is written there."""
    from attndsl.differences import differences, scene_of_both

    found = re.search(r"^```attn file longer.attn\n(.*?)^```$", (DOCS / "changes.md").read_text("utf-8"), re.M | re.S)
    assert found is not None
    before, after = load("gpt2", {}), elaborate(open_text(found[1], name="longer.attn"), {})
    names = ("gpt2", "longer.attn")
    return scene_of_both(before, after, differences(before, after).matching, names)


def commands() -> list[str]:
    """The commands of docs/diagrams.md, without the program's name; each draws a picture."""
    return re.findall(r"^\$ attndsl ([^\n]*)$", (DOCS / "diagrams.md").read_text("utf-8"), re.M)


def write_files(folder: Path) -> None:
    """The specs that docs/diagrams.md shows."""
    page = (DOCS / "diagrams.md").read_text("utf-8")
    for name, text in re.findall(r"^```attn file (\S+)\n(.*?)^```$", page, re.M | re.S):
        (folder / name).write_text(text, encoding="utf-8")


def texts(svg: str) -> Counter[str]:
    """Everything that is written in a drawing, with how often. (Where it stands is up to the version of Graphviz.)"""
    found = re.findall(r"<(?:text|desc|title)\b[^>]*>(.*?)</(?:text|desc|title)>", svg, re.DOTALL)
    return Counter(unescape(text) for text in found)


def main() -> int:
    for name in [name for name in shipped() if name not in TOO_SMALL]:
        path = DOCS / f"{name}.svg"
        path.write_text(str(picture(graph_of(name))), encoding="utf-8")
        print(f"drew {path}")
    write_scene(changes, DOCS / "diff.svg")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        write_files(Path(folder))
        for command in commands():
            *options, name = shlex.split(command)
            if name not in [f"{family}.svg" for family in shipped()]:
                cli.main([*options, str(DOCS / name)])
    return 0


if __name__ == "__main__":
    sys.exit(main())
