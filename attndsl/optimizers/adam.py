"""Adam, and AdamW, which decays the weights themselves and not by way of the gradient."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from attndsl.choices import Option
from attndsl.optimizers.base import DECAY, Optimizer, Shape, Step

_BETAS = "decay rates of the two averages"
_EPS = Option("float", 1e-8, "added to the root of the second average", 0)


class Adam(Optimizer):
    """Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1."""

    name = "adam"
    doc = "averages of the gradient and of its square"
    options: ClassVar = {
        "lr": Option("float", 1e-3, "highest learning rate", 0),
        "betas": Option("pair", (0.9, 0.999), _BETAS, 0, 1 - 1e-12),
        "eps": _EPS,
    }

    @property
    def decay(self) -> float:
        return self.number("decay") if "decay" in self.options else 0.0

    def keeps(self, shape: Shape) -> Mapping[str, Shape]:
        return {"first": shape, "second": shape}

    def update(self, xp: Any, value: Any, gradient: Any, kept: Mapping[str, Any], step: Step) -> None:
        beta_1, beta_2 = self.pair("betas")
        first, second = kept["first"], kept["second"]
        if step.decays and self.decay:
            value *= 1.0 - step.rate * self.decay
        first += (1.0 - beta_1) * (gradient - first)
        second *= beta_2
        second += (1.0 - beta_2) * (gradient * gradient)
        root = xp.sqrt(second) * (1.0 / math.sqrt(1.0 - beta_2**step.number)) + self.number("eps")
        value -= step.rate / (1.0 - beta_1**step.number) * first / root


class AdamW(Adam):
    """Loshchilov and Hutter, "Decoupled weight decay regularization", 2019, algorithm 2."""

    name = "adamw"
    doc = "Adam with decoupled weight decay"
    options: ClassVar = {
        "lr": Option("float", 6e-4, "highest learning rate", 0),
        "betas": Option("pair", (0.9, 0.95), _BETAS, 0, 1 - 1e-12),
        "eps": _EPS,
        "decay": Option("float", 0.1, DECAY, 0),
    }
