"""The pages in docs/contributing, taken apart: what a fence's words say of its block.

- ```` ```python NAME ````, and the same with `toml` or `attn`, are files; Python without a name is a script;
- ```` ```console ````: commands behind `$`, each followed by what it prints (nothing: it may print anything).
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

PAGES = Path(__file__).resolve().parents[2] / "docs" / "contributing"

_FENCE = re.compile(r"^```(?P<language>\w+) ?(?P<name>\S*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Shown:
    """A command as arguments of `attndsl`, and the lines that the page shows below it."""

    arguments: list[str]
    lines: list[str] = field(default_factory=list)


@dataclass
class Page:
    """A page's files by name, its scripts, its commands."""

    files: dict[str, str] = field(default_factory=dict)
    scripts: list[str] = field(default_factory=list)
    commands: list[Shown] = field(default_factory=list)


def read_page(name: str) -> Page:
    page = Page()
    for block in _FENCE.finditer((PAGES / name).read_text(encoding="utf-8")):
        if block["language"] == "console":
            page.commands += _commands(block["text"])
        elif block["name"]:
            page.files[block["name"]] = block["text"]
        elif block["language"] == "python":
            page.scripts.append(block["text"])
    return page


def _commands(text: str) -> list[Shown]:
    found: list[Shown] = []
    for line in text.splitlines():
        if line.startswith("$ attndsl "):
            found.append(Shown(shlex.split(line.removeprefix("$ attndsl "))))
        else:
            found[-1].lines.append(line)
    return found
