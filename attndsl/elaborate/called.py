"""A call of a primitive, as the functions that build its nodes see it; and ops that a spec calls by their name
(`Op.called`): how a call looks follows from the class.

The operands come in order, and the attributes by keyword: an axis, or several, among those that the operands have
(`over=T`), a number, `true` or `false`. An attribute with a default may be left out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from attndsl import values
from attndsl.diagnostics import Span, error, shortened
from attndsl.elaborate import initial
from attndsl.elaborate.cases import decided
from attndsl.elaborate.frames import Frame
from attndsl.elaborate.sizes_and_axes import axes_of, number
from attndsl.elaborate.tensors import aligned, arithmetic, emit, lift
from attndsl.elaborate.values import PLAIN, ArrowValue, CompileTimeValue, Evaluated, as_list, describe
from attndsl.graph import Initializer, Value
from attndsl.ops import Op
from attndsl.records import MISSING, Frozen, fields
from attndsl.sizes import Constraint, Size
from attndsl.types import Axis, Type
from attndsl.values import LISTS, Number, operate, rounds

if TYPE_CHECKING:
    from attndsl.records import Field


class PrimitiveCall(Frozen):
    """A primitive's arguments, where it stands, and what it is called."""

    name: str
    positional: tuple[Evaluated, ...]
    keywords: dict[str, Evaluated]
    frame: Frame
    span: Span

    def tensor(self, place: int) -> Evaluated:
        """The operand at `place` as a tensor."""
        return lift(self.positional[place], self.frame)

    def type(self, place: int) -> Type:
        return self.tensor(place).type

    def keyword(self, name: str) -> Evaluated:
        if name not in self.keywords:
            raise error(
                "E0103",
                f"`{self.name}` needs `{name}=…`",
                self.span,
                help=self._over() if name == "over" else (),
            )
        return self.keywords[name]

    def arrow(self, what: str, example: str, *, source: int | None = None, target: int | None = None) -> ArrowValue:
        """What `over=` says as an arrow with so many axes on its sides (None: any number). Raises E0104, which says
        what is needed, and how that is written."""
        over = self.keyword("over")
        arrow = over.value
        if isinstance(arrow, ArrowValue) and (
            source in (None, len(arrow.source.terms)) and target in (None, len(arrow.target.terms))
        ):
            return arrow
        raise error("E0104", f"`{self.name}` needs {what}", over.span, help=f"write {example}")

    def _over(self) -> str:
        """How the axis is given, with the last one that all operands have."""
        types = [a.value.type for a in self.positional if isinstance(a.value, Value)]
        axes = [axis for axis in (types[0].axes if types else ()) if all(axis in t.axes for t in types)]
        operands = ", ".join(shortened(a.span.text, 30) for a in self.positional) or "…"
        return f"say which axis: `{self.name}({operands}, over={axes[-1].name if axes else 'S'})`"

    def axes(self, name: str, *types: Type) -> tuple[Axis, ...]:
        return axes_of(self.keyword(name), self.frame, types, known=True)

    def axis(self, name: str, *types: Type) -> Axis:
        found = self.axes(name, *types)
        if len(found) != 1:
            raise error("E0104", f"`{self.name}` works over one axis", self.keyword(name).span)
        return found[0]

    def axis_made(self, name: str) -> Axis:
        """An axis that no operand has: it is made here, or there by its size."""
        found = axes_of(self.keyword(name), self.frame)
        if len(found) != 1:
            raise error("E0104", f"`{self.name}` works over one axis", self.keyword(name).span)
        return found[0]

    def emit(self, op: Op, *operands: Evaluated) -> Value:
        return emit(self.frame, op, self.span, *operands)


class CallRule(Frozen):
    """How a primitive is called: the fewest and most positional arguments (with fewer it stays a block value,
    `softmax(over=S)`), the keywords, and the function that builds what it gives. `names_axis`: one `name=size` is an
    axis, `range(part=2)`."""

    build: Callable[[PrimitiveCall], CompileTimeValue]
    operands: tuple[int, int] = (1, 1)
    keywords: tuple[str, ...] = ()
    doc: str = ""
    names_axis: bool = False


def rule_for(op: type[Op]) -> CallRule:
    """How `op` is called."""
    operands = len([name for name in op.operands if not name.endswith("?")])
    return CallRule(partial(_build, op), (operands, operands), tuple(f.name for f in fields(op)), summary(op))


def summary(op: type[Op]) -> str:
    """The first sentence of an op's documentation, as it stands in a table."""
    first = " ".join((op.__doc__ or "").split()).partition(". ")[0].rstrip(".")
    return first[:1].lower() + first[1:]


def _build(op: type[Op], g: PrimitiveCall) -> CompileTimeValue:
    if any(isinstance(operand.value, Initializer) for operand in g.positional):
        if not op.pointwise:
            what = f"`{g.name}` is not applied to initialisers: they have no axes before they fill a parameter"
            raise error("E0104", what, g.span)
        return initial.combined(op(), g.frame, g.span, *g.positional)
    if g.name in values.FUNCTIONS and values.FUNCTIONS[g.name].takes == LISTS:
        if not isinstance(g.positional[0].value, Value):
            return of_list(g)
    elif g.name in values.FUNCTIONS and _computable(g):
        g.frame.elaborator.budget.spend_on_sizes(g.frame.at(g.span), *g.positional)
        return operate(g.name, g.span, *g.positional)
    types = tuple(map(g.type, range(len(g.positional))))
    attributes = {f.name: READERS[str(f.type)](g, f, types) for f in fields(op) if _is_given(g, f)}
    made = op(**attributes)
    for axis in made.goes_over if made.needs_elements else ():
        note = f"`{g.name}` over `{axis.name}` has no value where there are no elements"
        g.frame.elaborator.require(Constraint(">=", axis.size, Size.of(1), g.frame.at(g.span), "E0805", (note,)))
    if made.pointwise and len(types) == 2:
        left, right = g.positional
        return arithmetic(g.frame, g.name, left, right, g.span)
    operands = [g.tensor(i) for i in range(len(types))]
    if made.pointwise:
        aligned(g.frame, g.name, operands)
    return g.emit(made, *operands)


def of_list(g: PrimitiveCall) -> CompileTimeValue:
    """`sum(depths)`, `len(depths)`: a number that a list of compile-time values has."""
    (given,) = g.positional
    listed = as_list(given.value)
    if listed is None and not isinstance(given.value, PLAIN):
        way = "as in `[1, 2, 3]`"
        if isinstance(given.value, Value):
            way = (
                f"its sizes are the names of its axes: {', '.join(f'`{axis.name}`' for axis in given.value.type.axes)}"
            )
        raise error("E0104", f"`{g.name}` takes a list, but this is {describe(given.value)}", given.span, help=way)
    for value in listed.values if listed is not None and g.name != "len" else ():
        if not isinstance(value, PLAIN):
            raise error(
                "E0104",
                f"`{g.name}` takes a list of numbers, but this one holds {describe(value)}",
                given.span,
                help=f"combine tensors in a repeat, as in `repeat one in {given.span.text} {{ y += one }}`"
                if isinstance(value, Value)
                else "as in `[1, 2, 3]`",
            )
    return operate(g.name, g.span, given if listed is None else Evaluated(listed, given.span))


def _computable(g: PrimitiveCall) -> bool:
    """Whether the operands are compile-time values (a size that is not known yet only among others, or rounded)."""
    given = [argument.value for argument in g.positional]
    first = given[0]
    unknown = len(given) == 1 and isinstance(first, Number) and first.value is None and not rounds(g.name, first)
    return not unknown and all(isinstance(value, PLAIN) for value in given)


def _is_given(g: PrimitiveCall, attribute: Field[Any]) -> bool:
    return attribute.name in g.keywords or attribute.default is MISSING


def _axis(g: PrimitiveCall, attribute: Field[Any], types: tuple[Type, ...]) -> Axis:
    return g.axis(attribute.name, *types)


def _axes(g: PrimitiveCall, attribute: Field[Any], types: tuple[Type, ...]) -> tuple[Axis, ...]:
    return g.axes(attribute.name, *types)


def _known(g: PrimitiveCall, attribute: Field[Any], what: str) -> Number:
    given = g.keyword(attribute.name)
    found = decided(number(given.value, given.span, what))
    if found.value is None:
        raise error("E0404", f"{what} must be known at compile time", given.span)
    return found


def _flag(g: PrimitiveCall, attribute: Field[Any], types: tuple[Type, ...]) -> bool:
    what = f"`{attribute.name}` of `{g.name}`"
    found = _known(g, attribute, what)
    if not found.is_bool:
        raise error("E0104", f"{what} is true or false, but this is {found.value}", g.keyword(attribute.name).span)
    return bool(found.value)


def _whole(g: PrimitiveCall, attribute: Field[Any], types: tuple[Type, ...]) -> int:
    what = f"`{attribute.name}` of `{g.name}`"
    found = _known(g, attribute, what)
    if found.is_bool or not isinstance(found.value, int):
        raise error("E0104", f"{what} is a whole number, but this is {found.value}", g.keyword(attribute.name).span)
    return found.value


def _real(g: PrimitiveCall, attribute: Field[Any], types: tuple[Type, ...]) -> float:
    what = f"`{attribute.name}` of `{g.name}`"
    found = _known(g, attribute, what)
    assert found.value is not None
    if found.is_bool:
        raise error("E0104", f"{what} is a number, but this is {found.value}", g.keyword(attribute.name).span)
    return float(found.value)


READERS: dict[str, Callable[[PrimitiveCall, Field[Any], tuple[Type, ...]], object]] = {
    "Axis": _axis, "tuple[Axis, ...]": _axes, "bool": _flag, "int": _whole, "float": _real,
}  # fmt: skip
