"""What every diagnostic code means, with a program that gives it and one that does not (`attndsl explain CODE`)."""

from __future__ import annotations

import textwrap

from attndsl.diagnostics.codes import axes, data, drawing, files, masks, names, running, syntax, using, values, weights
from attndsl.diagnostics.codes.entry import Code

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
}

WIDTH = 100  # columns of an explanation

_FILES = (syntax, names, axes, masks, values, files, weights, data, using, running, drawing)

CODES: dict[str, Code] = {
    entry.code: entry for entry in sorted((entry for file in _FILES for entry in file.ENTRIES), key=lambda it: it.code)
}


def explanation(entry: Code) -> str:
    """The entry as `attndsl explain` prints it."""

    def indented(text: str) -> str:
        return "\n".join(f"    {line}".rstrip() for line in text.strip("\n").split("\n"))

    parts = [f"{entry.code}: {entry.title}", "", textwrap.fill(entry.text, WIDTH, break_on_hyphens=False)]
    if entry.wrong:
        parts += ["", "wrong:", "", indented(entry.wrong)]
    if entry.right:
        parts += ["", "right:", "", indented(entry.right)]
    return "\n".join(parts)
