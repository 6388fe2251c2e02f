"""What is computed from positions alone, as a formula: biases of scores, angles of rotations.

Such numbers are no whole ones, as those in masks are, and come through powers, logarithms and trained tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import isfinite

from attndsl.graph import Axis, Node, Value
from attndsl.masks.formulas import RULES, Element, Places, Walker, index_of, linear
from attndsl.masks.index import (
    Function,
    LinearSum,
    Read,
    function,
)
from attndsl.ops import (
    Cast,
    Ceil,
    Constant,
    Cos,
    Div,
    Exp,
    Floor,
    Log,
    Mul,
    Op,
    Parameter,
    Pow,
    Range,
    Round,
    Rsqrt,
    Sin,
    Sqrt,
    Tanh,
    Where,
)
from attndsl.sizes import ZERO, Size


def position_formula(value: Value, producers: Mapping[Value, Node], names: Mapping[Axis, str]) -> LinearSum | None:
    """A number as a formula of the indices along its axes, by `names` or else the axes' own in small letters; None
    where nothing is computed with these: where they say which data are read."""
    places = {}
    for axis in value.type.axes:
        own = axis.name.lower() if axis.name.isidentifier() else "i"
        index = index_of(names.get(axis, own), axis, {})
        places[axis] = LinearSum.of(index) - LinearSum.of(index.low)
    walk = _Numbers(producers)
    found = linear(walk.element(value, places))
    return found if walk.counts else None


FINEST = 64
"""The largest denominator of a constant that is written as a fraction."""


class _Numbers(Walker):
    """Works out elements of any numbers. `counts`: whether a position was come to as a number."""

    def __init__(self, producers: Mapping[Value, Node]) -> None:
        super().__init__(producers, {})
        self.counts = False

    def range(self, node: Node, places: Places) -> Element:
        self.counts = True
        return super().range(node, places)

    def read(self, value: Value, places: Places) -> Element:
        node = self.producers.get(value)
        if node is None or not isinstance(node.op, Parameter):
            return super().read(value, places)
        name = node.op.address.rpartition(".")[2]
        return LinearSum.of(Read(name, value, tuple(places[axis] for axis in value.type.axes)))

    def number(self, node: Node, places: Places) -> Element | None:
        assert isinstance(node.op, Constant)
        value = node.op.value
        if not isinstance(value, float) or not isfinite(value):
            return self.constant(node, places)
        exact = Fraction(value)
        return LinearSum.of(Size.of(exact) if exact.denominator <= FINEST else Function(f"{value:.6g}", ()))

    def product(self, node: Node, places: Places) -> Element:
        """Factors that are numbers stand in front."""
        left, right = self.numbers(node, places)
        if any(len(side.terms) != 1 or side.constant != ZERO for side in (left, right)):
            return Walker.product(self, node, places)
        (first, times), (second, more) = (side.terms[0] for side in (left, right))
        return function("*", LinearSum.of(first), LinearSum.of(second)).times(times * more)

    def quotient(self, node: Node, places: Places) -> Element:
        left, right = self.numbers(node, places)
        divisor = None if right.terms else right.constant.constant
        if divisor:
            return left.times(Size.of(1 / divisor))
        return LinearSum.of(Function("/", (left, right)))

    def power(self, node: Node, places: Places) -> Element:
        return LinearSum.of(Function("^", tuple(self.numbers(node, places))))

    def applied(self, node: Node, places: Places) -> Element:
        return LinearSum.of(Function(node.op.name, tuple(self.numbers(node, places))))

    def whole(self, node: Node, places: Places) -> Element | None:
        found = Walker.cast(self, node, places)
        return LinearSum.of(Function("int", tuple(self.numbers(node, places)))) if found is None else found

    def either(self, node: Node, places: Places) -> Element | None:
        found = Walker.choice(self, node, places)
        if found is not None:
            return found
        condition, left, right = self.operands(node, places)
        return LinearSum.of(Function("where", (condition, linear(left), linear(right))))


_FUNCTIONS: tuple[type[Op], ...] = (Ceil, Cos, Exp, Floor, Log, Round, Rsqrt, Sin, Sqrt, Tanh)
_Numbers.rules = RULES | {  # type: ignore[assignment]
    Constant: _Numbers.number, Range: _Numbers.range, Mul: _Numbers.product,
    Div: _Numbers.quotient, Pow: _Numbers.power, Cast: _Numbers.whole,
    Where: _Numbers.either,
    **dict.fromkeys(_FUNCTIONS, _Numbers.applied),
}  # fmt: skip
