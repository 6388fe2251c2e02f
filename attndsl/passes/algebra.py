"""Values as polynomials: one normal form in which all spellings of the same arithmetic are equal.

`a / sqrt(v)`, `a * rsqrt(v)` and `a * v ^ -0.5` are one monomial; `x * x` and `x ^ 2` another; `(x - m) * r * s + b`
and `x * (r * s) + (b - m * r * s)` one sum. A matcher says which values are to be taken as they are (its atoms) and
compares polynomials; the graph itself is not rewritten for it, so what does not match stays as its author wrote it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any

from attndsl.graph import BOOL, INT, Axis, Node, Value
from attndsl.graph.builder import Builder
from attndsl.ops import (
    Add,
    Broadcast,
    Cast,
    Constant,
    Div,
    Dot,
    Mean,
    Mul,
    Neg,
    Op,
    Pow,
    Rsqrt,
    SizeOf,
    Sqrt,
    Sub,
    Sum,
    Transpose,
)
from attndsl.passes.rewrite import Rewriter

Exponent = int | Fraction
Monomial = tuple[tuple[Value, Exponent], ...]  # values with their exponents, in the order in which the graph makes them
Polynomial = dict[Monomial, float]

ARITHMETIC: tuple[type[Op], ...] = (Add, Sub, Mul, Div, Neg, Pow, Sqrt, Rsqrt, Cast, Transpose, Broadcast)
ONE: Monomial = ()
SUMS: tuple[type[Op], ...] = (Add, Sub)
# What is larger is taken as it is, so that the cost of an expansion and of a look around has a bound.
TERMS, FACTORS, DEPTH, NEARBY = 16, 8, 12, 64

Atoms = Callable[[Value], bool]


def close(a: float, b: float) -> bool:
    """Equal but for the rounding of a few operations in double precision."""
    return a == b or abs(a - b) <= 1e-14 * max(abs(a), abs(b))


def same(left: Polynomial, right: Mapping[Monomial, float]) -> bool:
    return left.keys() == right.keys() and all(close(left[m], right[m]) for m in left)


class Algebra:
    """The arithmetic of one graph, as it is by now."""

    def __init__(self, rewriter: Rewriter) -> None:
        self.rewriter = rewriter
        self.producers = rewriter.producers
        self.sizes = rewriter.sizes
        self.remembered: dict[Hashable, Any] = {}  # what was worked out of values: rewriting changes none

    def made_by(self, value: Value, *kinds: type[Op]) -> Node | None:
        """The node that makes `value`, if it is of one of `kinds`."""
        node = self.producers.get(value)
        return node if node is not None and isinstance(node.op, kinds) else None

    def constant(self, value: Value) -> float | None:
        """The number that a scalar stands for, if it is known."""
        sign = 1.0
        while not value.type.axes:
            match self.producers.get(value):
                case Node(op=Constant(bool())):
                    return None
                case Node(op=Constant(number)):
                    return sign * float(number)
                case Node(op=SizeOf(size)):
                    known = size.known(self.sizes)
                    return None if known is None else sign * float(known)
                case Node(op=Cast() | Neg() as op, inputs=(inner,)) if inner.type.dtype != BOOL:
                    sign, value = -sign if isinstance(op, Neg) else sign, inner
                case _:
                    return None
        return None

    def nearby(self, value: Value, depth: int = 6, through: tuple[type[Op], ...] = ARITHMETIC) -> Iterator[Value]:
        """`value` and what it is made of, nearest first, through nodes of the kinds `through`, no deeper than `depth`
        and not many more than `NEARBY`."""
        level, seen = [value], {value}
        for _ in range(depth + 1):
            following: list[Value] = []
            for near in level:
                yield near
                node = self.producers.get(near)
                if node is not None and isinstance(node.op, through):
                    fresh = [v for v in dict.fromkeys(node.inputs) if v not in seen]
                    following += fresh
                    seen.update(fresh)
            if len(seen) > NEARBY:
                return
            level = following

    # ------------------------------------------------------------ the normal form

    def polynomial(self, value: Value, atoms: Iterable[Value] = (), *, atom: Atoms | None = None) -> Polynomial:
        """`value` as a polynomial in `atoms`, in values for which `atom` is true, and in whatever is not arithmetic."""
        return _Expansion(self, frozenset(atoms), atom).of(value, 0)

    def product(self, value: Value) -> tuple[Monomial, float]:
        """`value` as a product of powers and a number. Sums are taken as they are."""
        terms = _Expansion(self, frozenset(), None, sums=False).of(value, 0)
        return next(iter(terms.items())) if terms else (ONE, 0.0)

    def monomial(self, *factors: tuple[Value, Exponent]) -> Monomial:
        """The product of powers, in normal order; equal values are merged."""
        exponents: dict[Value, Exponent] = {}
        for value, exponent in factors:
            exponents[value] = exponents.get(value, 0) + exponent
        kept = [(value, exponent) for value, exponent in exponents.items() if exponent]
        if len(kept) > 1:
            kept.sort(key=self._place)
        return tuple(kept)

    def _place(self, factor: tuple[Value, Exponent]) -> int:
        return self.rewriter.order[factor[0]]

    def times(self, left: Polynomial, right: Polynomial) -> Polynomial:
        if len(left) == 1 and ONE in left:
            return {m: left[ONE] * c for m, c in right.items()}
        if len(right) == 1 and ONE in right:
            return {m: right[ONE] * c for m, c in left.items()}
        total: Polynomial = {}
        for m, a in left.items():
            for n, b in right.items():
                add(total, self.monomial(*m, *n), a * b)
        return total

    # ------------------------------------------------------------ means

    def mean(self, monomial: Monomial, coefficient: float) -> tuple[tuple[Axis, ...], tuple[Value, ...], Node] | None:
        """A term that is a mean: the axes, the values whose product is averaged, the node. `sum / n` is one where n is
        the number of elements, and so is `dot(a, b) / n`."""
        factors = dict(monomial)
        for value in [v for v, exponent in monomial if exponent == 1]:
            node = self.made_by(value, Mean, Sum, Dot)
            if node is None:
                continue
            over = node.op.goes_over
            rest = {v: e for v, e in factors.items() if v is not value}
            if isinstance(node.op, Mean):
                share = 1.0 if not rest else None
            else:
                share = self._count(over, rest)
            if isinstance(node.op, Dot) and set(node.inputs[0].type.axes) != set(node.inputs[1].type.axes):
                share = None
            if share is not None and close(coefficient * share, 1.0):
                return over, node.inputs, node
        return None

    def _count(self, over: tuple[Axis, ...], rest: dict[Value, Exponent]) -> float | None:
        """The number of elements along `over`, less the sizes by which `rest` divides already; None if rest is more."""
        sizes = [axis.size for axis in over]
        for value, exponent in rest.items():
            cast = self.made_by(value, Cast)
            match self.producers.get(value if cast is None else cast.inputs[0]):
                case Node(op=SizeOf(size)) if exponent == -1 and size in sizes:
                    sizes.remove(size)
                case _:
                    return None
        total = 1.0
        for size in sizes:
            known = size.known(self.sizes)
            if known is None:
                return None
            total *= known
        return total

    def product_of(self, values: Iterable[Value], atoms: Iterable[Value] = ()) -> Polynomial:
        total: Polynomial = {ONE: 1.0}
        for value in values:
            total = self.times(total, self.polynomial(value, atoms))
        return total

    # ------------------------------------------------------------ back to nodes

    def emit(self, out: Builder, terms: Mapping[Monomial, float]) -> Value | None:
        """The nodes for a polynomial with whole positive exponents; None for any other. Like values are reused."""
        total: Value | None = None
        for monomial, coefficient in terms.items():
            product: Value | None = None
            for value, exponent in monomial:
                if exponent.denominator != 1 or exponent < 1:
                    return None
                for _ in range(int(exponent)):
                    product = value if product is None else out.emit(Mul(), product, value)
            if product is None:
                product = out.emit(Constant(coefficient))
            elif coefficient != 1.0:
                product = out.emit(Mul(), product, out.emit(Constant(coefficient)))
            total = product if total is None else out.emit(Add(), total, product)
        return total


class _Expansion:
    """One value written out, with a memory of the values met on the way."""

    def __init__(self, algebra: Algebra, atoms: frozenset[Value], atom: Atoms | None, *, sums: bool = True) -> None:
        self.algebra, self.atoms, self.atom, self.sums = algebra, atoms, atom, sums
        self.known: dict[Value, Polynomial] = {}

    def of(self, value: Value, depth: int) -> Polynomial:
        found = self.known.get(value)
        if found is None:
            found = self._expand(value, depth)
            if found is None or len(found) > TERMS or any(len(monomial) > FACTORS for monomial in found):
                found = {((value, 1),): 1.0}
            self.known[value] = found
        return found

    def _expand(self, value: Value, depth: int) -> Polynomial | None:
        if value in self.atoms:
            return None
        number = self.algebra.constant(value)
        if number is not None:
            return {ONE: number} if number else {}
        node = self.algebra.producers.get(value)
        if node is None or depth > DEPTH or (self.atom is not None and self.atom(value)):
            return None
        if not self.sums and isinstance(node.op, SUMS):
            return None
        rule = RULES.get(type(node.op))
        return rule(self, node, depth + 1) if rule else None

    # ------------------------------------------------------------ one rule for each op

    def sum(self, node: Node, depth: int) -> Polynomial | None:
        sign = -1.0 if isinstance(node.op, Sub) else 1.0
        total = dict(self.of(node.inputs[0], depth))
        for monomial, coefficient in self.of(node.inputs[1], depth).items():
            add(total, monomial, sign * coefficient)
        return total

    def negative(self, node: Node, depth: int) -> Polynomial | None:
        return {m: -c for m, c in self.of(node.inputs[0], depth).items()}

    def product(self, node: Node, depth: int) -> Polynomial | None:
        if BOOL in (node.inputs[0].type.dtype, node.inputs[1].type.dtype):
            return None
        return self.times(self.of(node.inputs[0], depth), self.of(node.inputs[1], depth))

    def times(self, left: Polynomial, right: Polynomial) -> Polynomial | None:
        return None if len(left) * len(right) > 4 * TERMS else self.algebra.times(left, right)

    def quotient(self, node: Node, depth: int) -> Polynomial | None:
        below = self.power_of(node.inputs[1], -1, depth)
        return None if below is None else self.times(self.of(node.inputs[0], depth), below)

    def power(self, node: Node, depth: int) -> Polynomial | None:
        exponent = self.algebra.constant(node.inputs[1])
        if exponent is None or exponent != exponent or abs(exponent) > 16:
            return None
        power = Fraction(exponent).limit_denominator(1 << 20)
        return self.power_of(node.inputs[0], int(power) if power.denominator == 1 else power, depth)

    def root(self, node: Node, depth: int) -> Polynomial | None:
        return self.power_of(node.inputs[0], Fraction(-1 if isinstance(node.op, Rsqrt) else 1, 2), depth)

    def same(self, node: Node, depth: int) -> Polynomial | None:
        """A cast that changes no number; one between precisions rounds."""
        (inner,) = node.inputs
        kept = inner.type.dtype == node.output.type.dtype or (inner.type.dtype == INT and node.output.type.is_float)
        if not kept:
            return None
        return self.of(inner, depth)

    def power_of(self, value: Value, exponent: Exponent, depth: int) -> Polynomial | None:
        """A sum is an atom under a power that is not a small whole number; a product is taken apart under whole powers,
        and under others where it is a single power of +1 or -1 (the root of a square is not a number's own)."""
        base = self.of(value, depth)
        if exponent.denominator == 1 and exponent > 0:
            total: Polynomial | None = {ONE: 1.0}
            for _ in range(int(exponent)):
                total = self.times(total, base) if total is not None else None
            return total
        if len(base) != 1 or value in self.atoms:
            return {((value, exponent),): 1.0}
        ((monomial, coefficient),) = base.items()
        single = len(monomial) == 0 or (len(monomial) == 1 and abs(monomial[0][1]) == 1)
        if exponent.denominator != 1 and (not single or coefficient <= 0):
            return {((value, exponent),): 1.0}
        return {tuple((v, e * exponent) for v, e in monomial): coefficient ** float(exponent)}


def add(total: Polynomial, monomial: Monomial, coefficient: float) -> None:
    """Add a term in place; what cancels disappears."""
    before = total.get(monomial, 0.0)
    after = before + coefficient
    if after == 0.0 or (before and abs(after) <= 1e-15 * abs(before)):
        total.pop(monomial, None)
    else:
        total[monomial] = after


RULES: dict[type[Op], Callable[[_Expansion, Node, int], Polynomial | None]] = {
    Add: _Expansion.sum,
    Sub: _Expansion.sum,
    Neg: _Expansion.negative,
    Mul: _Expansion.product,
    Div: _Expansion.quotient,
    Pow: _Expansion.power,
    Sqrt: _Expansion.root,
    Rsqrt: _Expansion.root,
    Cast: _Expansion.same,
    Transpose: _Expansion.same,
    Broadcast: _Expansion.same,
}
