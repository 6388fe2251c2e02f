"""Train every shipped model, small and with dropout, in one process and in two and four that meet over gloo, by the
usual layouts: the losses, the gradients of the first step and the weights after ten must be the same.

    python scripts/processes.py                              all, in float64
    python scripts/processes.py mixtral:nano t5:nano         some of them
    python scripts/processes.py --layouts both experts --precision float32

A job that takes longer than a minute is stopped, and it is said where each process stood. `python scripts/programs.py
--processes` does the same with random programs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.samples.shipped import dropped, trained, written
from tests.training.as_one import LAYOUTS, NEAR, AsOne
from tests.training.crew import Crew, Failed


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("specs", nargs="*", default=trained(), metavar="SPEC")
    parser.add_argument("--layouts", nargs="*", default=list(LAYOUTS), choices=list(LAYOUTS))
    parser.add_argument("--precision", default="float64", choices=list(NEAR))
    asked = parser.parse_args(arguments)
    counted, furthest, begun = Counter[str](), 0.0, time.monotonic()
    with Crew(4) as crew:
        one = AsOne(crew)
        for name in asked.specs:
            shown = " ".join([name, *(f"{each}={share}" for each, share in dropped(name).items())])
            for layout in asked.layouts:
                outcome, apart = tried(one, name, layout, asked.precision)
                counted[outcome.partition(":")[0]] += 1
                furthest = max(furthest, apart)
                print(f"{shown:36} {layout:18} {outcome}{f' {apart:.1e}' if apart else ''}", flush=True)
    told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counted.items()))
    print(
        f"{len(asked.specs)} models x {len(asked.layouts)} layouts in {asked.precision}: {told}; furthest apart "
        f"{furthest:.1e}; {time.monotonic() - begun:.0f} s"
    )
    return 1 if counted["wrong"] else 0


def tried(one: AsOne, name: str, layout: str, precision: str) -> tuple[str, float]:
    """What became of a model by a layout, and how far it is from one process."""
    text = written(LAYOUTS[layout], name)
    if text is None:
        return "no such axes", 0.0
    try:
        found = one.furthest(name, text, precision)
    except Failed as problem:
        return f"wrong: {problem}", 0.0
    if isinstance(found, str):
        return f"refused {found}", 0.0
    return ("equal" if found < NEAR[precision] else "wrong"), found


if __name__ == "__main__":
    sys.exit(main())
