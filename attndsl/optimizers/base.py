"""What an optimizer is."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from attndsl.choices import Kind, Option
from attndsl.records import Frozen

Shape = tuple[int, ...]
DECAY = "weight decay of matrices and tables (what is only added or multiplied place by place has none)"


class Step(Frozen):
    """One step of one parameter: the learning `rate`, the `number` of the update (from 1), whether weight decay pulls
    at the parameter (`decays`)."""

    rate: float
    number: int
    decays: bool


class Optimizer(Kind, ABC):
    """How a gradient moves a parameter. Every optimizer has the option `lr`, the highest learning rate."""

    options: ClassVar[Mapping[str, Option]]
    by_element: ClassVar[bool] = True  # whether each number moves by what stands at its own place alone

    def keeps(self, shape: Shape) -> Mapping[str, Shape]:
        """The arrays that are kept beside a parameter of this shape, by name, all zeros before the first update. They
        are what a checkpoint has of the optimizer, and what it takes of memory."""
        return {}

    @abstractmethod
    def update(self, xp: Any, value: Any, gradient: Any, kept: Mapping[str, Any], step: Step) -> None:
        """Move `value` in place, and bring what is `kept` up to date in place. `xp` is the module that the arrays are
        of, `numpy` or `torch`; the gradient has the value's shape and type and is not needed afterwards.

        Write what both modules have under one name: `xp.sqrt`, `xp.sign`, `xp.where`, arithmetic with Python's numbers,
        `value[...] = …`, `mean` by position (`array.mean(-1)`), `array[..., None]`."""

    def kept_numbers(self, shape: Shape) -> int:
        """How many numbers are kept beside a parameter of this shape."""
        return sum(math.prod(kept) for kept in self.keeps(shape).values())
