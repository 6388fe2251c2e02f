"""How far from its query a key can be that a mask allows: what a bound on a mask is, whatever else it asks for."""

from __future__ import annotations

from collections.abc import Mapping

from attndsl.graph import Axis, Node, Value
from attndsl.masks.formulas import index_of, mask_formula
from attndsl.masks.index import Compare, Every, Formula, LinearSum, Some
from attndsl.masks.reading import not_negative
from attndsl.records import Frozen
from attndsl.sizes import Size


class Reach(Frozen):
    """Every key that is allowed is at most `before` positions before its query, and at most `after` behind it; None:
    nothing is known on that side."""

    before: Size | None = None
    after: Size | None = None

    def causal(self, sizes: Mapping[str, int]) -> bool:
        """Whether no key behind its query is allowed."""
        return self.after is not None and not_negative(-self.after, sizes)


def reach(
    mask: Value, producers: Mapping[Value, Node], queries: Axis, keys: Axis, sizes: Mapping[str, int] | None = None
) -> Reach:
    """How far the keys along `keys` can be from a query along `queries` where `mask` holds."""
    sizes = sizes or {}
    formula = mask_formula(mask, producers, queries, keys, sizes=sizes)
    distance = LinearSum.of(index_of("k", keys, sizes)) - LinearSum.of(index_of("q", queries, sizes))
    return _reach(formula, distance, sizes)


def _reach(formula: Formula, distance: LinearSum, sizes: Mapping[str, int]) -> Reach:
    """`distance` is k - q."""
    if isinstance(formula, Every):
        parts = [_reach(part, distance, sizes) for part in formula.parts]
        known = [[getattr(part, side) for part in parts] for side in ("before", "after")]
        return Reach(*(_smallest([size for size in side if size is not None], sizes) for side in known))
    if isinstance(formula, Some):
        parts = [_reach(part, distance, sizes) for part in formula.parts]
        return Reach(*(_largest([getattr(part, side) for part in parts], sizes) for side in ("before", "after")))
    if isinstance(formula, Compare) and formula.relation in ("<=", "=="):
        late, early = formula.difference - distance, formula.difference + distance
        equal = formula.relation == "=="
        if not late.terms:
            return Reach(late.constant if equal else None, -late.constant)
        if not early.terms:
            return Reach(-early.constant, early.constant if equal else None)
    return Reach()


def _smallest(found: list[Size], sizes: Mapping[str, int]) -> Size | None:
    """One that is provably at most as large as the others; else the first."""
    return next((a for a in found if all(not_negative(b - a, sizes) for b in found)), found[0] if found else None)


def _largest(found: list[Size | None], sizes: Mapping[str, int]) -> Size | None:
    """One that is provably at least as large as the others; None where a bound is missing or there is none."""
    known = [size for size in found if size is not None]
    if len(known) < len(found):
        return None
    return next((a for a in known if all(not_negative(a - b, sizes) for b in known)), None)
