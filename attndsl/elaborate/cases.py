"""Conditions on the index of a repeat: for which rounds they come out alike, so that one body serves them all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from math import prod

from attndsl.addresses import Indices
from attndsl.diagnostics import Span, error
from attndsl.elaborate.frames import Run
from attndsl.values import Formula, IndexVariable, Number
from attndsl.values.operators import Uncomputable

MAX_OUTCOMES = 400_000
"""How many operators on repeat indices are computed in one elaboration, to see how conditions come out."""


def note_outcome(formula: Formula, outcome: bool) -> None:
    """The body being elaborated is for rounds in which the condition `formula` comes out so."""
    for variable in formula.variables:
        variable.decisions[formula.key] = (formula, outcome)


def decided(n: Number) -> Number:
    """A number that must be one value in a body (a dropout rate, an initialiser's argument). Where it depends on a
    repeat index, that value is a condition on the body: there will be one body for each value."""
    if n.formula is not None and n.value is not None:
        note_outcome(n.formula.compared(n.value), True)
    return n


def split_rounds(variable: IndexVariable, remaining: Indices, run: Run, span: Span) -> tuple[Indices, Indices]:
    """The rounds among `remaining` for which every condition in the body comes out as it did, in all rounds of the
    repeats inside it; and the others. Raises E0111 where that is too much to look through, E0405 where a condition
    has no value in one of the rounds."""
    if not variable.decisions:
        return remaining, ()
    for formula, _ in variable.decisions.values():
        inside = prod(len(inner.rounds or ()) for inner in _inside(formula))
        run.outcomes += formula.length * inside * len(remaining)
    if run.outcomes > MAX_OUTCOMES:
        raise error(
            "E0111",
            f"the conditions on `{variable.name}` would be looked at in more than {MAX_OUTCOMES:,} steps",
            span,
            f"{len(remaining):,} layers are still to be told apart",
            help="write conditions with fewer operators, or a repeat for each kind of layer",
        )
    same: list[int] = []
    others: list[int] = []
    for i in remaining:
        alike = all(_holds(formula, outcome, variable, i, span) for formula, outcome in variable.decisions.values())
        (same if alike else others).append(i)
    return tuple(same), tuple(others)


def _inside(formula: Formula) -> list[IndexVariable]:
    """The indices in a condition of the repeats inside the one that is being split: of those whose rounds are known."""
    return [variable for variable in formula.variables if variable.rounds is not None]


def _holds(formula: Formula, outcome: bool, variable: IndexVariable, i: int, span: Span) -> bool:
    for at in _rounds_inside(formula):
        try:
            if bool(formula.value({**at, variable: i})) != outcome:
                return False
        except Uncomputable as problem:
            raise error(
                "E0405",
                f"a condition has no value where `{variable.name}` is {i}: {problem}",
                span,
                help="leave that layer out, or write the condition without it",
            ) from None
    return True


def _rounds_inside(formula: Formula) -> Iterator[Mapping[IndexVariable, int]]:
    inner = _inside(formula)
    for indices in product(*(variable.rounds or () for variable in inner)):
        yield dict(zip(inner, indices, strict=True))
