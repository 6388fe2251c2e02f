"""Fit the shares that machines reach (attndsl/planning/machines.toml) to the published runs that are there for it.

    python scripts/fit_machines.py

prints the shares that leave the least error, and the errors of all runs; it writes nothing. The error of a run is the
mean over its figures of how far the logarithms of predicted and reported time are apart; runs count alike.
"""

from __future__ import annotations

import math
import random
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from attndsl.planning import machine, predict
from attndsl.planning.machines import MachineModel
from attndsl.records import replace
from tests.planning.published import RUNS, Run

CARDS = ("a100-80x8", "h100x8", "h100-96x8")
STARTS = 8
LIMITS = {**dict.fromkeys(CARDS, (0.3, 0.95)), "memory": (0.6, 0.85), "link": (0.5, 0.85), "network": (0.6, 0.92),
          "beside": (0.0, 0.4)}  # fmt: skip


def with_shares(found: MachineModel, shares: Mapping[str, float]) -> MachineModel:
    common = {name: share for name, share in shares.items() if name not in CARDS}
    return replace(found, reached={**found.reached, "products": shares[found.name], **common})


def error(run: Run, shares: Mapping[str, float]) -> float:
    found = predict(run.work, run.plan, with_shares(machine(run.machine), shares), {"T": run.tokens})
    return found.seconds / run.reported(found) - 1


def misfit(shares: Mapping[str, float]) -> float:
    """The mean error of the runs that are fitted."""
    errors: dict[int, list[float]] = {}
    for run in RUNS:
        if run.fitted:
            errors.setdefault(run.number, []).append(abs(math.log1p(error(run, shares))))
    return statistics.mean(map(statistics.mean, errors.values()))


def fit() -> dict[str, float]:
    """The best of several descents, from drawn beginnings: the misfit has more than one valley."""
    drawn = random.Random(0)
    starts = [{name: drawn.uniform(low, high) for name, (low, high) in LIMITS.items()} for _ in range(STARTS)]
    return min(map(descend, starts), key=misfit)


def descend(shares: dict[str, float]) -> dict[str, float]:
    """One share after the other is moved up and down, by smaller and smaller steps."""
    least, step = misfit(shares), 0.1
    while step > 0.004:
        better = False
        for name, (low, high) in LIMITS.items():
            for way in (step, -step):
                moved = {**shares, name: min(max(shares[name] + way, low), high)}
                found = misfit(moved)
                if found < least - 1e-6:
                    least, shares, better = found, moved, True
        step = step if better else step / 2
    return shares


def main() -> int:
    shares = fit()
    print(*(f"{name} {share:.3f}" for name, share in shares.items()), sep="\n")
    for run in RUNS:
        print(f"{run.row:4}{run.model:32}{'fitted' if run.fitted else 'predicted':10}{error(run, shares):+8.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
