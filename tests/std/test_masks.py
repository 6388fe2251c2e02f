"""Masks against dense ones that are made place by place."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from attndsl.backends.numpy_reference import NumpyProgram
from tests.std.meaning import written

Seen = Callable[[int, int], bool]

TEXT, SIDE = 5, 4


def image(within: Seen) -> Seen:
    """What a place of a text and a picture behind it sees: all of the text before it, and of the picture what `within`
    says of two places, counted from the picture's first."""

    def seen(q: int, k: int) -> bool:
        if k > q:
            return False
        return k < TEXT or within(q - TEXT, k - TEXT)

    return seen


def row(q: int, k: int) -> bool:
    """The places before it in its row, and those of the row above from its own column on."""
    (r, c), (above, across) = divmod(q, SIDE), divmod(k, SIDE)
    return above == r or (above == r - 1 and across >= c)


def column(q: int, k: int) -> bool:
    return q % SIDE == k % SIDE


def square(size: int) -> Seen:
    """Every place of a square around it, laid over the picture by counting on at the ends of rows."""
    reach = size // 2
    steps = {down * SIDE + right for down in range(-reach, reach + 1) for right in range(-reach, reach + 1)}

    def within(q: int, k: int) -> bool:
        return k - q in steps

    return within


MASKS: dict[str, Seen] = {
    "causal & (global(text) | grid_row(side))": image(row),
    "causal & (global(text) | grid_column(side))": image(column),
    "causal & (global(text) | grid_square(side, 3))": image(square(3)),
    "causal & (global(text) | grid_square(side, 1))": image(square(1)),
}


@pytest.mark.parametrize("mask", MASKS)
def test_masks_of_pictures(mask: str) -> None:
    graph = written(f"""
block seen(m)(q: [T], k: [S]) -> [T, S] {{
  return float(m[q=T, k=S])
}}
model M(text={TEXT}, side={SIDE}) {{
  input x: [T]
  input y: [S]
  output seen = seen({mask})(x, y)
}}
""")
    length = TEXT + SIDE * SIDE
    places = np.zeros(length, np.float32)
    found = NumpyProgram(graph).run({"x": places, "y": places})["seen"]
    dense = [[float(MASKS[mask](q, k)) for k in range(length)] for q in range(length)]
    np.testing.assert_array_equal(found, dense)
