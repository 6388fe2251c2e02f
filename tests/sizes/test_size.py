"""Sizes as formulas are held to plain arithmetic on the values of their symbols."""

from __future__ import annotations

import operator
import random
from contextlib import suppress
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attndsl.graph.cursor import parse_size
from attndsl.sizes import Size, at_least_zero, solve

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


a, b, c, k, t, w, x = (Size.symbol(name) for name in ("a", "b", "c", "k", "T", "w", "x"))


def up(dividend: Size, divisor: Size | int) -> Size:
    """Rounded up, as an author writes it."""
    return -(-dividend // divisor)


EQUAL = {
    "the rest comes out": ((c * x + k) // c, x + k // c),
    "a multiple of a symbol": ((a * c) % c, Size.of(0)),
    "one less than twice": ((n * 2 - 1) // 2 + 1, n),
    "windows of two": ((t * 8 - 2) // 2 + 1, t * 4),
    "windows of three, padded": ((t * 8 + 2 - 3) // 2 + 1, t * 4),
    "windows that lie side by side": ((w * t - w) // w + 1, t),
    "one less than a multiple": ((w * t - 1) // w + 1, t),
    "almost one more": ((w * t + w - 1) // w, t),
    "an odd coefficient": ((t * 3) // 2, t + t // 2),
    "a common factor": ((t * 6 + 3) // 4, t + (t * 2 + 3) // 4),
    "numbers that both divide": ((t * 2 + 1) // 6, t // 3),
    "symbols that both divide": ((a * x) // (a * b), x // b),
    "a quotient of a quotient": ((x // a) // b, x // (a * b)),
    "windows of windows": (((t + 1) // 2 + 1) // 2, (t + 3) // 4),
    "rounded up twice": (up(up(t, 2), 3), up(t, 6)),
    "rounded up by a number": (up(t, 3), (t + 2) // 3),
    "rounded up by a symbol": (up(t, w), (t + w - 1) // w),
    "both halves": ((k - 1) // 2 + k // 2, k - 1),
    "one half and the rest": (t - t // 2, (t + 1) // 2),
    "whole and remainder": (t // w * w + t % w, t),
    "without the remainder": (t - t % w, t // w * w),
    "as far as is lacking": (t + (-t) % w, up(t, w) * w),
    "a remainder of a remainder": (t % w % w, t % w),
    "a remainder by a larger number": (t % 2 % 3, t % 2),
    "a fraction rounded down": ((t / 2) // 1, t // 2),
    "divided by a fraction": (t // (a / b), (t * b) // a),
    "divided by a sum": (((a + b) * x + k) // (a + b), x + k // (a + b)),
    "the smaller one": (t.minimum(t + w), t),
    "the larger one": (t.maximum(t // 2), t),
    "not below zero": ((t // w).maximum(Size.of(0)), t // w),
    "not above the modulus": ((t % w).minimum(w), t % w),
}


@pytest.mark.parametrize("name", EQUAL)
def test_formulas_that_are_always_equal_have_one_form(name: str) -> None:
    left, right = EQUAL[name]
    assert left == right, f"{left} and {right}"
    pick = random.Random(name)
    for _ in range(50):
        values = {symbol: pick.randint(1, 30) for symbol in left.symbols | right.symbols}
        assert left.exact(values) == right.exact(values)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (t // 2 * 2, t), (up(t, 2), t // 2), ((t + 1) // w, t // w), ((t - 1).maximum(Size.of(0)), t - 1),
        ((x // a) // b, x // (a + b)), (t % w, t), (t.minimum(w), t), ((t * 2) // 3, t // 3 * 2),
    ],
)  # fmt: skip
def test_formulas_that_are_not_always_equal_have_two(left: Size, right: Size) -> None:
    assert left != right


@pytest.mark.parametrize("seed", range(4))
def test_a_formula_is_what_its_text_says(seed: int) -> None:
    """Which is no other form, unless something in it is never a number."""
    pick = random.Random(seed)
    for _ in range(100):
        size, value = drawn(pick, 4)
        assert parse_size(str(size)).exact(VALUES) == value, size


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (t % 2, "(T%2)"), ((t + 1) % w, "((T+1)%w)"), (t - t // 2, "((T+1)//2)"), (t // 2, "(T//2)"),
        ((t - 3) // 2 + 1, "((T+1)//2)-1"), (-(t % w) * k + 4, "-(T%w)*k+4"), (t * 2 + t % 2, "2*((T+1)//2)+T"),
    ],
)  # fmt: skip
def test_a_formula_is_written_with_remainders_and_one_quotient(size: Size, text: str) -> None:
    assert str(size) == text
    assert parse_size(text) == size


@given(st.integers(0, 2**32), st.dictionaries(st.sampled_from(list(VALUES)), st.integers(0, 9), min_size=3))
def test_what_is_proved_to_be_no_less_than_zero_is_so(seed: int, values: dict[str, int]) -> None:
    size, _ = drawn(random.Random(seed), 4)
    for claim, least in ((at_least_zero(size), 0), (at_least_zero(size, values), 1)):
        if claim and min(values.values()) >= least:
            with suppress(ZeroDivisionError):
                assert size.exact(values) >= 0


def test_an_unknown_is_found_where_it_stands_alone_to_the_first_power() -> None:
    assert solve(n * 2 + 1, Size.of(15), "n") == Size.of(7)
    assert solve(n * heads, width * heads, "n") == width
    assert solve(n / 2 - width, Size.of(3), "n") == width * 2 + 6
    assert solve(width, n, "n") == width


@pytest.mark.parametrize("size", [n * n, n * n + n, n**-1 * 12, n // 2, n * (n % 2), width])
def test_an_unknown_that_is_no_linear_part_is_not_found(size: Size) -> None:
    assert solve(size, Size.of(9), "n") is None
