"""Draw random programs, closed and open, plain and optimised, and say which cannot be drawn or have a label over
something (needs Graphviz). The tests draw a few.

    python scripts/draw_programs.py --count 100
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from attndsl.diagnostics import AttnError
from attndsl.drawing import Style, picture
from attndsl.elaborate import elaborate, open_text
from attndsl.passes import optimize
from tests.drawing.test_labels import covered
from tests.programs.many import hold, options
from tests.programs.writer import Program


def failures(number: int) -> Iterator[str]:
    """What is wrong with the drawings of a program."""
    graph = elaborate(open_text(Program.random(number).text), {})
    for what, drawn in (("plain", graph), ("optimised", optimize(graph)[0])):
        for depth, style in ((0, Style()), (2, Style()), (1, Style(unrolled=True)), (0, Style(landscape=True))):
            try:
                over = covered(str(picture(drawn, depth=depth, style=style)))
            except AttnError as problem:
                over = [str(problem)]
            yield from (f"{what}, depth {depth}, {style}: {each}" for each in over)


def main(arguments: list[str] | None = None) -> int:
    return hold(options(__doc__).parse_args(arguments), failures, lambda number: Program.random(number).text)


if __name__ == "__main__":
    sys.exit(main())
