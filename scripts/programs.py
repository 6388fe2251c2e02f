"""Write random programs and hold every way of running them against each other.

    python scripts/programs.py                       a thousand
    python scripts/programs.py --count 10000 --seed 1
    python scripts/programs.py --show 17             one program, and what is wrong with it

Each is checked, run by NumPy as it is and after the passes, and by PyTorch with and without them, gradients too, in
float64. Whatever differs, crashes or is refused is printed with the number that makes the same program again.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.programs.holding import differences
from tests.programs.writer import Program


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="how many programs (default 1000)")
    parser.add_argument("--seed", type=int, default=0, help="the first program's number (default 0)")
    parser.add_argument("--show", type=int, metavar="NUMBER", help="print this program and what is wrong with it")
    parser.add_argument("--no-torch", action="store_true", help="NumPy alone")
    asked = parser.parse_args(arguments)
    if asked.show is not None:
        program = Program.random(asked.show)
        print(program.text, program.sizes, f"poison {program.poison}", sep="\n")
        print("\n".join(differences(program, torch=not asked.no_torch)) or "nothing is wrong")
        return 0
    begun, wrong = time.process_time(), 0
    for seed in range(asked.seed, asked.seed + asked.count):
        for what in differences(Program.random(seed), torch=not asked.no_torch)[:1]:
            wrong += 1
            print(f"{seed}: {what}", flush=True)
    seconds = time.process_time() - begun
    print(f"{asked.count} programs from {asked.seed} on, {wrong} wrong, in {seconds:.0f} s of processor time")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
