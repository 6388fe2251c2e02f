"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from attndsl.choices import Option
from attndsl.optimizers.base import DECAY, Optimizer, Shape, Step


class Descent(Optimizer):
    """Gradient descent with the momentum of Sutskever et al. ("On the importance of initialization and momentum in deep
    learning", 2013); the decay is added to the gradient. Written as `torch.optim.SGD` has it."""

    name = "sgd"
    doc = "gradient descent with momentum"
    options: ClassVar = {
        "lr": Option("float", 0.1, "highest learning rate", 0),
        "momentum": Option("float", 0.9, "how much of the last direction is kept", 0, 1),
        "nesterov": Option("bool", False, "look ahead along the momentum"),
        "decay": Option("float", 0.0, DECAY, 0),
    }

    def keeps(self, shape: Shape) -> Mapping[str, Shape]:
        return {"momentum": shape} if self.number("momentum") else {}

    def update(self, xp: Any, value: Any, gradient: Any, kept: Mapping[str, Any], step: Step) -> None:
        if step.decays and self.number("decay"):
            gradient = gradient + self.number("decay") * value
        if momentum := self.number("momentum"):
            direction = kept["momentum"]
            direction *= momentum
            direction += gradient
            gradient = gradient + momentum * direction if self["nesterov"] else direction
        value -= step.rate * gradient
