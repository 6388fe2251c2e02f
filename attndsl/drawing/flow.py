"""Which boxes of a scene lead to which."""

from __future__ import annotations

from collections.abc import Iterable
from graphlib import TopologicalSorter

from attndsl.drawing.scene import Arrow, Box


class SceneFlow:
    """The boxes `before` and `after` each, in the order of the arrows."""

    def __init__(self, boxes: Iterable[Box], arrows: Iterable[Arrow]) -> None:
        self.before: dict[Box, dict[Box, None]] = {box: {} for box in boxes}
        self.after: dict[Box, dict[Box, None]] = {box: {} for box in self.before}
        for arrow in arrows:
            self.before[arrow.head][arrow.tail] = None
            self.after[arrow.tail][arrow.head] = None

    def ordered(self) -> list[Box]:
        """Every box after those before it. `graphlib.CycleError` (a `ValueError`) where that cannot be."""
        return list(TopologicalSorter(self.before).static_order())

    def leading_to(self, boxes: Iterable[Box]) -> set[Box]:
        """These, and all before them."""
        waiting = list(boxes)
        found = set(waiting)
        while waiting:
            further = self.before[waiting.pop()].keys() - found
            found |= further
            waiting += further
        return found
