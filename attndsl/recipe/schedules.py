"""How the learning rate moves over a training."""

from __future__ import annotations

import math

from attndsl.recipe.options import Choice


def share(schedule: Choice, step: int, steps: int) -> float:
    """The learning rate of `step` (from 0) as a share of the highest; `steps` is the length of the training.

    The first step already moves: a warm-up of `n` steps rises from `1/n` to 1. For `noam` it is the factor of
    Vaswani et al. (2017), `width^-0.5 * min(step^-0.5, step * warmup^-1.5)`, counted from step 1.
    """
    warmup = schedule.number("warmup")
    if schedule.kind == "noam":
        number = step + 1
        return schedule.number("width") ** -0.5 * min(number**-0.5, number * warmup**-1.5)
    if step < warmup:
        return (step + 1) / warmup
    if schedule.kind == "constant":
        return 1.0
    end = schedule.number("steps") or steps
    gone = min(1.0, (step - warmup) / max(1.0, end - warmup))
    left = 1.0 - gone if schedule.kind == "warmup_linear" else 0.5 * (1.0 + math.cos(math.pi * gone))
    floor = schedule.number("floor")
    return floor + (1.0 - floor) * left
