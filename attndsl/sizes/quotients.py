"""Quotients of sizes that are rounded down, in a normal form: `(2*n + 1) // 2` is `n`, and `(T // 2) // 2` is `T // 4`;
and what can be proved of a size whatever its symbols are, which are whole numbers and not negative.

The rules hold for whole numbers, `x // d` being ⌊x / d⌋ and `d` not 0:

    (d*q + r) // d          = q + r // d                what is divisible comes out
    r // d                  = 0 where 0 <= r < d, and -1 where -d <= r < 0
    (x // a + r) // d       = (x + a*r) // (a*d)        for d > 0
    (g*x + k) // (g*d)      = (x + k // g) // d         for d > 0 and numbers k and g > 0
    r // d                  = -1 - (-r - 1) // d        for d > 0, so that one of the two stands for both

`x % d` is `x - d * (x // d)`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from fractions import Fraction
from math import gcd, lcm
from typing import TYPE_CHECKING

from attndsl.sizes.terms import Atom, Opaque, SizeTooLong, by_degree, inverse, is_whole_product, times

if TYPE_CHECKING:
    from attndsl.sizes.size import Size

MOST_STEPS = 64


def floored(dividend: Size, divisor: Size) -> Size:
    """`dividend // divisor` in normal form."""
    if not divisor.terms:
        return type(dividend).opaque("floor", dividend, divisor)
    above, below = _cleared(dividend, divisor)
    if not above.is_whole or not below.is_whole:
        return type(dividend).opaque("floor", above, below)
    is_positive = at_least_zero(below)
    merged = _merged(above, below) if is_positive else None
    if merged is not None:
        return floored(*merged)
    quotient, rest, below = _divided(above, below)
    if not rest.terms:
        return quotient
    if not is_positive:
        return quotient + type(dividend).opaque("floor", rest, below)
    merged = _merged(rest, below)
    return quotient + (_fraction(rest, below) if merged is None else floored(*merged))


def _fraction(dividend: Size, divisor: Size) -> Size:
    """The quotient of what nothing can be taken out of, by a divisor above 0."""
    above = symbols_in(divisor)
    if at_least_zero(dividend, above) and at_least_zero(divisor - 1 - dividend, above):
        return dividend * 0
    if at_least_zero(-dividend - 1, above) and at_least_zero(dividend + divisor, above):
        return dividend * 0 - 1
    quotient, turned, same = _divided(-dividend - 1, divisor)
    if not turned.terms:
        return -quotient - 1
    if same == divisor and _order(turned) < _order(dividend):
        return -quotient - 1 - floored(turned, divisor)
    return type(dividend).opaque("floor", dividend, divisor)


def _cleared(dividend: Size, divisor: Size) -> tuple[Size, Size]:
    """The same quotient without fractions on either side, the first coefficient of the divisor being positive."""
    factor, below = 1, dict[Atom, int]()
    for size in (dividend, divisor):
        for monomial, coefficient in size.terms.items():
            factor = lcm(factor, coefficient.denominator)
            for atom, exponent in monomial:
                below[atom] = max(below.get(atom, 0), -exponent)
    product = times((), tuple((atom, exponent) for atom, exponent in below.items() if exponent))
    scale = type(dividend)({product: Fraction(factor)})
    dividend, divisor = dividend * scale, divisor * scale
    if divisor.terms[min(divisor.terms, key=by_degree)] < 0 and not at_least_zero(divisor):
        return -dividend, -divisor
    return dividend, divisor


def _merged(dividend: Size, divisor: Size) -> tuple[Size, Size] | None:
    """`(x // a + r) // d` as the quotient of `x + a*r` and `a*d`; None where there is not exactly one `x // a`."""
    inside = [m for m in dividend.terms if any(isinstance(a, Opaque) and a.function == "floor" for a, _ in m)]
    if len(inside) != 1 or len(inside[0]) != 1 or inside[0][0][1] != 1 or abs(dividend.terms[inside[0]]) != 1:
        return None
    atom = inside[0][0][0]
    assert isinstance(atom, Opaque)
    x, a = atom.arguments
    rest = dividend - type(dividend)({inside[0]: dividend.terms[inside[0]]})
    if dividend.terms[inside[0]] < 0:  # -(x // a) is (-x - 1) // a + 1
        x, rest = -x - 1, rest + 1
    return x + a * rest, a * divisor


def _divided(dividend: Size, divisor: Size) -> tuple[Size, Size, Size]:
    """`dividend // divisor` as a sum and a quotient that nothing can be taken out of: (sum, dividend, divisor)."""
    if len(divisor.terms) > 1:
        quotient, rest = _long_division(dividend, divisor)
        return quotient, rest, divisor
    ((product, coefficient),) = divisor.terms.items()
    c, quotients, rests = coefficient.numerator, {}, {}
    for monomial, k in dividend.terms.items():
        share = times(monomial, inverse(product))
        whole = k.numerator // c if is_whole_product(share) else 0
        if whole:
            quotients[share] = Fraction(whole)
        if k != whole * c:
            rests[monomial] = k - whole * c
    make = type(dividend)
    return make(quotients), *_shortened(make(rests), divisor)


def _shortened(dividend: Size, divisor: Size) -> tuple[Size, Size]:
    """The same quotient with what both have as a factor taken away, from a divisor of one term."""
    ((product, coefficient),) = divisor.terms.items()
    make, least = type(dividend), dict(product)
    for monomial in dividend.terms:
        exponents = dict(monomial)
        least = {atom: min(exponent, exponents.get(atom, 0)) for atom, exponent in least.items()}
    common = inverse(tuple((atom, exponent) for atom, exponent in least.items() if exponent > 0))
    shared = gcd(coefficient.numerator, *(k.numerator for m, k in dividend.terms.items() if m))
    if not dividend.terms or (shared == 1 and not common):
        return dividend, divisor
    quotients = {times(m, common): Fraction(k.numerator // shared) for m, k in dividend.terms.items()}
    below = make({times(product, common): coefficient / shared})
    return _shortened(make({m: k for m, k in quotients.items() if k}), below)


def _long_division(dividend: Size, divisor: Size) -> tuple[Size, Size]:
    """Quotient and rest of two polynomials, in whole numbers."""
    make = type(dividend)
    lead = min(divisor.terms, key=by_degree)
    quotient, rest, waiting = make({}), make({}), dividend
    for _ in range(MOST_STEPS):
        if not waiting.terms:
            return quotient, rest
        top = min(waiting.terms, key=by_degree)
        share, k = times(top, inverse(lead)), waiting.terms[top] / divisor.terms[lead]
        if is_whole_product(share) and k.denominator == 1:
            quotient, waiting = quotient + make({share: k}), waiting - make({share: k}) * divisor
        else:
            rest, waiting = rest + make({top: waiting.terms[top]}), waiting - make({top: waiting.terms[top]})
    return make({}), dividend


def _order(size: Size) -> list[tuple[bool, Fraction]]:
    """By this one of two dividends that say the same is chosen: positive and small coefficients, the constant last."""
    terms = sorted(size.terms.keys() - {()}, key=by_degree)
    return [(size.terms[m] < 0, abs(size.terms[m])) for m in terms] + [
        ((k := size.terms.get((), Fraction(0))) < 0, abs(k))
    ]


# ------------------------------------------------------------ bounds


def at_least_zero(size: Size, above: Collection[str] = ()) -> bool:
    """Whether a size is proved to be at least 0 wherever it has a value; the symbols in `above` are at least 1, and so
    is what it divides by. False where no proof was found."""
    if all(c > 0 and all(isinstance(atom, str) for atom, _ in monomial) for monomial, c in size.terms.items()):
        return True
    try:
        positive = {*above, *_divided_by(size)}
        return any(_is_sum_of_positives(_bound(size, True, choice), positive) for choice in (0, 1))
    except SizeTooLong:
        return False


def _divided_by(size: Size) -> Iterator[str]:
    """The symbols that the size, or a function in it, divides by: none of them is 0."""
    for monomial in size.terms:
        for atom, exponent in monomial:
            if isinstance(atom, Opaque):
                for argument in atom.arguments:
                    yield from _divided_by(argument)
                if atom.function == "floor":
                    yield from symbols_in(atom.arguments[1])
            elif exponent < 0:
                yield atom


def symbols_in(divisor: Size) -> set[str]:
    """The symbols that are factors of a divisor: none of them is 0."""
    if len(divisor.terms) != 1:
        return set()
    return {atom for atom, _ in next(iter(divisor.terms)) if isinstance(atom, str)}


def _bound(size: Size, low: bool, choice: int) -> Size | None:
    """A polynomial that is nowhere larger than the size (with `low`), or nowhere smaller. `choice` says which of two
    bounds is taken where a function has two."""
    total = size * 0
    for monomial, coefficient in size.terms.items():
        functions = [(atom, exponent) for atom, exponent in monomial if isinstance(atom, Opaque)]
        rest = type(size)({tuple(p for p in monomial if isinstance(p[0], str)): coefficient})
        lower = low == (coefficient > 0)
        if not functions:
            total = total + rest
        elif len(functions) == 1 and functions[0][1] == 1:
            bound = _function_bound(functions[0][0], lower, choice)
            if bound is None:
                return None
            total = total + rest * bound
        elif not lower or not all(_is_at_least_zero(atom) for atom, _ in functions):
            return None
    return total


def _function_bound(atom: Opaque, low: bool, choice: int) -> Size | None:
    first, *others = atom.arguments
    nothing = first * 0
    if atom.function == "floor":
        divisor = others[0]
        if len(divisor.terms) != 1 or not at_least_zero(divisor):
            return None
        if not low:
            return _bound(first / divisor, False, choice)
        if choice == 1:
            return nothing if at_least_zero(first) else None
        return _bound((first - divisor + 1) / divisor, True, choice)
    if low == (atom.function == "max") and atom.function != "over":
        return _bound(atom.arguments[choice], low, choice)
    return nothing if low and _is_at_least_zero(atom) else None


def _is_at_least_zero(atom: Opaque) -> bool:
    if atom.function == "max":
        return any(map(at_least_zero, atom.arguments))
    return all(map(at_least_zero, atom.arguments))


def _is_sum_of_positives(size: Size | None, positive: Collection[str]) -> bool:
    """Whether no term is negative once every symbol that is at least 1 is written as 1 and the rest."""
    if size is None:
        return False
    below: dict[str, int] = {}
    for monomial in size.terms:
        for atom, exponent in monomial:
            assert isinstance(atom, str)
            below[atom] = max(below.get(atom, 0), -exponent)
    make = type(size)
    cleared = size * make({tuple((atom, exponent) for atom, exponent in below.items() if exponent): Fraction(1)})
    shifted = cleared.substitute({name: make.symbol(name) + 1 for name in cleared.symbols & set(positive)})
    return all(coefficient > 0 for coefficient in shifted.terms.values())
