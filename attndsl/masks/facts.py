"""What is known of masks: the one place where it is worked out.

`mask_facts` reads the formula of a mask back from its nodes and says what follows from it. The facts of a fused
attention's mask are kept on the operator (`MaskFacts`), and whoever emits code for it looks there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attndsl.graph import Axis, Node, Value
from attndsl.masks.formulas import index_of, mask_formula
from attndsl.masks.index import (
    Compare,
    Every,
    Formula,
    Function,
    Index,
    LinearSum,
    Read,
    Some,
    both,
    negated,
)
from attndsl.masks.reading import always, atoms, not_negative, replaced
from attndsl.ops import MaskFacts
from attndsl.records import Frozen
from attndsl.sizes import Size

Renames = tuple[tuple[Axis, Axis], ...]  # (old, new), in the order in which they happen


class Mask(Frozen):
    """A bool that says where a score counts (where it does not, if `inverted`). `renames` happen to its axes before
    they are those of the score."""

    value: Value
    inverted: bool = False
    renames: Renames = ()

    @property
    def axes(self) -> frozenset[Axis]:
        axes = frozenset(self.value.type.axes)
        for old, new in self.renames:
            axes = axes - {old} | {new} if old in axes else axes
        return axes


def mask_facts(
    masks: Sequence[Mask],
    producers: Mapping[Value, Node],
    queries: Sequence[Axis],
    keys: Axis,
    sizes: Mapping[str, int] | None = None,
) -> tuple[Formula, MaskFacts]:
    """The formula of all of `masks` together, and what follows from it. `queries` are the axes along which there may be
    queries: it is the last one that a mask has, unless along another one every query provably has a key. `sizes` are
    the known ones."""
    used = frozenset[Axis]().union(*(mask.axes for mask in masks))
    candidates: list[Axis | None] = [axis for axis in reversed(queries) if axis in used and axis != keys]
    found = [_facts(masks, producers, axis, keys, sizes or {}) for axis in candidates or [None]]
    return next((each for each in found if not each[1].may_be_empty), found[0])


def _facts(
    masks: Sequence[Mask], producers: Mapping[Value, Node], queries: Axis | None, keys: Axis, sizes: Mapping[str, int]
) -> tuple[Formula, MaskFacts]:
    parts = []
    for mask in masks:
        part = mask_formula(mask.value, producers, queries, keys, mask.renames, sizes)
        parts.append(negated(part) if mask.inverted else part)
    formula = both(*parts)
    key = index_of("k", keys, sizes)
    query = index_of("q", queries, sizes) if queries is not None else None
    used = atoms(formula)
    data = any(isinstance(atom, Read) for atom in used)
    empty = not _has_key(formula, query, key, sizes)
    if query is None or queries is None:
        return formula, MaskFacts(keys_only=True, data=data, may_be_empty=empty)
    band = _band(formula, LinearSum.of(key) - LinearSum.of(query))
    before, after = band or (None, None)
    facts = MaskFacts(
        queries,
        aligned=queries.size == keys.size and queries.origin == keys.origin,
        banded=band is not None,
        before=before,
        after=after,
        prefix=_prefix(formula, query, key),
        block=_block(formula, query, key),
        keys_only=query not in used,
        data=data,
        may_be_empty=empty,
    )
    return formula, facts


def _band(formula: Formula, distance: LinearSum) -> tuple[Size | None, Size | None] | None:
    """How far a key may be before and after its query, if the formula says just that; `distance` is k - q."""
    before: Size | None = None
    after: Size | None = None
    for part in formula.parts if isinstance(formula, Every) else (formula,):
        if not isinstance(part, Compare) or part.relation != "<=":
            return None
        late, early = part.difference - distance, part.difference + distance
        if not late.terms and after is None:
            after = -late.constant
        elif not early.terms and before is None:
            before = -early.constant
        else:
            return None
    return before, after


def _prefix(formula: Formula, query: Index, key: Index) -> Size | None:
    """n, if the formula says just `k < n or k <= q`."""
    causal = Compare("<=", LinearSum.of(key) - LinearSum.of(query))
    if not isinstance(formula, Some) or len(formula.parts) != 2 or causal not in formula.parts:
        return None
    (other,) = (part for part in formula.parts if part != causal)
    if not isinstance(other, Compare) or other.relation != "<=":
        return None
    rest = other.difference - LinearSum.of(key)
    return None if rest.terms else -rest.constant + 1


def _block(formula: Formula, query: Index, key: Index) -> Size | None:
    """n, if the formula says just `q // n == k // n`."""
    match formula:
        case Compare("==", LinearSum(((Function("//", (a, n)), one), (Function("//", (b, m)), minus)), constant)) if (
            {a, b} == {LinearSum.of(query), LinearSum.of(key)}
            and isinstance(n, LinearSum)
            and n == m
            and not n.terms
            and {one, minus} == {Size.of(1), Size.of(-1)}
            and constant == Size.of(0)
        ):
            return n.constant
    return None


def _has_key(formula: Formula, query: Index | None, key: Index, sizes: Mapping[str, int]) -> bool:
    """Whether some key that there is for every query satisfies the formula: the query itself, the first, the last."""
    candidates = []
    if query is not None and not_negative(query.low - key.low, sizes) and not_negative(key.high - query.high, sizes):
        candidates.append(LinearSum.of(query))
    candidates += [LinearSum.of(key.low), LinearSum.of(key.high)]
    return any(always(replaced(formula, {key: candidate}), sizes) for candidate in candidates)


def words(facts: MaskFacts) -> tuple[str, ...]:
    """The facts in words, what matters most first."""
    said: list[str] = []
    if facts.causal:
        said.append("causal")
    elif facts.window is not None:
        said.append(f"a causal window of {facts.window}")
    elif facts.banded:
        sides = ((facts.before, "before"), (facts.after, "after"))
        ends = [f"at most {size} {side}" for size, side in sides if size is not None]
        said.append(f"a band, {' and '.join(ends)}")
    if facts.prefix is not None:
        said.append(f"causal after a prefix of {facts.prefix}")
    if facts.block is not None:
        said.append(f"blocks of {facts.block}")
    if facts.keys_only:
        said.append("the same for every query")
    said.append("from data" if facts.data else "from positions")
    said.append("a row may be empty" if facts.may_be_empty else "no row is empty")
    return tuple(said)
