"""The walk over an expression whose value is known at compile time: one for every place where one is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from math import prod
from typing import TypeVar

from attndsl.diagnostics import AttnError, Span, error
from attndsl.records import Frozen, replace
from attndsl.syntax import tree
from attndsl.values.number import (
    CONSTANTS,
    List,
    Number,
    OperandLike,
    Plain,
    Text,
    described,
    joined,
    kind_of,
    operate,
    place_in,
)
from attndsl.values.operators import FUNCTIONS

KIND = "kind"
"""The function that says what sort of value its operand is."""


MOST_PRODUCTS = 512
"""How many products of terms an operator may make of the formulas of sizes. Nobody writes a longer axis."""


def _cost(operator: str, operands: Sequence[Operand]) -> int:
    sizes = [o.value.size for o in operands if isinstance(o.value, Number) and o.value.size is not None]
    exponent = sizes[1].constant if operator == "^" and len(sizes) == 2 else None
    if exponent is not None:
        return int(sizes[0].parts ** min(int(abs(exponent)), 16))
    return prod(size.parts for size in sizes)


class Absent(Exception):
    """A name may be without a value at this place (`key`), and the expression says nothing about that case."""

    def __init__(self, key: str, span: Span) -> None:
        super().__init__(key)
        self.key, self.span = key, span


class Operand(Frozen):
    """A value with where it was written."""

    value: Plain
    span: Span


class Evaluator:
    """The value of expressions at one place. A place says what its names mean; everything else is the same in all."""

    def find(self, node: tree.Name) -> Plain | None:
        """What a name means; None where the place does not know it. `Absent` where it has no value."""
        raise NotImplementedError

    def unknown(self, node: tree.Name) -> AttnError:
        """What is said of a name that means nothing."""
        raise NotImplementedError

    def parts(self, node: tree.Expr) -> tuple[tree.Expr, ...] | None:
        """What an expression that only this place has is made of; None for all others. Raises what is wrong with it."""
        return None

    def other(self, node: tree.Expr) -> Plain:
        """The value of an expression that only this place has."""
        raise NotImplementedError

    def may_be_absent(self, node: tree.Expr) -> bool:
        """Whether `node or default` stands for the default where `node` has no value."""
        return False

    def is_untyped(self, node: tree.Expr) -> bool:
        """Whether the kind of a value is not the author's choice, so that comparing it with another kind is not a
        mistake but false."""
        return False

    def without_size(self, operand: Operand) -> Operand:
        """An operand whose formula as a size is too long to go on with: here its value is enough."""
        value = operand.value
        return Operand(replace(value, size=None), operand.span) if isinstance(value, Number) else operand

    # ------------------------------------------------------------ the walk

    def operate(self, operator: str, span: Span, *operands: Operand, mixed: bool = False) -> Number:
        """`attndsl.values.operate`, within what the sizes of one expression may take."""
        if _cost(operator, operands) > MOST_PRODUCTS:
            operands = tuple(self.without_size(operand) for operand in operands)
        return operate(operator, span, *operands, mixed=mixed)

    def evaluate(self, node: tree.Expr) -> Plain:
        """The value of an expression. Raises E0404 for what is not known at compile time, E0104 for a value of the
        wrong kind, E0405 for a number that does not exist, what `unknown` says, and `Absent`."""
        if self.parts(node) is not None:
            return self.other(node)
        match node:
            case tree.Number() | tree.Boolean():
                return Number.of(node.value)
            case tree.String():
                return Text(node.value)
            case tree.Name():
                return self._named(node)
            case tree.Unary():
                return self.operate(
                    "neg" if node.operator == "-" else node.operator, node.span, self._operand(node.operand)
                )
            case tree.Chain():
                return self._chain(node)
            case tree.Conditional():
                return self.evaluate(node.then if self.holds(node.condition) else node.otherwise)
            case tree.List() if node.values is not None:
                return List.of(tuple(map(self.evaluate, node.values))).bounded(node.span)
            case tree.Subscript():
                return self._element(node)
            case tree.Call():
                name = self._function(node)
                operands = [self._operand(argument.value) for argument in node.arguments]
                if name == KIND:
                    return Text(kind_of(operands[0].value))
                return self.operate(name, node.span, *operands)
        raise _unsupported(node)

    def check(self, node: tree.Expr) -> None:
        """Raises what is wrong with an expression whatever the values of its names are: of those parts, too, that are
        not looked at with the values of now."""
        own = self.parts(node)
        match node:
            case _ if own is not None:
                inside = own
            case tree.Number() | tree.Boolean() | tree.String():
                inside = ()
            case tree.Name():
                inside = ()
                with suppress(Absent):
                    self._named(node)
            case tree.Unary() | tree.Chain() | tree.Conditional():
                inside = tuple(part for part in tree.children(node) if not isinstance(part, tree.Identifier))  # type: ignore[misc]
            case tree.List() if node.values is not None:
                inside = node.values
            case tree.Subscript():
                inside = (node.base, _index_in(node))
            case tree.Call():
                self._function(node)
                inside = tuple(argument.value for argument in node.arguments)
            case _:
                raise _unsupported(node)
        for part in inside:
            self.check(part)

    def holds(self, condition: tree.Expr) -> bool:
        """Whether a condition holds; E0404 where it is not one."""
        value = self.evaluate(condition)
        if not isinstance(value, Number) or not value.is_bool:
            raise not_a_condition(condition, described(value))
        return bool(value.value)

    def _operand(self, node: tree.Expr) -> Operand:
        return Operand(self.evaluate(node), node.span)

    def _named(self, node: tree.Name) -> Plain:
        found = self.find(node)
        if found is None:
            found = CONSTANTS.get(node.text)
        if found is None:
            raise self.unknown(node)
        return found

    def _element(self, node: tree.Subscript) -> Plain:
        base = self.evaluate(node.base)
        if not isinstance(base, List):
            raise error("E0104", f"only a list has elements here, but this is {described(base)}", node.base.span)
        found: Plain = base.values[place_in(base, self._operand(_index_in(node)), node.span)]
        return found

    def _chain(self, chain: tree.Chain) -> Plain:
        mixed = self.is_untyped(chain)
        if mixed and chain.operators[0].text == "or":
            return self._either(chain)

        def combine(operator: str, left: Operand, right: Operand, span: Span) -> Operand:
            lists = joined(operator, left.value, right.value, span)
            return Operand(lists or self.operate(operator, span, left, right, mixed=mixed), span)

        return left_to_right(chain, self._operand, combine).value

    def _either(self, chain: tree.Chain) -> Plain:
        """`a or b`: true where one of them is; `key or default`: the first that has a value."""
        missing: Absent | None = None
        left: Operand | None = None
        for node in chain.operands:
            try:
                right = self._operand(node)
            except Absent as absent:
                missing = missing or absent
                continue
            if left is None and (self.may_be_absent(node) or (missing is not None and node is chain.operands[-1])):
                return right.value
            span = node.span if left is None else left.span.to(node.span)
            value = self.operate("or", span, right if left is None else left, right)
            if value.value:
                return value
            left = Operand(value, span)
        if left is None:
            assert missing is not None
            raise missing
        return left.value

    def _function(self, call: tree.Call) -> str:
        """The name of the function that is called, with as many operands as it takes."""
        name = call.callee.text if isinstance(call.callee, tree.Name) else ""
        if name != KIND and name not in FUNCTIONS:
            raise error(
                "E0404",
                f"`{call.callee.span.text}` is not a function of values that are known at compile time",
                call.callee.span,
                help=_as_membership(call) or f"there are {KIND}, {', '.join(FUNCTIONS)}",
            )
        wanted = FUNCTIONS[name].operands if name in FUNCTIONS else 1
        if len(call.arguments) != wanted or any(argument.name is not None for argument in call.arguments):
            raise error(
                "E0104",
                f"`{name}` takes {wanted} operand{'s' if wanted != 1 else ''}",
                call.span,
                help=f"write `{name}({', '.join('ab'[:wanted])})`",
            )
        return name


def _as_membership(call: tree.Call) -> str:
    """What to write for a function that asks whether a list has an element, "" for any other."""
    texts = [argument.value.span.text for argument in call.arguments]
    is_asked = call.callee.span.text in ("has", "contains") and len(texts) == 2
    return f"write `{texts[1]} in {texts[0]}`" if is_asked else ""


def _index_in(node: tree.Subscript) -> tree.Expr:
    """What stands in the brackets of `list[i]`; E0404 where that is not one index."""
    (entry, *others) = node.entries
    if others or entry.index is None or entry.axis is not None:
        raise _unsupported(node)
    return entry.index


def _unsupported(node: tree.Expr) -> AttnError:
    return error(
        "E0404",
        f"`{node.span.text}` is not known at compile time",
        node.span,
        help="a value here is made of numbers, strings, lists, names, operators, `… if … else …` and functions "
        f"({', '.join(FUNCTIONS)})",
    )


Placed = TypeVar("Placed", bound=OperandLike)


def left_to_right(
    chain: tree.Chain,
    evaluate: Callable[[tree.Expr], Placed],
    combine: Callable[[str, Placed, Placed, Span], Placed],
) -> Placed:
    """The value of a chain from those of its operands: `combine` is given an operator, the two values and where they
    stand. An operand that decides alone is the value, and those behind it are not looked at."""
    left = evaluate(chain.operands[0])
    for operator, node in zip(chain.operators, chain.operands[1:], strict=True):
        if _decides(operator.text, left.value):
            return left
        right = evaluate(node)
        left = combine(operator.text, left, right, left.span.to(right.span))
    return left


def _decides(operator: str, left: object) -> bool:
    """Whether the left operand of `and` or `or` decides alone, so that the right one is not looked at."""
    return (
        operator in ("and", "or")
        and isinstance(left, Number)
        and left.is_bool
        and left.value is not None
        and left.formula is None
        and bool(left.value) == (operator == "or")
    )


def not_a_condition(node: tree.Expr, what: str, help: str = "compare it with something") -> AttnError:
    must = "a boolean that is known at compile time"
    return error("E0404", f"a condition must be {must}, but this is {what}", node.span, help=help)


def given_twice(name: tree.Identifier) -> AttnError:
    what = f"the argument `{name.text}` is given twice"
    return error("E0107", what, name.span, help="leave one of them out")
