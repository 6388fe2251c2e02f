"""What the terms of a size are made of: symbols, functions of sizes that are not polynomials, and their products."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:
    from attndsl.sizes.size import Size

MAX_PARTS = 2_048
"""How many parts a size may have: its terms, and the symbols and functions in them as often as they stand there."""

MAX_EXPONENT = 64


class SizeTooLong(Exception):
    """A size whose normal form goes beyond what is written out; the text says why."""


class Opaque:
    """A function of sizes that is not a polynomial: `floor` (of a quotient), `min`, `max`, `over` (a quotient left
    standing); and `mod`, which is only written: in a normal form it is made of `floor`."""

    __slots__ = ("_hash", "arguments", "function", "parts", "text")

    def __init__(self, function: str, arguments: tuple[Size, ...]) -> None:
        self.function = function
        self.arguments = arguments
        self.parts = 1 + sum(a.parts for a in arguments)
        require_short(self.parts)
        form = {"floor": "({}//{})", "mod": "({}%{})", "over": "(1/{})"}.get(function)
        shown = [a.bracketed() for a in arguments] if form else [str(a) for a in arguments]
        self.text = form.format(*shown) if form else f"{function}({', '.join(shown)})"
        self._hash = hash((function, arguments))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Opaque) and self.function == other.function and self.arguments == other.arguments

    def __str__(self) -> str:
        return self.text

    @property
    def is_whole(self) -> bool:
        """Whether it is a whole number for all whole values of its symbols."""
        return self.function == "floor" or (self.function != "over" and all(a.is_whole for a in self.arguments))

    def evaluate(self, values: Mapping[str, int]) -> Fraction:
        parts = [a.exact(values) for a in self.arguments]
        if self.function == "floor":
            return Fraction(parts[0] // parts[1])
        if self.function == "over":
            return 1 / parts[0]
        return min(parts) if self.function == "min" else max(parts)


Atom = Union[str, Opaque]
Monomial = tuple[tuple[Atom, int], ...]


def by_degree(monomial: Monomial) -> tuple[int, str]:
    """Higher degrees first, then by the atoms' text: the order in which a size is written."""
    return -sum(exponent for _, exponent in monomial), " ".join(f"{a}^{e}" for a, e in monomial)


def times(left: Monomial, right: Monomial) -> Monomial:
    exponents = dict(left)
    for atom, exponent in right:
        exponents[atom] = exponents.get(atom, 0) + exponent
        if abs(exponents[atom]) > MAX_EXPONENT:
            raise SizeTooLong(f"an exponent is beyond {MAX_EXPONENT}")
    return tuple(sorted(((a, e) for a, e in exponents.items() if e), key=lambda item: str(item[0])))


def inverse(monomial: Monomial) -> Monomial:
    return tuple((atom, -exponent) for atom, exponent in monomial)


def is_whole_product(monomial: Monomial) -> bool:
    """Whether nothing in a product is divided by."""
    return all(exponent > 0 for _, exponent in monomial)


def require_short(parts: int) -> None:
    if parts > MAX_PARTS:
        raise SizeTooLong(f"it has more than {MAX_PARTS:,} parts")
