"""What every diagnostic code means, with what gives it and what does not: the pages of docs/errors, one for each code.

A page is its title, a text, and two fenced blocks marked `wrong` and `right`, whose language says what they are:
`attn` (programs, which `attndsl check` judges), `sh` (commands, with what they answer) or `text` (calls that need a
machine, a file or a moment that an example cannot bring along).
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import NamedTuple

from attndsl.shipped import SHIPPED

RANGES = {
    "E00": "text and syntax",
    "E01": "names, imports, calls, declarations",
    "E02": "axes, types, sizes, constraints",
    "E03": "masks, positions, index functions",
    "E04": "hyperparameters and overrides",
    "E05": "files, specs, variants",
    "E06": "weights",
    "E07": "data, training, generation",
    "E08": "running: inputs, memory, backends",
    "E09": "inspecting and drawing",
    "E10": "layouts over devices",
    "W01": "warnings of a spec",
    "W06": "warnings of weights",
    "W10": "warnings of layouts",
}

WIDTH = 100  # columns of an explanation

_KINDS = {"attn": "spec", "sh": "command", "text": "situation"}
_PAGE = re.compile(
    r"# (?P<code>\w+): (?P<title>.+)\n\n(?P<text>.+?)\n\n"
    r"Wrong:\n\n```(?P<kind>\w+) wrong\n(?P<wrong>.+?)\n```\n\n"
    r"Right:\n\n```(?P=kind) right\n(?P<right>.+?)\n```\n",
    re.DOTALL,
)


class Code(NamedTuple):
    """`wrong` gives the diagnostic, `right` is its nearest relative that does not; `kind` says what they are: `spec`,
    `command` or `situation`."""

    code: str
    title: str
    text: str
    wrong: str
    right: str
    kind: str


def codes() -> list[str]:
    """All codes, sorted."""
    names = (page.name for page in _pages().iterdir())
    return sorted(name.removesuffix(".md") for name in names if name.endswith(".md") and name != "README.md")


def read_code(code: str) -> Code:
    """What the page of `code` says. Raises `ValueError` for a page that is not laid out as one."""
    found = _PAGE.fullmatch(_pages().joinpath(f"{code}.md").read_text(encoding="utf-8"))
    if found is None or found["code"] != code:
        raise ValueError(f"docs/errors/{code}.md is not laid out as the pages of codes are")
    text = " ".join(found["text"].split("\n"))
    return Code(code, found["title"], text, found["wrong"], found["right"], _KINDS[found["kind"]])


def _pages() -> Path:
    return SHIPPED / "diagnostics" / "errors"


def explanation(entry: Code) -> str:
    """The entry as `attndsl explain` prints it."""
    text = textwrap.fill(entry.text, WIDTH, break_on_hyphens=False)
    wrong, right = (textwrap.indent(example, "    ") for example in (entry.wrong, entry.right))
    return f"{entry.code}: {entry.title}\n\n{text}\n\nwrong:\n\n{wrong}\n\nright:\n\n{right}"
