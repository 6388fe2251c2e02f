"""Adafactor: second moments of matrices kept as one row and one column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from attndsl.choices import Option
from attndsl.optimizers.base import DECAY, Optimizer, Shape, Step


class Adafactor(Optimizer):
    """Shazeer and Stern, "Adafactor: adaptive learning rates with sublinear memory cost", 2018, algorithms 4 to 6.

    Of a parameter of two axes or more, the means of the squared gradients over its last axis (`row`) and over the one
    before it (`column`) are kept, of a vector the squares themselves (`second`). As published, with
    `schedule = inverse_root(hold=10000)`, the relative step is min(1e-2, t^-0.5).
    """

    name = "adafactor"
    by_element = False
    doc = "factored second moments, clipped updates, steps relative to the size of the parameter"
    options: ClassVar = {
        "lr": Option("float", 1e-2, "highest learning rate", 0),
        "relative": Option("bool", True, "multiply the rate by the root mean square of the parameter"),
        "forget": Option("float", 0.8, "the second moments keep 1 - t^-forget of themselves at update t", 0, 1),
        "threshold": Option("float", 1.0, "updates of a larger root mean square are scaled down to it", 1e-12),
        "eps": Option("pair", (1e-30, 1e-3), "added to squared gradients; the least size of a parameter", 0),
        "momentum": Option("float", 0.0, "how much of the last update is kept (0: none, and nothing is stored)", 0, 1),
        "decay": Option("float", 0.0, DECAY, 0),
    }

    def keeps(self, shape: Shape) -> Mapping[str, Shape]:
        moments = {"row": shape[:-1], "column": shape[:-2] + shape[-1:]} if len(shape) >= 2 else {"second": shape}
        return moments | ({"first": shape} if self.number("momentum") else {})

    def update(self, xp: Any, value: Any, gradient: Any, kept: Mapping[str, Any], step: Step) -> None:
        tiny, least = self.pair("eps")
        rate: Any = step.rate
        if self["relative"]:
            rate = rate * _size(value).clip(least, None)
        forgotten = step.number ** -self.number("forget")
        squares = gradient * gradient + tiny
        if "second" in kept:
            second = kept["second"]
            second += forgotten * (squares - second)
            moved = gradient / xp.sqrt(second)
        else:
            row, column = kept["row"], kept["column"]
            row += forgotten * (squares.mean(-1) - row)
            column += forgotten * (squares.mean(-2) - column)
            # The row as a share of its mean: a product of two small roots, of which neither is too small for a number.
            share = row / row.mean(-1)[..., None]
            moved = gradient / xp.sqrt(share)[..., None] / xp.sqrt(column)[..., None, :]
        moved = moved * (rate / (_size(moved) / self.number("threshold")).clip(1.0, None))
        if momentum := self.number("momentum"):
            first = kept["first"]
            first *= momentum
            first += (1.0 - momentum) * moved
            moved = first
        if step.decays and self.number("decay"):
            value *= 1.0 - step.rate * self.number("decay")
        value -= moved


def _size(array: Any) -> Any:
    """The root mean square."""
    return (array * array).mean() ** 0.5
