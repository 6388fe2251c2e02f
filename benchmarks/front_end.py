"""What the front end costs as a text grows: each family of texts of `tests/syntax/test_linear.py` at two sizes, one
four times the other, in processor time.

    python benchmarks/front_end.py

Tests count the steps of Python, which are the same on any machine; here the time that C takes in a step counts, too.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from in_turn import in_turn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.syntax.test_linear import FAMILIES, checked


def checking(text: str, folder: Path) -> Callable[[], None]:
    numbers = itertools.count()

    def run() -> None:
        path = folder / f"{next(numbers)}.attn"  # another name each time: a text that was parsed is not parsed again
        path.write_text(text, encoding="utf-8")
        checked(path)
        path.unlink()

    return run


def main() -> None:
    for family, (n, text) in FAMILIES.items():
        with tempfile.TemporaryDirectory() as folder:
            sides = {name: checking(text(count), Path(folder)) for name, count in (("n", n), ("4 n", 4 * n))}
            times = in_turn(sides, clock=time.process_time)
        shown = "".join(f"{1e3 * times.median(size):9.1f} ms" for size in sides)
        print(f"{family:34}{shown} {times.ratio('4 n', 'n'):6.2f}", flush=True)


if __name__ == "__main__":
    main()
