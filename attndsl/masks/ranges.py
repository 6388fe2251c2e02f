"""Which keys a block of queries can see, as ranges of positions: what a mask's formula says of neighbouring queries.

A formula is taken apart into its alternatives. Each bounds the keys by numbers that are linear in the query, or step
with it (`q // n`); over queries from `first` to `last` such a bound is widest at one of the two. What says nothing of
the kind is left out, so the ranges may hold more keys than are seen, and never fewer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attndsl.graph import Value
from attndsl.masks.index import Compare, Every, Formula, Function, Index, LinearSum, Read, Some, Truth, function
from attndsl.masks.reading import atoms, not_negative, replaced_number
from attndsl.records import Frozen
from attndsl.sizes import ONE, Size

FIRST, LAST = Index("first", Size.of(0), Size.of(0)), Index("last", Size.of(0), Size.of(0))
ALTERNATIVES = 6  # a mask of more than these is not taken apart


class KeyRange(Frozen):
    """The keys from the largest of `low` to the smallest of `high`, if each of `where` is at most 0; all three are
    numbers made of `FIRST`, `LAST` and sizes."""

    low: tuple[LinearSum, ...] = ()
    high: tuple[LinearSum, ...] = ()
    where: tuple[LinearSum, ...] = ()

    @property
    def everything(self) -> bool:
        return not (self.low or self.high or self.where)


class KeyRanges(Frozen):
    """All keys that queries from `FIRST` to `LAST` can see are in `ranges`, and as far from each of these queries as a
    multiple of `stride`. `same` are data of which a query sees only what has one of them in common with it (the number
    of a document), so that there may be fewer still."""

    ranges: tuple[KeyRange, ...]
    stride: Size = ONE
    same: tuple[Value, ...] = ()

    @property
    def everything(self) -> bool:
        """Whether nothing is left out."""
        return any(each.everything for each in self.ranges) and self.stride == ONE and not self.same


def key_ranges(formula: Formula, query: Index, key: Index, sizes: Mapping[str, int] | None = None) -> KeyRanges:
    """The keys that `formula` allows a block of queries; `sizes` are those known."""
    reader = _Reader(query, key, sizes or {})
    found = tuple(dict.fromkeys(map(reader.needed, reader.ranges(formula))))
    found = tuple(each for each in found if not any(other is not each and _within(each, other) for other in found))
    return KeyRanges(found, reader.stride(formula) or ONE, reader.same(formula))


class _Reader(Frozen):
    query: Index
    key: Index
    sizes: Mapping[str, int]

    # ------------------------------------------------------------ ranges

    def ranges(self, formula: Formula) -> tuple[KeyRange, ...]:
        if isinstance(formula, Truth):
            return (KeyRange(),) if formula.value else ()
        if isinstance(formula, Some):
            found = tuple(each for part in formula.parts for each in self.ranges(part))
            return found if len(found) <= ALTERNATIVES else (KeyRange(),)
        if isinstance(formula, Every):
            total: tuple[KeyRange, ...] = (KeyRange(),)
            for part in formula.parts:
                more = tuple(_joined(a, b) for a in total for b in self.ranges(part))
                total = more if len(more) <= ALTERNATIVES else total
            return total
        if isinstance(formula, Compare) and formula.relation in ("<=", "=="):
            found = (self.bounded(formula.difference),)
            if formula.relation == "==":
                found = (_joined(found[0], self.bounded(formula.difference.times(Size.of(-1)))),)
            return found
        return (KeyRange(),)

    def bounded(self, number: LinearSum) -> KeyRange:
        """The keys for which `number` is at most 0 for some query."""
        number = self.without_quotient(number)
        sign = dict(number.terms).get(self.key, Size.of(0))
        rest = number - LinearSum.of(self.key).times(sign)
        if any(self.key in atoms(LinearSum.of(atom)) for atom, _ in rest.terms):
            return KeyRange()
        least = self.extreme(rest, largest=False)
        if least is None:
            return KeyRange()
        if sign == Size.of(0):
            return KeyRange(where=(least,))
        if sign == ONE:
            return KeyRange(high=(least.times(Size.of(-1)),))
        return KeyRange(low=(least,)) if sign == Size.of(-1) else KeyRange()

    def without_quotient(self, number: LinearSum) -> LinearSum:
        """The same condition without the quotient that the key stands in: x // n <= y is x <= n*y + n - 1, and y <= x
        // n is n*y <= x."""
        for atom, sign in number.terms:
            if isinstance(atom, Function) and atom.name == "//" and self.key in atoms(atom.arguments[0]):
                inner, divisor = atom.arguments
                assert isinstance(inner, LinearSum)
                assert isinstance(divisor, LinearSum)
                length = divisor.constant
                if divisor.terms or not not_negative(length - 1, self.sizes) or sign not in (ONE, Size.of(-1)):
                    return number
                rest = (number - LinearSum.of(atom).times(sign)).times(length)
                return inner + rest - LinearSum.of(length - 1) if sign == ONE else rest - inner
        return number

    def extreme(self, number: LinearSum, *, largest: bool) -> LinearSum | None:
        """The largest or smallest that a number without the key can be over the queries of a block."""
        total = LinearSum((), number.constant)
        for atom, coefficient in number.terms:
            up = not_negative(coefficient, self.sizes)
            if not up and not not_negative(-coefficient, self.sizes):
                return None
            found = self.extreme_atom(atom, largest is up)
            if found is None:
                return None
            total = total + found.times(coefficient)
        return total

    def extreme_atom(self, atom: Index | Function | Read, largest: bool) -> LinearSum | None:
        if atom == self.query:
            return LinearSum.of(LAST if largest else FIRST)
        if not isinstance(atom, Function) or atom.name not in ("//", "%"):
            return None
        inner, divisor = atom.arguments
        assert isinstance(inner, LinearSum)
        assert isinstance(divisor, LinearSum)
        if divisor.terms or not not_negative(divisor.constant - 1, self.sizes):
            return None
        if atom.name == "%":
            return LinearSum((), divisor.constant - 1) if largest else LinearSum()
        found = self.extreme(inner, largest=largest)
        return None if found is None else function("//", found, divisor)

    def needed(self, found: KeyRange) -> KeyRange:
        """Without bounds that others imply, and without those that every key keeps."""
        low = [
            bound for bound in found.low if bound.terms or not not_negative(self.key.low - bound.constant, self.sizes)
        ]
        high = [bound for bound in found.high if bound.terms or bound.constant != self.key.high]
        return KeyRange(self.tightest(low, 1), self.tightest(high, -1), tuple(dict.fromkeys(found.where)))

    def tightest(self, bounds: list[LinearSum], sign: int) -> tuple[LinearSum, ...]:
        """The bounds but those that another one implies: of lower ones (sign 1) the larger does, of upper ones the
        smaller."""
        kept: list[LinearSum] = []
        for i, bound in enumerate(bounds):
            gaps = [(other - bound).times(Size.of(sign)) for other in (*kept, *bounds[i + 1 :])]
            if not any(not gap.terms and not_negative(gap.constant, self.sizes) for gap in gaps):
                kept.append(bound)
        return tuple(kept)

    # ------------------------------------------------------------ what else is known

    def stride(self, formula: Formula) -> Size | None:
        """n, if keys are as far from their queries as a multiple of n wherever the formula holds."""
        if isinstance(formula, Every):
            return next((n for n in map(self.stride, formula.parts) if n is not None), None)
        if isinstance(formula, Some):
            found = {self.stride(part) for part in formula.parts}
            return found.pop() if len(found) == 1 else None
        match formula:
            case Compare(
                "==", LinearSum(((Function("%", (LinearSum() as inner, LinearSum((), n))), _),), constant)
            ) if constant == Size.of(0) and not_negative(n - 1, self.sizes):
                distance = LinearSum.of(self.key) - LinearSum.of(self.query)
                return n if inner in (distance, distance.times(Size.of(-1))) else None
        return None

    def same(self, formula: Formula) -> tuple[Value, ...]:
        """The data of which a query sees only keys at which one of them is what it is at the query."""
        if isinstance(formula, Every):
            return _once(value for part in formula.parts for value in self.same(part))
        if isinstance(formula, Some):
            found = [self.same(part) for part in formula.parts]
            return _once(value for part in found for value in part) if all(found) else ()
        match formula:
            case Compare("==", LinearSum(((Read() as a, one), (Read() as b, other)), constant)) if (
                one == -other and constant == Size.of(0) and a.value is b.value
            ):
                sides = [self.query in atoms(LinearSum.of(read)) for read in (a, b)]
                keys = [self.key in atoms(LinearSum.of(read)) for read in (a, b)]
                if sides in ([True, False], [False, True]) and keys == sides[::-1]:
                    return (a.value,)
        return ()


def seen_keys(found: KeyRanges, first: int, last: int, keys: int, sizes: Mapping[str, int]) -> list[range]:
    """The positions among the first `keys` that queries from `first` to `last` may see, apart and in order."""
    places = {FIRST: LinearSum.of(first), LAST: LinearSum.of(last)}

    def values(bounds: tuple[LinearSum, ...]) -> list[int]:
        return [replaced_number(bound, places).constant.value(sizes) for bound in bounds]

    spans = [
        range(max([0, *values(each.low)]), min([keys - 1, *values(each.high)]) + 1)
        for each in found.ranges
        if all(value <= 0 for value in values(each.where))
    ]
    apart: list[range] = []
    for span in sorted((span for span in spans if span), key=lambda span: span.start):
        if apart and span.start <= apart[-1].stop:
            apart[-1] = range(apart[-1].start, max(apart[-1].stop, span.stop))
        else:
            apart.append(span)
    return apart


def _within(a: KeyRange, b: KeyRange) -> bool:
    """Whether all that bounds b bounds a as well."""
    return all(set(of_b) <= set(of_a) for of_b, of_a in ((b.low, a.low), (b.high, a.high), (b.where, a.where)))


def _once(values: Iterable[Value]) -> tuple[Value, ...]:
    return tuple(dict.fromkeys(values))


def _joined(a: KeyRange, b: KeyRange) -> KeyRange:
    return KeyRange(a.low + b.low, a.high + b.high, a.where + b.where)
