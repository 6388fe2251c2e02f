"""What can be proved of a size whatever its symbols are, which are whole numbers and not negative."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from attndsl.sizes.atoms import Opaque, SizeTooLong

if TYPE_CHECKING:
    from attndsl.sizes.size import Size


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
