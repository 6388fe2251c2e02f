"""What one elaboration may take: a short text can ask for more than there are atoms."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod

from attndsl.diagnostics import Label, Span, error
from attndsl.elaborate.values import Evaluated
from attndsl.values import Number

MAX_STEPS = 40_000
STEPS_FOR_A_CHARACTER = 5
"""How many operations a model may unroll to: expressions evaluated, and nodes made of them. A text that writes its
layers out one by one is in proportion to them; blocks that call each other, and repeats that differ in each round, are
not."""


MAX_DEPTH = 48
"""How many blocks, masks and biases may be inside one another."""

MAX_LOOPS = 40
"""How many repeats and scans may be inside one another, across the blocks that they are in: written out, each indents
its body once or twice, and Python ends at a hundred."""

MAX_AXES = 32
"""How many axes a tensor may have: NumPy ends at 64, and a product of two may have twice as many."""

MAX_OUTCOMES = 200_000
"""How many operators on repeat indices are computed in one elaboration, round by round."""


def few_axes(count: int, place: Span) -> None:
    """Raises E0111 for a tensor with more axes than there may be."""
    if count > MAX_AXES:
        raise error("E0111", f"a tensor has at most {MAX_AXES} axes, and this would have {count}", place)


class Budget:
    """The steps that are left to an elaboration. `exhausted`: there are none, and nothing more is to be said."""

    def __init__(self, characters: int) -> None:
        self.limit = MAX_STEPS + STEPS_FOR_A_CHARACTER * characters
        self.steps = 0
        self.outcomes = 0
        self.depth = 0
        self.loops = 0
        self.exhausted = False
        self.unrolled: list[tuple[str, int]] = []

    def spend(self, steps: int, place: Span) -> None:
        """Take so many steps; raises E0111 where they are not left."""
        self.steps += steps
        if self.steps > self.limit:
            self.exhausted = True
            written_out = [f"the body of `{name}` is written out {count:,} times" for name, count in self.unrolled]
            allowed = f"{MAX_STEPS:,} are allowed, and {STEPS_FOR_A_CHARACTER} for each character of its files"
            raise error(
                "E0111",
                f"the model unrolls to more than {self.limit:,} operations",
                place,
                note=(*written_out, allowed),
                help="use `repeat` for layers that are alike; do blocks call each other again and again?",
            )

    def spend_on_sizes(self, place: Span, *operands: Evaluated) -> None:
        """Take the steps that an operator on sizes needs: in proportion to its products of terms."""
        sizes = (o.value.size for o in operands if isinstance(o.value, Number) and o.value.size is not None)
        self.spend(prod(size.parts for size in sizes) // 8, place)

    def spend_on_outcomes(self, operators: int, index: str, place: Span) -> None:
        """Take the steps for what follows from the index of a repeat; raises E0111 where they are not left."""
        self.outcomes += operators
        if self.outcomes > MAX_OUTCOMES:
            self.exhausted = True
            raise error(
                "E0111",
                f"what follows from `{index}` would be computed in more than {MAX_OUTCOMES:,} steps",
                place,
                help="write it with fewer operators, or a repeat for each kind of layer",
            )

    @contextmanager
    def entered(self, declared: Span, place: Span) -> Iterator[None]:
        """While the body of a block, mask or bias, whose name is `declared`, is elaborated; raises E0111 where it is
        inside too many others."""
        if self.depth >= MAX_DEPTH:
            raise error(
                "E0111",
                f"`{declared.text}` calls itself, or blocks and masks nest deeper than {MAX_DEPTH}",
                place,
                other=Label(declared, "declared here"),
            )
        self.spend(5, place)
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1

    @contextmanager
    def unrolling(self, name: str, count: int) -> Iterator[None]:
        """While the body of a repeat is written out for each of `count` elements."""
        self.unrolled.append((name, count))
        yield
        self.unrolled.pop()

    @contextmanager
    def looping(self, place: Span) -> Iterator[None]:
        """While the body of a repeat or scan is elaborated; raises E0111 where it is inside too many others."""
        if self.loops >= MAX_LOOPS:
            raise error("E0111", f"repeats and scans nest deeper than {MAX_LOOPS}", place)
        self.loops += 1
        try:
            yield
        finally:
            self.loops -= 1
