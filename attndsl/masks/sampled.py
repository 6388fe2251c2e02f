"""A mask as a small matrix: what its formula says at some of the positions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from operator import eq, le, lt, ne

from attndsl.graph import Axis, Node, Value
from attndsl.masks.facts import Mask, mask_facts, words
from attndsl.masks.formulas import index_of
from attndsl.masks.index import COMPUTED, Atom, Compare, Every, Formula, Index, LinearSum, Negated, Read, Some, Truth
from attndsl.records import dataclass

MOST = 48
"""Rows and columns of a picture."""

ALLOWED, HIDDEN, FROM_DATA = "1", "0", "?"

_RELATIONS: Mapping[str, Callable[[Fraction, Fraction], bool]] = {"<=": le, "<": lt, "==": eq, "!=": ne}


@dataclass(frozen=True, slots=True)
class SampledMask:
    """A mask as a picture. `rows` has a text for each query that is shown, with a sign for each key: it may attend to
    it (`ALLOWED`), not (`HIDDEN`), or data decide (`FROM_DATA`). Of the queries and of the keys, each `steps`-th one is
    shown; there is one row where no query has a say. `formula` is the mask's, `words` say what follows from it."""

    formula: str
    words: tuple[str, ...]
    steps: tuple[int, int]
    rows: tuple[str, ...]


def sampled(
    value: Value,
    producers: Mapping[Value, Node],
    queries: Sequence[Axis],
    keys: Axis,
    known: Mapping[str, int],
    sizes: Mapping[str, int],
) -> SampledMask:
    """The mask `value` along the last of `queries` that it has, and along `keys`, at these sizes. The formula has
    numbers for those that are `known`, whatever the inputs are."""
    formula, facts = mask_facts([Mask(value)], producers, queries, keys, known)
    query_step, down = _positions(facts.queries, sizes)
    key_step, across = _positions(keys, sizes)
    rows = tuple("".join(_sign(_holds(formula, {"q": q, "k": k}, sizes)) for k in across) for q in down)
    return SampledMask(str(formula), words(facts), (query_step, key_step), rows)


def _positions(axis: Axis | None, sizes: Mapping[str, int]) -> tuple[int, Sequence[int]]:
    """Each how-manieth position along an axis is shown, and which they are."""
    if axis is None:
        return 1, (0,)
    index = index_of("", axis, {})
    low, high = index.low.value(sizes), index.high.value(sizes)
    step = max(1, -(-(high - low + 1) // MOST))
    return step, range(low, high + 1, step)


def _sign(holds: bool | None) -> str:
    return FROM_DATA if holds is None else ALLOWED if holds else HIDDEN


def _holds(formula: Formula, at: Mapping[str, int], sizes: Mapping[str, int]) -> bool | None:
    """Whether a formula holds at a place; None where that cannot be said without data."""
    match formula:
        case Truth():
            return formula.value
        case Every(parts):
            found = {_holds(part, at, sizes) for part in parts}
            return False if False in found else None if None in found else True
        case Some(parts):
            found = {_holds(part, at, sizes) for part in parts}
            return True if True in found else None if None in found else False
        case Negated(part):
            holds = _holds(part, at, sizes)
            return None if holds is None else not holds
        case Compare(relation, difference):
            number = _number(difference, at, sizes)
            return None if number is None else _RELATIONS[relation](number, Fraction(0))
        case _:
            return None


def _number(number: LinearSum, at: Mapping[str, int], sizes: Mapping[str, int]) -> Fraction | None:
    total = number.constant.exact(sizes)
    for atom, coefficient in number.terms:
        found = _atom(atom, at, sizes)
        if found is None:
            return None
        total += found * coefficient.exact(sizes)
    return total


def _atom(atom: Atom, at: Mapping[str, int], sizes: Mapping[str, int]) -> Fraction | None:
    if isinstance(atom, Index):
        return Fraction(at[atom.name]) if atom.name in at else None
    if isinstance(atom, Read):
        return None
    if atom.name == "if":
        holds = _holds(atom.arguments[0], at, sizes)  # type: ignore[arg-type]
        return None if holds is None else Fraction(holds)
    numbers = [_number(argument, at, sizes) for argument in atom.arguments if isinstance(argument, LinearSum)]
    known = [number for number in numbers if number is not None]
    if len(known) < len(numbers) or (atom.name in ("//", "%") and known[1] == 0):
        return None
    return Fraction(COMPUTED[atom.name](*known))
