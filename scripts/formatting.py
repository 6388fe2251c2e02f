"""Hold what must hold of formatting on random programs, each in order and in disorder with comments everywhere.

    python scripts/formatting.py                     a thousand
    python scripts/formatting.py --count 10000 --seed 1
    python scripts/formatting.py --show 17           one program, and what is wrong with it

Whatever changes a second time, says something else, loses a comment or shows how it was written is printed with the
number that makes the same program again.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from attndsl.formatting import format_text
from tests.formatting.properties import disordered, violations
from tests.programs.writer import Program


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="how many programs (default 1000)")
    parser.add_argument("--seed", type=int, default=0, help="the first program's number (default 0)")
    parser.add_argument("--show", type=int, metavar="NUMBER", help="print this program and what is wrong with it")
    asked = parser.parse_args(arguments)
    if asked.show is not None:
        disorder = disordered(Program.random(asked.show).text, asked.show, comments=True)
        print(disorder, format_text(disorder, "random"), sep="\n")
        print("\n".join(wrong(asked.show)) or "nothing is wrong")
        return 0
    begun, found = time.process_time(), 0
    for seed in range(asked.seed, asked.seed + asked.count):
        for what in wrong(seed):
            found += 1
            print(f"{seed}: {what}", flush=True)
    print(f"{asked.count} programs, {found} wrong, {time.process_time() - begun:.0f} s")
    return 1 if found else 0


def wrong(seed: int) -> list[str]:
    text = Program.random(seed).text
    disorder = disordered(text, seed, comments=True)
    return [*violations(text), *(f"in disorder: {what}" for what in violations(disorder))]


if __name__ == "__main__":
    raise SystemExit(main())
