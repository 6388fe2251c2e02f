"""How the learning rate moves over a training: a class for each schedule."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar, Self

from attndsl.choices import Kind, Option, Registry


class Schedule(Kind, ABC):
    """The learning rate over the steps, as a share of the optimizer's `lr`."""

    @abstractmethod
    def share(self, step: int, steps: int) -> float:
        """The learning rate of `step` (from 0) as a share of the highest; `steps` is the length of the training."""

    @property
    def length(self) -> int:
        """How many steps it says that a training has; 0 where it does not say."""
        return int(self.number("steps")) if "steps" in self.options else 0

    def fitted(self, steps: int, *, warmup_given: bool) -> Self:
        """The same for a training of so many `steps`: it ends there too, and unless the warm-up was chosen, one of more
        than a tenth of the training becomes a tenth."""
        if "steps" not in self.options:
            return self
        long = not warmup_given and self.number("warmup") > steps // 10
        return self.replaced(steps=0, **({"warmup": steps // 10} if long else {}))


def _risen(step: int, warmup: float) -> float:
    """The first step already moves: a warm-up of `n` steps rises from `1/n` to 1."""
    return (step + 1) / warmup if step < warmup else 1.0


class ConstantRate(Schedule):
    name = "constant"
    doc = "constant after a linear warm-up"
    options: ClassVar = {"warmup": Option("int", 0, "steps of linear warm-up from zero", 0)}

    def share(self, step: int, steps: int) -> float:
        return _risen(step, self.number("warmup"))


class WarmupLinear(Schedule):
    """A straight rise, then a straight fall (Devlin et al., 2019, appendix A.2)."""

    name = "warmup_linear"
    doc = "linear warm-up, then linear decay"
    options: ClassVar = {
        "warmup": Option("int", 100, "steps of linear warm-up from zero", 0),
        "steps": Option("int", 0, "the step at which the decay ends (0: at the end of training)", 0),
        "floor": Option("float", 0.0, "the final rate, as a share of the highest", 0, 1),
    }

    def share(self, step: int, steps: int) -> float:
        warmup = self.number("warmup")
        if step < warmup:
            return _risen(step, warmup)
        gone = min(1.0, (step - warmup) / max(1.0, (self.length or steps) - warmup))
        floor = self.number("floor")
        return floor + (1.0 - floor) * self.left(gone)

    def left(self, gone: float) -> float:
        """What is left of the height when a share `gone` of the fall is over."""
        return 1.0 - gone


class WarmupCosine(WarmupLinear):
    """A straight rise, then half a wave down (Loshchilov and Hutter, "SGDR", 2017, equation 5)."""

    name = "warmup_cosine"
    doc = "linear warm-up, then cosine decay"
    options: ClassVar = {**WarmupLinear.options, "floor": Option("float", 0.1, WarmupLinear.options["floor"].doc, 0, 1)}

    def left(self, gone: float) -> float:
        return 0.5 * (1.0 + math.cos(math.pi * gone))


class Noam(Schedule):
    """The factor of Vaswani et al. ("Attention is all you need", 2017, equation 3), counted from step 1:
    `width^-0.5 * min(step^-0.5, step * warmup^-1.5)`."""

    name = "noam"
    doc = "linear warm-up, then decay with the inverse square root of the step, scaled by the width"
    options: ClassVar = {
        "width": Option("int", None, "the model's width", 1),
        "warmup": Option("int", 4000, "steps of linear warm-up from zero", 1),
    }

    def share(self, step: int, steps: int) -> float:
        number = step + 1
        falling: float = number**-0.5
        return float(self.number("width") ** -0.5 * min(falling, number * self.number("warmup") ** -1.5))


class InverseRoot(Schedule):
    """The highest for some steps, then a fall with the root of the step (Raffel et al., 2020, section 3.1.2):
    `max(step, hold)^-0.5` times `hold^0.5`, counted from step 1."""

    name = "inverse_root"
    doc = "constant for some steps, then decay with the inverse square root of the step"
    options: ClassVar = {
        "hold": Option("int", 10_000, "steps at the highest rate", 1),
        "warmup": Option("int", 0, "steps of linear warm-up from zero", 0),
    }

    def share(self, step: int, steps: int) -> float:
        hold = self.number("hold")
        return _risen(step, self.number("warmup")) * math.sqrt(hold / max(step + 1, hold))


SCHEDULES: Registry[type[Schedule]] = Registry(
    "schedule",
    {cls.name: f"{__name__}:{cls.__name__}" for cls in (ConstantRate, WarmupCosine, WarmupLinear, Noam, InverseRoot)},
)
