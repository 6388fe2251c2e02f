"""What one asks of a formula: what occurs in it, what becomes of it elsewhere, whether it always holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attndsl.masks.index import (
    Atom,
    Compare,
    Every,
    Formula,
    Function,
    Holds,
    Index,
    LinearSum,
    Negated,
    Read,
    Some,
    Truth,
    both,
    compare,
    either,
    function,
    negated,
    whole,
)
from attndsl.sizes import ZERO, Size, SizeTooLong, at_least_zero


def replaced(formula: Formula, values: Mapping[Index, LinearSum]) -> Formula:
    """The formula with indices replaced by other numbers, simplified."""
    match formula:
        case Every(parts):
            return both(*(replaced(part, values) for part in parts))
        case Some(parts):
            return either(*(replaced(part, values) for part in parts))
        case Compare(relation, difference):
            number = replaced_number(difference, values)
            if whole(number) and not whole(difference):
                return formula  # x <= x does not hold where x is NaN: the comparison is left as it is
            return compare(relation, number, LinearSum())
        case Negated(part):
            return negated(replaced(part, values))
        case Holds(read):
            return Holds(_read_elsewhere(read, values))
        case Truth():
            return formula


def replaced_number(number: LinearSum, values: Mapping[Index, LinearSum]) -> LinearSum:
    """The number with indices replaced by others."""
    total = LinearSum((), number.constant)
    for atom, coefficient in number.terms:
        total = total + _atom_replaced(atom, values).times(coefficient)
    return total


def _atom_replaced(atom: Atom, values: Mapping[Index, LinearSum]) -> LinearSum:
    match atom:
        case Index():
            return values.get(atom, LinearSum.of(atom))
        case Function(name, arguments):
            return function(
                name,
                *(replaced_number(a, values) if isinstance(a, LinearSum) else replaced(a, values) for a in arguments),
            )
        case Read():
            return LinearSum.of(_read_elsewhere(atom, values))


def _read_elsewhere(read: Read, values: Mapping[Index, LinearSum]) -> Read:
    return Read(read.name, read.value, tuple(replaced_number(index, values) for index in read.indices))


def atoms(item: LinearSum | Formula) -> frozenset[Atom]:
    """Every index, function and element that occurs in a formula, at any depth."""
    if isinstance(item, LinearSum):
        found: frozenset[Atom] = frozenset(atom for atom, _ in item.terms)
        for atom in tuple(found):
            inner = () if isinstance(atom, Index) else atom.arguments if isinstance(atom, Function) else atom.indices
            found = found.union(*map(atoms, inner))
        return found
    if isinstance(item, (Every, Some)):
        return frozenset[Atom]().union(*map(atoms, item.parts))
    if isinstance(item, Compare):
        return atoms(item.difference)
    if isinstance(item, Negated):
        return atoms(item.part)
    if isinstance(item, Holds):
        return frozenset((item.read,)).union(*map(atoms, item.read.indices))
    return frozenset()


def extent(item: LinearSum | Formula) -> int:
    """How much there is to a formula: its comparisons, booleans and the terms of its numbers, at any depth."""
    if isinstance(item, LinearSum):
        return 1 + sum(_extent(atom) for atom, _ in item.terms)
    if isinstance(item, (Every, Some)):
        return sum(map(extent, item.parts))
    if isinstance(item, Compare):
        return extent(item.difference)
    if isinstance(item, Negated):
        return extent(item.part)
    return sum(map(extent, item.read.indices)) + 1 if isinstance(item, Holds) else 1


def _extent(atom: Atom) -> int:
    if isinstance(atom, Index):
        return 1
    return 1 + sum(map(extent, atom.arguments if isinstance(atom, Function) else atom.indices))


def always(formula: Formula, sizes: Mapping[str, int]) -> bool:
    """Whether a formula provably holds at every position, for all sizes of at least 1."""
    if isinstance(formula, Every):
        return all(always(part, sizes) for part in formula.parts)
    if isinstance(formula, Some):
        return any(always(part, sizes) for part in formula.parts)
    if isinstance(formula, Truth):
        return formula.value
    if isinstance(formula, Compare) and formula.relation in ("<=", "=="):
        high = _bound(formula.difference, sizes, lambda index: index.high, lambda index: index.low)
        if formula.relation == "<=":
            return high is not None and not_negative(-high, sizes)
        return not formula.difference.terms and formula.difference.constant == ZERO
    return False


def _bound(
    number: LinearSum, sizes: Mapping[str, int], far: Callable[[Index], Size], near: Callable[[Index], Size]
) -> Size | None:
    """The largest that a number can be, if that is a formula of sizes."""
    total = number.constant
    for atom, coefficient in number.terms:
        up, down = not_negative(coefficient, sizes), not_negative(-coefficient, sizes)
        if isinstance(atom, Index) and (up or down):
            total = total + coefficient * (far(atom) if up else near(atom))
        elif (
            isinstance(atom, Function)
            and atom.name == "%"
            and (up or down)
            and isinstance(atom.arguments[1], LinearSum)
        ):
            modulus = atom.arguments[1]
            if modulus.terms or not not_negative(modulus.constant - 1, sizes):
                return None
            total = total + (coefficient * (modulus.constant - 1) if up else ZERO)
        else:
            return None
    return total


def not_negative(size: Size, sizes: Mapping[str, int]) -> bool:
    """Whether a size is provably at least 0, given that every symbol is at least 1 (or what `sizes` says)."""
    try:
        return at_least_zero(known(size, sizes), size.symbols)
    except SizeTooLong:
        return False


def known(size: Size, sizes: Mapping[str, int]) -> Size:
    """The size with the values of what is known put in."""
    return size.substitute({name: Size.of(value) for name, value in sizes.items()})
