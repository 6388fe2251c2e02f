"""The formula of a mask: read back from the nodes that compute it.

Masks are ordinary nodes over `range`. `mask_formula` walks back from a bool value through them with one index for each
axis, as one would work out a single element by hand. What is larger or deeper than a person would write is not taken
apart: it is read as data is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar

from attndsl.graph import BOOL, Axis, Node, Value
from attndsl.masks.index import (
    Formula,
    Holds,
    Index,
    LinearSum,
    Read,
    Truth,
    both,
    compare,
    either,
    function,
    negated,
    whole,
)
from attndsl.masks.reading import extent, known
from attndsl.ops import (
    Abs,
    Add,
    And,
    Broadcast,
    Cast,
    Constant,
    Eq,
    Flatten,
    FloorDiv,
    Ge,
    Gt,
    Le,
    Lt,
    Maximum,
    Minimum,
    Mod,
    Mul,
    Ne,
    Neg,
    Not,
    Op,
    Or,
    Range,
    Rename,
    Select,
    SizeOf,
    Slice,
    StopGradient,
    Sub,
    Take,
    Transpose,
    Unflatten,
    Where,
)
from attndsl.sizes import Size

Element = LinearSum | Formula
Places = Mapping[Axis, LinearSum]  # the index at which each axis is read

EXTENT, DEPTH, ELEMENTS = 64, 60, 2000  # of a formula, of the nodes behind it, and how many elements are worked out


def mask_formula(
    value: Value,
    producers: Mapping[Value, Node],
    q: Axis | None,
    k: Axis,
    renames: Iterable[tuple[Axis, Axis]] = (),
    sizes: Mapping[str, int] | None = None,
) -> Formula:
    """The mask as a formula of `q` (if there are queries), `k` and the names of its other axes (after `renames`, old to
    new), with the values of the known `sizes` put in."""
    names, renames, sizes = {q: "q", k: "k"}, tuple(renames), sizes or {}
    places = {}
    for axis in value.type.axes:
        final = axis
        for old, new in renames:
            final = new if final == old else final
        index = index_of(names.get(final, final.name), final, sizes)
        places[axis] = LinearSum.of(index) - LinearSum.of(index.low)
    return _formula(Walker(producers, sizes).element(value, places))


def index_formula(value: Value, producers: Mapping[Value, Node]) -> LinearSum:
    """A whole number as a formula of the indices along its axes, by the names of these; sizes stay formulas."""
    places = {axis: LinearSum.of(index_of(axis.name, axis, {})) - LinearSum.of(axis.origin) for axis in value.type.axes}
    return linear(Walker(producers, {}).element(value, places))


def index_of(name: str, axis: Axis, sizes: Mapping[str, int]) -> Index:
    return Index(name, known(axis.origin, sizes), known(axis.origin + axis.size - 1, sizes))


def _formula(element: Element) -> Formula:
    return compare("!=", element, LinearSum()) if isinstance(element, LinearSum) else element


def linear(element: Element) -> LinearSum:
    if isinstance(element, LinearSum):
        return element
    if isinstance(element, Truth):
        return LinearSum.of(int(element.value))
    return function("if", element)


class Walker:
    """Works out one element of a value, given the index along each of its axes. `rules` says how, for each op whose
    result is not read as data are."""

    rules: ClassVar[Mapping[type[Op], Callable[[Walker, Node, Places], Element | None]]]

    def __init__(self, producers: Mapping[Value, Node], sizes: Mapping[str, int]) -> None:
        self.producers, self.sizes = producers, sizes
        self.elements: dict[tuple[Value, tuple[LinearSum, ...]], Element] = {}
        self.depth = 0

    def element(self, value: Value, places: Places) -> Element:
        key = value, tuple(places[axis] for axis in value.type.axes)
        if key not in self.elements:
            self.depth += 1
            found = self.computed(value, places)
            self.depth -= 1
            self.elements[key] = self.read(value, places) if found is None or extent(found) > EXTENT else found
        return self.elements[key]

    def computed(self, value: Value, places: Places) -> Element | None:
        node = self.producers.get(value)
        rule = self.rules.get(type(node.op)) if node is not None else None
        if rule is None or node is None or self.depth > DEPTH or len(self.elements) > ELEMENTS:
            return None
        return rule(self, node, places)

    def read(self, value: Value, places: Places) -> Element:
        """An element of something that is not a function of positions."""
        name = value.names[0].rpartition(".")[2] if value.names else "data"
        read = Read(name, value, tuple(places[axis] for axis in value.type.axes))
        return Holds(read) if value.type.dtype == BOOL else LinearSum.of(read)

    def operands(self, node: Node, places: Places) -> list[Element]:
        return [self.element(v, {axis: places[axis] for axis in v.type.axes}) for v in node.inputs]

    def numbers(self, node: Node, places: Places) -> list[LinearSum]:
        return [linear(element) for element in self.operands(node, places)]

    # ------------------------------------------------------------ numbers

    def constant(self, node: Node, places: Places) -> Element | None:
        match node.op:
            case Constant(bool() as value):
                return Truth(value)
            case Constant(value) if value == value and abs(value) < 1 << 62 and int(value) == value:
                return LinearSum.of(int(value))
        return None

    def size(self, node: Node, places: Places) -> Element:
        assert isinstance(node.op, SizeOf)
        return self.length(node.op.size)

    def length(self, size: Size) -> LinearSum:
        return LinearSum.of(known(size, self.sizes))

    def range(self, node: Node, places: Places) -> Element:
        assert isinstance(node.op, Range)
        return places[node.op.axis]

    def sum(self, node: Node, places: Places) -> Element:
        left, right = self.numbers(node, places)
        return left - right if isinstance(node.op, Sub) else left + right

    def negative(self, node: Node, places: Places) -> Element:
        return self.numbers(node, places)[0].times(Size.of(-1))

    def product(self, node: Node, places: Places) -> Element:
        left, right = self.numbers(node, places)
        if not right.terms:
            return left.times(right.constant)
        return right.times(left.constant) if not left.terms else function("*", left, right)

    def floor(self, node: Node, places: Places) -> Element | None:
        left, right = self.numbers(node, places)
        if node.output.type.is_float:
            return None
        return function("//" if isinstance(node.op, FloorDiv) else "%", left, right)

    def chosen(self, node: Node, places: Places) -> Element:
        names = {Abs: "abs", Maximum: "max", Minimum: "min"}
        return function(names[type(node.op)], *self.numbers(node, places))

    # ------------------------------------------------------------ booleans

    def comparison(self, node: Node, places: Places) -> Element | None:
        left, right = self.numbers(node, places)
        if whole(left - right) and not (whole(left) and whole(right)):
            return None  # a float that is NaN does not equal itself
        return compare(node.op.symbol, left, right)

    def logical(self, node: Node, places: Places) -> Element:
        parts = map(_formula, self.operands(node, places))
        return both(*parts) if isinstance(node.op, And) else either(*parts)

    def negation(self, node: Node, places: Places) -> Element:
        return negated(_formula(self.operands(node, places)[0]))

    def choice(self, node: Node, places: Places) -> Element | None:
        condition, left, right = self.operands(node, places)
        if node.output.type.dtype != BOOL:
            return None
        condition = _formula(condition)
        return either(both(condition, _formula(left)), both(negated(condition), _formula(right)))

    def cast(self, node: Node, places: Places) -> Element | None:
        (inner,) = self.operands(node, places)
        if node.output.type.dtype == BOOL:
            return _formula(inner)
        integer = not node.inputs[0].type.is_float
        return linear(inner) if integer or node.output.type.is_float else None

    # ------------------------------------------------------------ movement

    def same(self, node: Node, places: Places) -> Element:
        return self.operands(node, places)[0]

    def rename(self, node: Node, places: Places) -> Element:
        assert isinstance(node.op, Rename)
        return self.moved(node, places, {node.op.old: places[node.op.new]})

    def slice(self, node: Node, places: Places) -> Element:
        assert isinstance(node.op, Slice)
        return self.moved(node, places, {node.op.axis: places[node.op.target] + self.length(node.op.start)})

    def select(self, node: Node, places: Places) -> Element:
        assert isinstance(node.op, Select)
        return self.moved(node, places, {node.op.axis: self.length(node.op.at)})

    def take(self, node: Node, places: Places) -> Element:
        assert isinstance(node.op, Take)
        table, index = node.inputs
        at = linear(self.element(index, {axis: places[axis] for axis in index.type.axes}))
        inner = {**places, node.op.over: at}
        return self.element(table, {axis: inner[axis] for axis in table.type.axes})

    def flatten(self, node: Node, places: Places) -> Element:
        assert isinstance(node.op, Flatten)
        first, *others = node.op.parts
        rest, found = places[node.op.axis], {}
        for part in reversed(others):
            length = self.length(part.size)
            found[part] = function("%", rest, length)
            rest = function("//", rest, length)
        return self.moved(node, places, {**found, first: rest})

    def unflatten(self, node: Node, places: Places) -> Element:
        assert isinstance(node.op, Unflatten)
        total = LinearSum()
        for part in node.op.parts:
            total = total.times(known(part.size, self.sizes)) + places[part]
        return self.moved(node, places, {node.op.axis: total})

    def moved(self, node: Node, places: Places, changed: Places) -> Element:
        (inner,) = node.inputs
        moved = {**places, **changed}
        return self.element(inner, {axis: moved[axis] for axis in inner.type.axes})


RULES: dict[type[Op], Callable[[Walker, Node, Places], Element | None]] = {
    Constant: Walker.constant, SizeOf: Walker.size, Range: Walker.range,
    Add: Walker.sum, Sub: Walker.sum, Neg: Walker.negative, Mul: Walker.product,
    FloorDiv: Walker.floor, Mod: Walker.floor,
    Abs: Walker.chosen, Maximum: Walker.chosen, Minimum: Walker.chosen,
    Eq: Walker.comparison, Ne: Walker.comparison, Lt: Walker.comparison, Le: Walker.comparison, Gt: Walker.comparison,
    Ge: Walker.comparison, And: Walker.logical, Or: Walker.logical, Not: Walker.negation, Where: Walker.choice,
    Cast: Walker.cast, StopGradient: Walker.same, Transpose: Walker.same, Broadcast: Walker.same, Rename: Walker.rename,
    Slice: Walker.slice, Select: Walker.select, Take: Walker.take, Flatten: Walker.flatten, Unflatten: Walker.unflatten,
}  # fmt: skip
Walker.rules = RULES
