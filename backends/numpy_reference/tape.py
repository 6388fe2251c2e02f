"""Reverse-mode differentiation: what was done is written down, and read backwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]


class PartialGradient(NamedTuple):
    """A gradient of an array of this shape that is 0 but for one place. A value that is read piece by piece is so added
    up in time proportional to its pieces."""

    place: tuple[slice | int, ...]
    array: Array
    shape: tuple[int, ...]


Gradients = Callable[[list["Array | None"]], "Iterable[tuple[int, Array | PartialGradient]]"]
"""From the gradients of several results, None for one that has none, to pairs of a slot and a share of its gradient."""

Gradient = Callable[[Array], Sequence["Array | PartialGradient | None"]]


class Tape:
    """Each value that a gradient may flow through has a slot, a number. An entry says how the gradient in one slot is
    passed on to others."""

    def __init__(self) -> None:
        self.slots = 0
        self.entries: list[tuple[int, tuple[int | None, ...], Gradient] | tuple[tuple[int, ...], Gradients]] = []

    def slot(self) -> int:
        self.slots += 1
        return self.slots

    def record(self, inputs: tuple[int | None, ...], gradient: Gradient) -> int:
        """The slot of a result that was computed from the values in `inputs` (None: a constant)."""
        slot = self.slot()
        self.entries.append((slot, inputs, gradient))
        return slot

    def record_together(self, count: int, gradients: Gradients) -> tuple[int, ...]:
        """The slots of so many results of one computation."""
        slots = tuple(self.slot() for _ in range(count))
        self.entries.append((slots, gradients))
        return slots

    def backward(self, seeds: Sequence[tuple[int, Array]]) -> dict[int, Array]:
        """The gradients in the slots that no entry made, the leaves. The tape is used up, so that what it holds is
        freed on the way."""
        gradients: dict[int, Array] = {}
        sums: set[int] = set()  # slots whose array was made here, and may be added to in place

        def add(slot: int, share: Array | PartialGradient) -> None:
            if not isinstance(share, PartialGradient):
                share = np.asarray(share)
                if slot not in gradients:
                    gradients[slot] = share
                    return
            if slot not in sums:
                found = gradients.get(slot)
                if found is not None:
                    gradients[slot] = np.array(found)
                elif isinstance(share, PartialGradient):
                    gradients[slot] = np.zeros(share.shape, share.array.dtype)
                sums.add(slot)
            if isinstance(share, PartialGradient):
                gradients[slot][share.place] += share.array
            else:
                gradients[slot] += share

        for slot, seed in seeds:
            add(slot, seed)
        while self.entries:
            entry = self.entries.pop()
            if len(entry) == 2:
                slots, together = entry
                upstreams = [gradients.pop(slot, None) for slot in slots]
                for made, part in together(upstreams) if any(each is not None for each in upstreams) else ():
                    add(made, part)
                continue
            slot, inputs, gradient = entry
            upstream = gradients.pop(slot, None)
            if upstream is None:
                continue
            for target, share in zip(inputs, gradient(upstream), strict=True):
                if target is not None and share is not None:
                    add(target, share)
        return gradients
