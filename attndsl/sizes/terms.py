"""What the terms of a size are made of: symbols, functions of sizes that are not polynomials, and their products; and
how they are written."""

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


# ------------------------------------------------------------ text


def text_of(size: Size) -> str:
    """The size as it is read again, remainders as such."""
    size, text = readable(size), ""
    for monomial in sorted(size.terms, key=by_degree):
        coefficient = size.terms[monomial]
        above = [str(a) if e == 1 else f"{a}^{e}" for a, e in monomial if e > 0]
        below = [str(a) if e == -1 else f"{a}^{-e}" for a, e in monomial if e < 0]
        if abs(coefficient.numerator) != 1 or not above:
            above.insert(0, str(abs(coefficient.numerator)))
        if coefficient.denominator != 1:
            below.insert(0, str(coefficient.denominator))
        sign = "-" if coefficient < 0 else "+" if text else ""
        text += sign + "*".join(above) + "".join(f"/{part}" for part in below)
    return text or "0"


def readable(size: Size) -> Size:
    """The size with `T - 2 * (T // 2)` as `T % 2` and `T - T // 2` as `(T + 1) // 2`. It is for reading, and not in
    normal form."""
    made = [m for m in size.terms if any(isinstance(atom, Opaque) for atom, _ in m)]
    for monomial in sorted(made, key=lambda m: (-_length(m), by_degree(m))):  # what is inside of others comes later
        size = _without(monomial, size)
    return size


def _length(monomial: Monomial) -> int:
    return sum(atom.parts for atom, _ in monomial if isinstance(atom, Opaque))


def _without(monomial: tuple[tuple[str | Opaque, int], ...], size: Size) -> Size:
    """The size without a term of which a quotient is a factor, where that makes a remainder with other terms."""
    found = [(a, e) for a, e in monomial if isinstance(a, Opaque) and a.function == "floor"]
    if len(found) != 1 or found[0][1] != 1 or monomial not in size.terms:
        return size
    atom, make = found[0][0], type(size)
    dividend, divisor = atom.arguments
    factor = make({tuple(p for p in monomial if p[0] is not atom): -size.terms[monomial]})
    if divisor.constant == 2 and _has(size, factor * dividend):
        written = factor * make({((Opaque("floor", (dividend + 1, divisor)), 1),): divisor.terms[()] / 2})
        return size - factor * dividend - make({monomial: size.terms[monomial]}) + written
    if len(divisor.terms) != 1:
        return size
    ((product, coefficient),) = divisor.terms.items()
    ((rest, k),) = factor.terms.items()
    share = times(rest, inverse(product))
    if (k / coefficient).denominator == 1 and is_whole_product(share):
        factor = make({share: k / coefficient})
        if _has(size, factor * dividend):
            remainder = make({((Opaque("mod", (dividend, divisor)), 1),): coefficient / coefficient})
            return size - factor * dividend - make({monomial: size.terms[monomial]}) + factor * remainder
    return size


def _has(size: Size, part: Size) -> bool:
    """Whether each term of `part` is in the size at least as often."""
    return all(size.terms.get(m, k * 0) * (k / abs(k)) >= abs(k) for m, k in part.terms.items())
