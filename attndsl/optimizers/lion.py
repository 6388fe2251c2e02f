"""Lion: the sign of an average of gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from attndsl.choices import Option
from attndsl.optimizers.base import DECAY, Optimizer, Shape, Step


class Lion(Optimizer):
    """Chen et al., "Symbolic discovery of optimization algorithms", 2023, algorithm 2. Every number moves by the rate,
    so that the rate is a third to a tenth of AdamW's, and the decay as much larger (section 5 there)."""

    name = "lion"
    doc = "the sign of an average of gradients, with decoupled weight decay"
    options: ClassVar = {
        "lr": Option("float", 1e-4, "highest learning rate", 0),
        "betas": Option("pair", (0.9, 0.99), "decay rates of the average, in the update and as it is kept", 0, 1),
        "decay": Option("float", 0.6, DECAY, 0),
    }

    def keeps(self, shape: Shape) -> Mapping[str, Shape]:
        return {"first": shape}

    def update(self, xp: Any, value: Any, gradient: Any, kept: Mapping[str, Any], step: Step) -> None:
        beta_1, beta_2 = self.pair("betas")
        first = kept["first"]
        direction = xp.sign(beta_1 * first + (1.0 - beta_1) * gradient)
        if step.decays and self.number("decay"):
            value *= 1.0 - step.rate * self.number("decay")
        value -= step.rate * direction
        first *= beta_2
        first += (1.0 - beta_2) * gradient
