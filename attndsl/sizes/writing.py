"""The text of a size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attndsl.sizes.atoms import Opaque, by_degree, inverse, is_whole_product, times

if TYPE_CHECKING:
    from attndsl.sizes.size import Size


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
    for monomial in [m for m in size.terms if any(isinstance(atom, Opaque) for atom, _ in m)]:
        size = _without(monomial, size)
    return size


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
