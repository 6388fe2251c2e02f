"""What a mask in a graph means: read back from the nodes that compute it, as a formula of positions.

Masks are ordinary nodes over `range`. `describe_mask` walks back from a bool value through them with one index for each
axis, as one would work out a single element by hand, and then reads facts off the formula.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from attndsl.graph import BOOL, FLOAT, Axis, Node, Value
from attndsl.masks.index import (
    All,
    Compare,
    Formula,
    Holds,
    Index,
    Linear,
    Read,
    Truth,
    always,
    atoms,
    both,
    compare,
    either,
    function,
    known,
    negated,
    not_negative,
    replaced,
)
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
from attndsl.records import dataclass
from attndsl.sizes import Size

Element = Linear | Formula
Places = Mapping[Axis, Linear]  # the index at which each axis is read


@dataclass(frozen=True, slots=True)
class MaskDescription:
    """A mask as a formula, with what follows from it. Positions count from each axis's origin.

    `causal`: exactly `k <= q`, with equal lengths and origins. `window`: n, where it is exactly `k <= q and q - k < n`
    with equal lengths and origins. `band`: (before, after), where it is exactly `q - before <= k <= q + after` (None:
    no bound on that side), whatever the lengths. `keys_only`: no query takes part. `rows_never_empty`: provably every
    query has something to attend to. `depends_on`: "positions" where it is the same for all data, else "data".
    """

    formula: Formula
    causal: bool
    window: Size | None
    band: tuple[Size | None, Size | None] | None
    keys_only: bool
    rows_never_empty: bool
    depends_on: str

    @property
    def text(self) -> str:
        return str(self.formula)


def describe_mask(
    value: Value, producers: Mapping[Value, Node], q: Axis, k: Axis, sizes: Mapping[str, int] | None = None
) -> MaskDescription:
    """Describe the mask `value` between the queries along `q` and the keys along `k`; `sizes` are the known ones."""
    sizes = sizes or {}
    formula = mask_formula(value, producers, q, k, sizes=sizes)
    query, key = _index("q", q, sizes), _index("k", k, sizes)
    aligned = q.size == k.size and q.origin == k.origin
    band = _band(formula, Linear.of(key) - Linear.of(query))
    before, after = band or (None, None)
    window = before + 1 if before is not None and after == Size.of(0) and aligned else None
    used = atoms(formula)
    return MaskDescription(
        formula,
        causal=aligned and band == (None, Size.of(0)),
        window=window,
        band=band,
        keys_only=query not in used,
        rows_never_empty=_has_key(formula, query, key, sizes),
        depends_on="data" if any(isinstance(atom, Read) for atom in used) else "positions",
    )


def _band(formula: Formula, distance: Linear) -> tuple[Size | None, Size | None] | None:
    """How far a key may be before and after its query, if the formula says just that; `distance` is k - q."""
    before: Size | None = None
    after: Size | None = None
    for part in formula.parts if isinstance(formula, All) else (formula,):
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


def rows_never_empty(
    value: Value, producers: Mapping[Value, Node], q: Axis, k: Axis, sizes: Mapping[str, int] | None = None
) -> bool:
    """Whether, under the mask `value`, every place along `q` provably has something to attend to along `k`."""
    return describe_mask(value, producers, q, k, sizes).rows_never_empty


def never_empty(
    masks: Iterable[tuple[Value, bool, Iterable[tuple[Axis, Axis]]]],
    producers: Mapping[Value, Node],
    q: Axis,
    k: Axis,
    sizes: Mapping[str, int] | None = None,
) -> bool:
    """`rows_never_empty` for several masks at once, each a value, whether it is to be inverted, and the renames (old,
    new) that its axes go through before they are called `q` and `k`."""
    parts = []
    for value, inverted, renames in masks:
        formula = mask_formula(value, producers, q, k, renames, sizes)
        parts.append(negated(formula) if inverted else formula)
    return _has_key(both(*parts), _index("q", q, sizes or {}), _index("k", k, sizes or {}), sizes or {})


def mask_formula(
    value: Value,
    producers: Mapping[Value, Node],
    q: Axis,
    k: Axis,
    renames: Iterable[tuple[Axis, Axis]] = (),
    sizes: Mapping[str, int] | None = None,
) -> Formula:
    """The mask as a formula of `q`, `k` and the names of its other axes (after `renames`, old to new), with the values
    of the known `sizes` put in."""
    names, renames, sizes = {q: "q", k: "k"}, tuple(renames), sizes or {}
    places = {}
    for axis in value.type.axes:
        final = axis
        for old, new in renames:
            final = new if final == old else final
        index = _index(names.get(final, final.name), final, sizes)
        places[axis] = Linear.of(index) - Linear.of(index.low)
    return _formula(_Walk(producers, sizes).element(value, places))


def _index(name: str, axis: Axis, sizes: Mapping[str, int]) -> Index:
    return Index(name, known(axis.origin, sizes), known(axis.origin + axis.size - 1, sizes))


def _has_key(formula: Formula, query: Index, key: Index, sizes: Mapping[str, int]) -> bool:
    """Whether some key that there is for every query satisfies the formula: the query itself, the first, the last."""
    own = not_negative(query.low - key.low, sizes) and not_negative(key.high - query.high, sizes)
    candidates = [Linear.of(query)] if own else []
    candidates += [Linear.of(key.low), Linear.of(key.high)]
    return any(always(replaced(formula, {key: candidate}), sizes) for candidate in candidates)  # type: ignore[arg-type]


def _formula(element: Element) -> Formula:
    return compare("!=", element, Linear()) if isinstance(element, Linear) else element


def _linear(element: Element) -> Linear:
    if isinstance(element, Linear):
        return element
    if isinstance(element, Truth):
        return Linear.of(int(element.value))
    return function("if", element)


class _Walk:
    """Works out one element of a value, given the index along each of its axes."""

    def __init__(self, producers: Mapping[Value, Node], sizes: Mapping[str, int]) -> None:
        self.producers, self.sizes = producers, sizes
        self.elements: dict[tuple[Value, tuple[Linear, ...]], Element] = {}

    def element(self, value: Value, places: Places) -> Element:
        key = value, tuple(places[axis] for axis in value.type.axes)
        if key not in self.elements:
            node = self.producers.get(value)
            rule = RULES.get(type(node.op)) if node is not None else None
            found = rule(self, node, places) if rule is not None and node is not None else None
            self.elements[key] = self.read(value, places) if found is None else found
        return self.elements[key]

    def read(self, value: Value, places: Places) -> Element:
        """An element of something that is no function of positions."""
        name = value.names[0].rpartition(".")[2] if value.names else "data"
        read = Read(name, value, tuple(places[axis] for axis in value.type.axes))
        return Holds(read) if value.type.dtype == BOOL else Linear.of(read)

    def operands(self, node: Node, places: Places) -> list[Element]:
        return [self.element(v, {axis: places[axis] for axis in v.type.axes}) for v in node.inputs]

    def numbers(self, node: Node, places: Places) -> list[Linear]:
        return [_linear(element) for element in self.operands(node, places)]

    # ------------------------------------------------------------ numbers

    def constant(self, node: Node, places: Places) -> Element | None:
        value = node.op.value  # type: ignore[attr-defined]
        if isinstance(value, bool):
            return Truth(value)
        return Linear.of(int(value)) if value == value and abs(value) < 1 << 62 and int(value) == value else None

    def size(self, node: Node, places: Places) -> Element:
        return Linear.of(known(node.op.size, self.sizes))  # type: ignore[attr-defined]

    def range(self, node: Node, places: Places) -> Element:
        return places[node.op.axis]  # type: ignore[attr-defined]

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
        if node.output.type.dtype == FLOAT:
            return None
        return function("//" if isinstance(node.op, FloorDiv) else "%", left, right)

    def chosen(self, node: Node, places: Places) -> Element:
        names = {Abs: "abs", Maximum: "max", Minimum: "min"}
        return function(names[type(node.op)], *self.numbers(node, places))

    # ------------------------------------------------------------ truth values

    def comparison(self, node: Node, places: Places) -> Element:
        left, right = self.numbers(node, places)
        return compare(RELATIONS[type(node.op)], left, right)

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
        integer = node.inputs[0].type.dtype != FLOAT
        return _linear(inner) if integer or node.output.type.dtype == FLOAT else None

    # ------------------------------------------------------------ movement

    def same(self, node: Node, places: Places) -> Element:
        return self.operands(node, places)[0]

    def rename(self, node: Node, places: Places) -> Element:
        return self.moved(node, places, {node.op.old: places[node.op.new]})  # type: ignore[attr-defined]

    def slice(self, node: Node, places: Places) -> Element:
        op = node.op
        assert isinstance(op, Slice)
        return self.moved(node, places, {op.axis: places[op.target] + Linear.of(known(op.start, self.sizes))})

    def select(self, node: Node, places: Places) -> Element:
        return self.moved(node, places, {node.op.axis: Linear.of(known(node.op.at, self.sizes))})  # type: ignore[attr-defined]

    def take(self, node: Node, places: Places) -> Element:
        table, index = node.inputs
        at = _linear(self.element(index, {axis: places[axis] for axis in index.type.axes}))
        inner = {**places, node.op.over: at}  # type: ignore[attr-defined]
        return self.element(table, {axis: inner[axis] for axis in table.type.axes})

    def flatten(self, node: Node, places: Places) -> Element:
        op = node.op
        assert isinstance(op, Flatten)
        rest, found = places[op.axis], {}
        for part in reversed(op.parts[1:]):
            length = Linear.of(known(part.size, self.sizes))
            found[part] = function("%", rest, length)
            rest = function("//", rest, length)
        return self.moved(node, places, {**found, op.parts[0]: rest})

    def unflatten(self, node: Node, places: Places) -> Element:
        op = node.op
        assert isinstance(op, Unflatten)
        total = Linear()
        for part in op.parts:
            total = total.times(known(part.size, self.sizes)) + places[part]
        return self.moved(node, places, {op.axis: total})

    def moved(self, node: Node, places: Places, changed: Places) -> Element:
        (inner,) = node.inputs
        moved = {**places, **changed}
        return self.element(inner, {axis: moved[axis] for axis in inner.type.axes})


RELATIONS: dict[type[Op], str] = {Eq: "==", Ne: "!=", Lt: "<", Le: "<=", Gt: ">", Ge: ">="}


RULES: dict[type[Op], Callable[[_Walk, Node, Places], Element | None]] = {
    Constant: _Walk.constant, SizeOf: _Walk.size, Range: _Walk.range,
    Add: _Walk.sum, Sub: _Walk.sum, Neg: _Walk.negative, Mul: _Walk.product, FloorDiv: _Walk.floor, Mod: _Walk.floor,
    Abs: _Walk.chosen, Maximum: _Walk.chosen, Minimum: _Walk.chosen,
    Eq: _Walk.comparison, Ne: _Walk.comparison, Lt: _Walk.comparison, Le: _Walk.comparison, Gt: _Walk.comparison,
    Ge: _Walk.comparison, And: _Walk.logical, Or: _Walk.logical, Not: _Walk.negation, Where: _Walk.choice,
    Cast: _Walk.cast, StopGradient: _Walk.same, Transpose: _Walk.same, Broadcast: _Walk.same, Rename: _Walk.rename,
    Slice: _Walk.slice, Select: _Walk.select, Take: _Walk.take, Flatten: _Walk.flatten, Unflatten: _Walk.unflatten,
}  # fmt: skip
