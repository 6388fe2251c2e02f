"""A mask as a small matrix: what its formula says at some of the positions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from operator import eq, le, lt, ne

from attndsl.graph import Axis, Node, Value
from attndsl.masks.facts import Mask, mask_facts, words
from attndsl.masks.formulas import index_of
from attndsl.masks.index import (
    COMPUTED,
    Atom,
    Compare,
    Every,
    Formula,
    Function,
    Index,
    LinearSum,
    Negated,
    Some,
    Truth,
)
from attndsl.records import Frozen

MOST = 48
"""Rows and columns of a picture."""

ALLOWED, HIDDEN, FROM_DATA = "1", "0", "?"

_RELATIONS: Mapping[str, Callable[[Fraction | int, int], bool]] = {"<=": le, "<": lt, "==": eq, "!=": ne}

_Holds = Callable[[int, int], "bool | None"]  # for a query and a key
_Number = Callable[[int, int], "Fraction | int | None"]


class SampledMask(Frozen):
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
    holds = _formula(formula, sizes)
    rows = tuple("".join(_sign(holds(q, k)) for k in across) for q in down)
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


def _formula(formula: Formula, sizes: Mapping[str, int]) -> _Holds:
    """Whether a formula holds for a query and a key; None where that cannot be said without data."""
    match formula:
        case Truth(value):
            return lambda q, k: value
        case Every(parts) | Some(parts):
            decides = isinstance(formula, Some)
            inside = [_formula(part, sizes) for part in parts]

            def several(q: int, k: int) -> bool | None:
                unknown = False
                for part in inside:
                    found = part(q, k)
                    if found is decides:
                        return decides
                    unknown |= found is None
                return None if unknown else not decides

            return several
        case Negated(part):
            holds = _formula(part, sizes)
            return lambda q, k: None if (found := holds(q, k)) is None else not found
        case Compare(relation, difference):
            number, compares = _sum(difference, sizes), _RELATIONS[relation]
            return lambda q, k: None if (found := number(q, k)) is None else compares(found, 0)
        case _:
            return lambda q, k: None


def _sum(number: LinearSum, sizes: Mapping[str, int]) -> _Number:
    constant = _plain(number.constant.exact(sizes))
    terms = [(_plain(coefficient.exact(sizes)), _atom(atom, sizes)) for atom, coefficient in number.terms]

    def total(q: int, k: int) -> Fraction | int | None:
        found = constant
        for coefficient, atom in terms:
            value = atom(q, k)
            if value is None:
                return None
            found += coefficient * value
        return found

    return total


def _atom(atom: Atom, sizes: Mapping[str, int]) -> _Number:
    match atom:
        case Index("q"):
            return lambda q, k: q
        case Index("k"):
            return lambda q, k: k
        case Function("if", (condition,)):
            holds = _formula(condition, sizes)  # type: ignore[arg-type]
            return lambda q, k: None if (found := holds(q, k)) is None else int(found)
        case Function(name, arguments):
            numbers = [_sum(argument, sizes) for argument in arguments if isinstance(argument, LinearSum)]

            def computed(q: int, k: int) -> Fraction | int | None:
                known = [number(q, k) for number in numbers]
                if None in known or (name in ("//", "%") and known[1] == 0):
                    return None
                return COMPUTED[name](*known)

            return computed
        case _:
            return lambda q, k: None


def _plain(number: Fraction) -> Fraction | int:
    """As a whole number where it is one: that is quicker to compute with."""
    return number.numerator if number.denominator == 1 else number
