"""The command line of the scripts that hold something of many random programs."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterable


def options(about: str | None) -> argparse.ArgumentParser:
    """The options that all of them have: which programs, by their numbers, or one to look at."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="how many programs (default 1000)")
    parser.add_argument("--seed", type=int, default=0, help="the first program's number (default 0)")
    parser.add_argument("--show", type=int, metavar="NUMBER", help="print this program and what is wrong with it")
    return parser


def hold(
    asked: argparse.Namespace,
    wrong: Callable[[int], Iterable[str]],
    shown: Callable[[int], str],
    refused: str = "",
) -> int:
    """Print what is wrong with each program, and count it; with `--show` the one as `shown`. What begins with
    `refused`, the text that says so, is counted apart. Gives the exit code."""
    if asked.show is not None:
        print(shown(asked.show))
        print("\n".join(wrong(asked.show)) or "nothing is wrong")
        return 0
    begun, mistakes, refusals = time.process_time(), 0, Counter[str]()
    for number in range(asked.seed, asked.seed + asked.count):
        for what in wrong(number):
            if refused and what.startswith(refused):
                refusals[what] += 1
                continue
            mistakes += 1
            print(f"{number}: {what}", flush=True)
    said = f"{asked.count} programs from {asked.seed} on, {mistakes} wrong"
    said += "".join(f", {count} {what}" for what, count in sorted(refusals.items()))
    print(f"{said}, in {time.process_time() - begun:.0f} s of processor time")
    return 1 if mistakes else 0
