"""What the front end costs grows as the text does: twice the lines, statements, names or mistakes, twice the work.

Each family of texts is checked at two sizes, and the steps of both are counted. (What C does in one step, however
long a text it looks through, is timed by `benchmarks/front_end.py`.)
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from attndsl.api.checking import check
from attndsl.diagnostics import AttnError
from attndsl.diagnostics.report import render
from tests.costs import steps


def model(body: str) -> str:
    return f"model M(width=8) {{\n  input x: [B, width]\n{body}  output y = x\n}}\n"


def each(line: str, n: int) -> str:
    """The line n times, with the numbers from 0 in the place of `#` and those before them in the place of `@`."""
    return "".join(line.replace("#", str(i)).replace("@", str(i - 1)) for i in range(n))


def weights(address: str, n: int) -> str:
    return "weights M from m {\n" + each(f'  "p#" <-> {address}\n', n) + "}\n"


# What is there n times, and an n at which what is done once does not count.
FAMILIES: dict[str, tuple[int, Callable[[int], str]]] = {
    "blank lines": (16_000, lambda n: model("\n" * n)),
    "blank lines after a mistake": (8_000, lambda n: model("  a = x +" + "\n" * n)),
    "blank lines at the top": (16_000, lambda n: "\n" * n + model("")),
    "comments": (4_000, lambda n: model("  # said\n" * n)),
    "lines of a docstring": (4_000, lambda n: "/// said\n" * n + model("")),
    "statements": (500, lambda n: model(each("  a# = x + #\n", n))),
    "statements that read each other": (500, lambda n: model("  a = x\n" + each("  a = a + #\n", n))),
    "layers": (60, lambda n: model(each("  x = linear(x, width) as l#\n", n))),
    "bodies": (40, lambda n: model(each("  repeat h# in 2 {\n    x += x\n  }\n", n))),
    "hyperparameters": (500, lambda n: f"model M(width=8{each(', h#=#', n)}) {{\n  output y = range(width)\n}}\n"),
    "blocks": (300, lambda n: each("block b#(x: [*, D]) -> [*, D] {\n  return x + 1\n}\n", n) + model("")),
    "variants": (500, lambda n: model("") + each("variant M:v# { width=# + 1 }\n", n)),
    "inputs": (300, lambda n: model(each("  input i#: [B, width]\n", n))),
    "sizes": (300, lambda n: model(each("  input i#: [B, C#]\n", n))),
    "sizes that follow from each other": (
        100,
        lambda n: model("  input i: [C0]\n" + "".join(f"  input i{k}: [C{k} + C{k - 1}]\n" for k in range(n, 0, -1))),
    ),
    "outputs": (300, lambda n: model(each("  output o# = x + #\n", n))),
    "constraints": (500, lambda n: model(each("  require width < # + 9\n", n))),
    "a chain": (200, lambda n: model("  y = x" + " + x" * n + "\n")),
    "imports": (300, lambda n: "use std.norms\n" * n + model("")),
    "lines of weights": (300, lambda n: model(each("  param p#: [width]\n", n)) + weights("p#", n)),
    "wrong lines of weights": (300, lambda n: model(each("  param p#: [width]\n", n)) + weights("q#", n)),
    "rows of a table of choices": (
        200,
        lambda n: model("") + f"weights M from m {{\n  config {{ width = choose(k{each(', # -> #', n)}) }}\n}}\n",
    ),
    "unknown names": (500, lambda n: model(each("  a# = nope#\n", n))),
    "unknown names beside known ones": (300, lambda n: model(each("  known# = x\n  a# = knwon#\n", n))),
    "one unknown name": (500, lambda n: model(each("  a# = nope\n", n))),
    "constraints that fail": (500, lambda n: model(each("  require width > # + 9\n", n))),
    "axes that do not align": (300, lambda n: model("  input z: [C]\n" + each("  a# = x + z\n", n))),
    "declared twice": (500, lambda n: model(each("  input z: [C]\n", n))),
    "unknown settings": (500, lambda n: model("") + "train M {\n" + each("  w# = #\n", n) + "}\n"),
    "syntax errors": (1_000, lambda n: model(each("  a# = = 1\n", n))),
    "strings without an end": (1_000, lambda n: model('  a = "x\n' * n)),
    "brackets without an end": (1_000, lambda n: "model M {\n" * n),
    "signs that mean nothing": (2_000, lambda n: model("  §\n" * n)),
}


def checked(path: Path) -> None:
    try:
        check(str(path))
    except AttnError as problem:
        render(problem.diagnostics, color=False)


@pytest.mark.parametrize("family", FAMILIES)
def test_four_times_as_much_costs_about_four_times_as_much(family: str, tmp_path: Path) -> None:
    n, text = FAMILIES[family]

    def counted(count: int) -> int:
        path = tmp_path / f"{count}.attn"  # another name each time: a text that was parsed is not parsed again
        path.write_text(text(count), encoding="utf-8")
        return steps(lambda: checked(path))

    counted(1)  # what is read of the standard library, once
    # Four times as much: linear is 4 or less (the fixed part is shared), quadratic is towards 16.
    assert counted(4 * n) < 5 * counted(n)
