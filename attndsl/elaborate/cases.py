"""Conditions on the index of a repeat: for which rounds they come out alike, so that one body serves them all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import prod

from attndsl.addresses import Indices
from attndsl.diagnostics import Span, error
from attndsl.elaborate.bounds import Budget
from attndsl.values import Formula, IndexVariable, Number
from attndsl.values.operators import Scalar, Uncomputable

ROUNDS_IN_A_STEP = 48  # so many rounds are sorted in the time that one operation takes

Tables = dict[object, dict[int, Scalar]]
"""What conditions on the index of one repeat come to, by what they say and by round."""


def note_outcome(formula: Formula, outcome: Scalar, span: Span | None = None) -> None:
    """The body being elaborated is for rounds in which `formula`, written at `span`, comes out so."""
    key = formula.key()
    for variable in formula.variables:
        variable.decisions.setdefault(key, (formula, outcome, span))


def note_use(formula: Formula, span: Span) -> None:
    """`formula` becomes a number of each round."""
    if not formula.operands:
        return
    key = formula.key()
    for variable in formula.variables:
        variable.uses[key] = (formula, span)


def decided(n: Number) -> Number:
    """A number that must be one value in a body (a dropout rate). Where it depends on a
    repeat index, that value is a condition on the body: there will be one body for each value."""
    if n.formula is not None and n.value is not None:
        note_outcome(n.formula, n.value)
    return n


def is_within(n: Number, length: int) -> bool:
    """Whether a number is one of 0, …, `length` - 1. Where it depends on a repeat index, that is a condition on the
    body."""
    assert n.value is not None
    for bound in (0, length) if n.formula is not None else ():
        below = Formula.applied("<", n.as_formula(), Formula("constant", constant=bound))
        note_outcome(below, n.value < bound)
    return 0 <= n.value < length


def is_negative(n: Number) -> bool:
    """Whether a number is below 0. Where it depends on a repeat index, that is a condition on the body."""
    assert n.value is not None
    if n.formula is not None:
        note_outcome(Formula.applied("<", n.formula, Formula("constant", constant=0)), n.value < 0)
    return n.value < 0


def split_rounds(
    variable: IndexVariable, remaining: Indices, tables: Tables, budget: Budget, span: Span
) -> tuple[Indices, Indices]:
    """The rounds among `remaining` in which all that was decided in the body comes out as it did, whatever the rounds
    of the repeats inside it; and the others. Raises E0111 where that is too much to look through, E0405 where a
    condition has no value in one of the rounds."""
    same: Sequence[int] = remaining
    if variable.decisions:
        budget.spend(len(remaining) // ROUNDS_IN_A_STEP, span)
    for formula, outcome, written in variable.decisions.values():
        for column in _columns(formula, variable, same, tables, budget, written or span):
            same = [i for i in same if column[i] == outcome]
    for formula, place in variable.uses.values():
        for _ in _columns(formula, variable, same, tables, budget, place):
            pass  # every round must have a value
    if len(same) == len(remaining):
        return remaining, ()
    members = frozenset(same)
    return tuple(same), tuple(i for i in remaining if i not in members)


def _columns(
    formula: Formula, variable: IndexVariable, rounds: Sequence[int], tables: Tables, budget: Budget, span: Span
) -> Iterator[Mapping[int, Scalar]]:
    """What a formula comes to in these rounds, for each choice of the indices of the repeats inside."""
    inner = [other for other in formula.variables if other.rounds is not None]
    if not inner:
        column = tables.setdefault(formula.key(lambda index: index.entry), {})
        budget.spend_on_outcomes(formula.length * sum(i not in column for i in rounds), variable.name, span)
        column.update({i: _value(formula, {variable: i}, variable, span) for i in rounds if i not in column})
        yield column
        return
    budget.spend_on_outcomes(
        formula.length * len(rounds) * prod(len(other.rounds or ()) for other in inner), variable.name, span
    )
    for at in product(*(other.rounds or () for other in inner)):
        inside = dict(zip(inner, at, strict=True))
        yield {i: _value(formula, {**inside, variable: i}, variable, span) for i in rounds}


def _value(formula: Formula, at: Mapping[IndexVariable, int], variable: IndexVariable, span: Span) -> Scalar:
    try:
        return formula.value(at)
    except Uncomputable as problem:
        raise error(
            "E0405",
            f"this number has no value where `{variable.name}` is {at[variable]}: {problem}",
            span,
            help="write it so that it has one in every iteration",
        ) from None
