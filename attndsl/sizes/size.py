"""Symbolic sizes: polynomials in the hyperparameters and the sizes of inputs, in a normal form.

A `Size` is a sum of monomials with rational coefficients; a monomial is a product of atoms with integer exponents,
negative ones included, so that `heads * (width / heads)` is `width` without any rule for it. What is not a polynomial
(`//`, `%`, `min`, `max`, a quotient by a sum that does not divide) becomes an atom of its own, an `Opaque` function of
sizes. Two sizes are equal exactly when their normal forms are; current values never decide.

A normal form can be far longer than the text that it comes from. So every `Size` has at most `MAX_PARTS` parts, and
what would have more is refused with `SizeTooLong` before it is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from functools import lru_cache

from attndsl.sizes.quotients import at_least_zero, floored
from attndsl.sizes.terms import Atom, Monomial, Opaque, SizeTooLong, by_degree, require_short, text_of, times

MAX_PRODUCTS = 4_096
MAX_BITS = 1_024
"""How many products of two terms one multiplication may make, and how long the numerator and denominator of a
coefficient may be."""


class Size:
    """An immutable symbolic size. Make one with `Size.of(12)` or `Size.symbol("width")` and arithmetic."""

    __slots__ = ("_hash", "_symbols", "_text", "parts", "terms")

    terms: dict[Monomial, Fraction]

    def __init__(self, terms: dict[Monomial, Fraction]) -> None:
        self.terms = terms
        self.parts = len(terms)
        for monomial, coefficient in terms.items():
            for atom, _ in monomial:
                self.parts += 1 if isinstance(atom, str) else atom.parts
            if coefficient.numerator.bit_length() > MAX_BITS or coefficient.denominator.bit_length() > MAX_BITS:
                raise SizeTooLong("a number in it is too large")
        require_short(self.parts)
        self._hash: int | None = None
        self._text: str | None = None
        self._symbols: frozenset[str] | None = None

    @staticmethod
    def of(value: int | Fraction | Size) -> Size:
        return value if isinstance(value, Size) else _number(value)

    @staticmethod
    @lru_cache(maxsize=4_096)
    def symbol(name: str) -> Size:
        return Size({((name, 1),): Fraction(1)})

    @staticmethod
    def opaque(function: str, *arguments: Size) -> Size:
        return Size({((Opaque(function, arguments), 1),): Fraction(1)})

    # ------------------------------------------------------------ identity

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(frozenset(self.terms.items()))
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Size) and self.terms == other.terms)

    @property
    def constant(self) -> Fraction | None:
        """The value, if no symbol takes part."""
        if not self.terms:
            return Fraction(0)
        return self.terms.get(()) if len(self.terms) == 1 else None

    @property
    def symbols(self) -> frozenset[str]:
        if self._symbols is None:
            self._symbols = self._find_symbols()
        return self._symbols

    def _find_symbols(self) -> frozenset[str]:
        found: set[str] = set()
        for monomial in self.terms:
            for atom, _ in monomial:
                if isinstance(atom, str):
                    found.add(atom)
                else:
                    for argument in atom.arguments:
                        found |= argument.symbols
        return frozenset(found)

    # ------------------------------------------------------------ arithmetic

    def __add__(self, other: Size | int) -> Size:
        terms = dict(self.terms)
        for monomial, coefficient in Size.of(other).terms.items():
            total = terms[monomial] + coefficient if monomial in terms else coefficient
            if total:
                terms[monomial] = total
            else:
                terms.pop(monomial, None)
        return Size(terms)

    def __neg__(self) -> Size:
        return Size({monomial: -coefficient for monomial, coefficient in self.terms.items()})

    def __sub__(self, other: Size | int) -> Size:
        return self + -Size.of(other)

    def __mul__(self, other: Size | int) -> Size:
        total: dict[Monomial, Fraction] = {}
        factor = Size.of(other)
        if factor is ONE:
            return self
        if len(self.terms) * len(factor.terms) > MAX_PRODUCTS:
            raise SizeTooLong(f"its product has more than {MAX_PRODUCTS:,} terms")
        for left, a in self.terms.items():
            for right, b in factor.terms.items():
                monomial, product = times(left, right), a * b
                total[monomial] = total[monomial] + product if monomial in total else product
        return Size({monomial: c for monomial, c in total.items() if c})

    def __pow__(self, exponent: int) -> Size:
        if exponent < 0:
            return Size.of(1) / self**-exponent
        result = ONE
        for _ in range(exponent):
            result = self * result
        return result

    def __truediv__(self, other: Size | int) -> Size:
        """The exact quotient, as a formula: that it is an integer is a constraint of its own (`divides`)."""
        divisor = Size.of(other)
        if not divisor.terms:
            raise ZeroDivisionError
        if len(divisor.terms) == 1:
            ((monomial, coefficient),) = divisor.terms.items()
            return self * Size({tuple((a, -e) for a, e in monomial): 1 / coefficient})
        return _divide(self, divisor) or self * Size.opaque("over", divisor)

    def __floordiv__(self, other: Size | int) -> Size:
        return floored(self, Size.of(other))

    def __mod__(self, other: Size | int) -> Size:
        return self - self // other * other

    def minimum(self, other: Size) -> Size:
        return self._extreme("min", other)

    def maximum(self, other: Size) -> Size:
        return self._extreme("max", other)

    def _extreme(self, function: str, other: Size) -> Size:
        for larger, smaller in ((self, other), (other, self)):
            if at_least_zero(larger - smaller):
                return smaller if function == "min" else larger
        return Size.opaque(function, *sorted((self, other), key=str))

    # ------------------------------------------------------------ values

    def exact(self, values: Mapping[str, int]) -> Fraction:
        """The value under `values`; `KeyError` names a symbol without one, `ZeroDivisionError` a zero divisor."""
        total: Fraction | int = 0
        for monomial, coefficient in self.terms.items():
            # Almost all are whole numbers, with which Python is far faster.
            product: Fraction | int = coefficient.numerator if coefficient.denominator == 1 else coefficient
            for atom, exponent in monomial:
                base = values[atom] if isinstance(atom, str) else atom.evaluate(values)
                product *= base if exponent == 1 else Fraction(base) ** exponent
            total += product
        return Fraction(total)

    def value(self, values: Mapping[str, int]) -> int:
        """The value under `values`, which must be an integer (`ValueError` if it is not)."""
        exact = self.exact(values)
        if exact.denominator != 1:
            raise ValueError(f"{self} is {exact}, not an integer")
        return exact.numerator

    @property
    def is_polynomial(self) -> bool:
        """Whether it is made of symbols and numbers by `+`, `-` and `*` alone."""
        return all(isinstance(atom, str) and power > 0 for monomial in self.terms for atom, power in monomial)

    @property
    def has_whole_atoms(self) -> bool:
        """Whether no fraction comes out of a function in it: a quotient left standing, the larger of two halves."""
        return all(isinstance(atom, str) or atom.is_whole for monomial in self.terms for atom, _ in monomial)

    @property
    def is_whole(self) -> bool:
        """Whether it is a whole number for all whole values of its symbols."""
        powers = (exponent for monomial in self.terms for _, exponent in monomial)
        return (
            self.has_whole_atoms and all(c.denominator == 1 for c in self.terms.values()) and min(powers, default=1) > 0
        )

    def known(self, values: Mapping[str, int]) -> int | None:
        """The value, or None where a symbol of it has no value yet or it is not an integer."""
        try:
            return self.value(values)
        except (KeyError, ValueError, ZeroDivisionError):
            return None

    def has(self, function: Atom) -> bool:
        """Whether a symbol or a function is in it, inside functions too."""
        return _mentions(function, (self,))

    @property
    def compares(self) -> bool:
        """Whether the larger or smaller of two sizes is in it."""
        atoms = [atom for monomial in self.terms for atom, _ in monomial if isinstance(atom, Opaque)]
        return any(a.function in ("min", "max") or any(size.compares for size in a.arguments) for a in atoms)

    def substitute(self, replacements: Mapping[str, Size] | Mapping[Atom, Size]) -> Size:
        """The size with others in the place of symbols, and of functions of them."""
        known: Mapping[Atom, Size] = replacements  # type: ignore[assignment]
        if self.symbols.isdisjoint(_symbols_of(known)):
            return self
        total = Size({})
        for monomial, coefficient in self.terms.items():
            product = ONE if coefficient == 1 else Size({(): coefficient})
            for atom, exponent in monomial:
                if isinstance(atom, str) or atom in known:
                    base = known.get(atom) or Size({((atom, 1),): Fraction(1)})
                else:
                    base = _rebuild(atom, tuple(a.substitute(replacements) for a in atom.arguments))
                product = base**exponent * product if exponent > 0 else product / base**-exponent
            total = total + product
        return total

    # ------------------------------------------------------------ text

    def __str__(self) -> str:
        if self._text is None:
            self._text = text_of(self)
        return self._text

    __repr__ = __str__

    def bracketed(self) -> str:
        """The text, in brackets unless it is a single symbol or number."""
        text = str(self)
        return text if text.isidentifier() or text.isdigit() else f"({text})"


@lru_cache(maxsize=4_096, typed=True)
def _number(value: int | Fraction) -> Size:
    return Size({(): Fraction(value)}) if value else Size({})


ZERO, ONE = Size.of(0), Size.of(1)


def _symbols_of(atoms: Iterable[Atom]) -> Iterator[str]:
    for atom in atoms:
        if isinstance(atom, str):
            yield atom
        else:
            yield from frozenset().union(*(argument.symbols for argument in atom.arguments))


def _rebuild(atom: Opaque, arguments: tuple[Size, ...]) -> Size:
    first = arguments[0]
    if atom.function == "floor":
        return first // arguments[1]
    if atom.function == "over":
        return Size.of(1) / first
    return first.minimum(arguments[1]) if atom.function == "min" else first.maximum(arguments[1])


def _divide(dividend: Size, divisor: Size) -> Size | None:
    """The quotient of two sums where it leaves no remainder, by long division on leading monomials."""
    lead = min(divisor.terms, key=by_degree)
    quotient, rest = Size({}), dividend
    for _ in range(64):
        if not rest.terms:
            return quotient
        top = min(rest.terms, key=by_degree)
        factor = Size({times(top, tuple((a, -e) for a, e in lead)): rest.terms[top] / divisor.terms[lead]})
        if any(e < 0 for monomial in factor.terms for _, e in monomial):
            return None
        quotient, rest = quotient + factor, rest - factor * divisor
    return None


def solve(left: Size, right: Size, unknown: str) -> Size | None:
    """The `unknown` for which `left` equals `right`, by exact division, or None where they are not linear in it."""
    difference = left - right
    slope, rest = Size({}), Size({})
    for monomial, coefficient in difference.terms.items():
        exponents = dict(monomial)
        term = Size({monomial: coefficient})
        if unknown not in term.symbols:
            rest = rest + term
        elif exponents.pop(unknown, 0) == 1:
            share = Size({tuple(exponents.items()): coefficient})
            if unknown in share.symbols:
                return None
            slope = slope + share
        else:
            return None
    return -rest / slope if slope.terms else None


def solved_for_one(left: Size, right: Size, order: Mapping[str, int]) -> tuple[Atom, Size] | None:
    """What one function or symbol is where `left` equals `right`: a function before a symbol, and the symbol that is
    last in `order`. None where they are equal, or linear in none."""
    difference, best = left - right, None
    for monomial, coefficient in difference.terms.items():
        for atom, exponent in monomial:
            own = Size({tuple(p for p in monomial if p[0] != atom): coefficient})
            rest = difference - Size({monomial: coefficient})
            if exponent != 1 or len(own.terms) != 1 or _mentions(atom, (own, rest)):
                continue
            rank = (not isinstance(atom, str), order.get(atom, len(order)) if isinstance(atom, str) else 0)
            if best is None or rank > best[0]:
                best = rank, atom, -rest / own
    return best and best[1:]


def _mentions(atom: Atom, sizes: Iterable[Size]) -> bool:
    """Whether a symbol, or a function, is in the sizes, inside functions too."""
    for size in sizes:
        for other in (other for monomial in size.terms for other, _ in monomial):
            if other == atom or (isinstance(other, Opaque) and _mentions(atom, other.arguments)):
                return True
    return False
