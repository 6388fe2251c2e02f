"""Sizes as formulas are held to plain arithmetic on the values of their symbols."""

from __future__ import annotations

import operator
import random
from fractions import Fraction

import pytest

from attndsl.sizes import Size, solve

n, heads, width = (Size.symbol(name) for name in ("n", "heads", "width"))
VALUES = {"n": 7, "heads": 3, "width": 12}

ARITHMETIC = {
    "+": (operator.add, operator.add),
    "-": (operator.sub, operator.sub),
    "*": (operator.mul, operator.mul),
    "/": (operator.truediv, operator.truediv),
    "//": (operator.floordiv, lambda a, b: Fraction(a // b)),
    "%": (operator.mod, operator.mod),
    "min": (Size.minimum, min),
    "max": (Size.maximum, max),
}


def drawn(pick: random.Random, depth: int) -> tuple[Size, Fraction]:
    """A random formula, and its value worked out on the way."""
    if depth == 0:
        if pick.random() < 0.3:
            number = pick.randint(1, 4)
            return Size.of(number), Fraction(number)
        name = pick.choice(list(VALUES))
        return Size.symbol(name), Fraction(VALUES[name])
    (left, a), (right, b) = drawn(pick, pick.randrange(depth)), drawn(pick, pick.randrange(depth))
    name = pick.choice(list(ARITHMETIC))
    if b == 0 and name in ("/", "//", "%"):
        name = "*"
    on_sizes, on_numbers = ARITHMETIC[name]
    return on_sizes(left, right), on_numbers(a, b)


@pytest.mark.parametrize("seed", range(8))
def test_a_formula_has_the_value_of_its_parts(seed: int) -> None:
    pick = random.Random(seed)
    for _ in range(50):
        size, value = drawn(pick, 4)
        assert size.exact(VALUES) == value, size
        some = {"heads": Size.of(3), "width": Size.of(12)}
        assert size.substitute(some).exact({"n": 7}) == value, size
        assert size.substitute({**some, "n": Size.of(7)}).constant == value, size


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (heads * (width / heads), width),
        ((n + 1) * (n - 1), n * n - 1),
        ((n * n - 1) / (n + 1), n - 1),
        (n - n, Size.of(0)),
        ((n * 2 + width * 2) / 2, width + n),
        (n * 2 - n, n),
        (n.maximum(width), width.maximum(n)),
        ((n + 0) // 1, n),
    ],
)
def test_one_formula_has_one_form(left: Size, right: Size) -> None:
    assert left == right
    assert hash(left) == hash(right)


@pytest.mark.parametrize(("left", "right"), [(n // 2 * 2, n), (n % width, n), (n / n**2, n)])
def test_what_is_equal_for_some_values_only_is_not_the_same(left: Size, right: Size) -> None:
    assert left != right


def test_an_unknown_is_found_where_it_stands_alone_to_the_first_power() -> None:
    assert solve(n * 2 + 1, Size.of(15), "n") == Size.of(7)
    assert solve(n * heads, width * heads, "n") == width
    assert solve(n / 2 - width, Size.of(3), "n") == width * 2 + 6
    assert solve(width, n, "n") == width


@pytest.mark.parametrize("size", [n * n, n * n + n, n**-1 * 12, n // 2, n * (n % 2), width])
def test_an_unknown_that_is_no_linear_part_is_not_found(size: Size) -> None:
    assert solve(size, Size.of(9), "n") is None
