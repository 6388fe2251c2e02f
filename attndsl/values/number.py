"""Numbers, texts, `none` and references: the values that are not tensors, and the operators on them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, Protocol, Union

from attndsl.addresses import Indices
from attndsl.diagnostics import AttnError, Span, error
from attndsl.graph import Axis, Value
from attndsl.records import Frozen, dataclass, field
from attndsl.sizes import Size, SizeTooLong, at_least_zero
from attndsl.values.operators import BOOLEANS, EITHER, LISTS, NUMBERS, Scalar, Uncomputable, apply, bounded, rule_of

MAX_SIZE_PARTS = 64
"""How many parts the formula of a size may have, written out as a sum of products: terms, symbols, functions."""

MOST_ELEMENTS = 20_000
"""How many values a list may hold."""

MAX_FORMULA = 200
"""How many operators a number may follow by from repeat indices."""


@dataclass(eq=False)
class IndexVariable:
    """The index of a `repeat` while its body is elaborated: the body's int scalar, and the case that is being tried.
    `decisions` collects what was decided by it, each with what it came to, `uses` what becomes a number of each round,
    `rounds` the indices for which they come out
    so, once that is known. Of the cases of one `repeat`, no two have the same `rounds`: they share its `entry`."""

    name: str
    value: Value
    representative: int
    entry: object
    decisions: dict[object, tuple[Formula, Scalar, Span | None]] = field(default_factory=dict)  # by `Formula.key`
    uses: dict[object, tuple[Formula, Span]] = field(default_factory=dict)  # by `Formula.key`
    rounds: Indices | None = None


class Formula(Frozen, eq=False):
    """How a number follows from repeat indices, or from sizes: one of these, a constant, or an operator over
    formulas."""

    operator: str  # "index", "size", "constant", "element", or an operator or function of `attndsl.values.operators`
    operands: tuple[Formula, ...] = ()
    variable: IndexVariable | None = None
    constant: Scalar | None = None
    length: int = 1  # how many operators it has, at least 1
    table: tuple[Scalar, ...] = ()  # of "element", whose operand is a place in it
    size: Size | None = None  # of "size"

    @staticmethod
    def applied(operator: str, *operands: Formula) -> Formula:
        """An operator over formulas."""
        return Formula(operator, operands, length=1 + sum(o.length for o in operands if o.operands))

    @staticmethod
    def element(table: tuple[Scalar, ...], place: Formula) -> Formula:
        """The element of a list at a place that follows from repeat indices."""
        return Formula("element", (place,), length=1 + (place.length if place.operands else 0), table=table)

    def key(self, of: Callable[[IndexVariable], object] = lambda variable: variable) -> object:
        """Equal for formulas that say the same of indices that are the same by `of`."""
        index = None if self.variable is None else of(self.variable)
        return self.operator, index, self.constant, self.table, tuple(o.key(of) for o in self.operands)

    @property
    def variables(self) -> frozenset[IndexVariable]:
        if self.variable is not None:
            return frozenset((self.variable,))
        return frozenset().union(*(o.variables for o in self.operands))

    def value(self, at: Mapping[IndexVariable, int]) -> Scalar:
        if self.variable is not None:
            return at.get(self.variable, self.variable.representative)
        if self.operator == "constant":
            assert self.constant is not None
            return self.constant
        if self.operator == "element":
            place = self.operands[0].value(at)
            if place not in range(len(self.table)):
                raise Uncomputable(f"the index is {place}, and the list has {elements(len(self.table))}")
            return self.table[int(place)]
        return apply(self.operator, *(o.value(at) for o in self.operands))


class Number(Frozen, eq=False):
    """A compile-time number. `value` is None while a size of an input takes part. `size` is its formula where it can
    be a size, `axis` the axis that a plain name stands for, `formula` how it depends on repeat indices (if it does),
    `origin` how it was computed from sizes, where it is none itself."""

    value: Scalar | None
    size: Size | None = None
    axis: Axis | None = None
    formula: Formula | None = None
    is_bool: bool = False
    origin: Formula | None = None

    @staticmethod
    def of(value: Scalar | bool) -> Number:
        if isinstance(value, bool):
            return Number(int(value), is_bool=True)
        exact = isinstance(value, (int, Fraction))
        return Number(value, Size.of(value) if exact else None)  # type: ignore[arg-type]

    def as_origin(self) -> Formula:
        if self.origin is None and self.size is not None and self.size.symbols:
            return Formula("size", constant=self.value, size=self.size)
        return self.origin or Formula("constant", constant=self.value)

    def as_formula(self) -> Formula:
        return self.formula or Formula("constant", constant=self.value)

    def __str__(self) -> str:
        if self.is_bool and self.value is not None:
            return "true" if self.value else "false"
        if self.size is not None and self.size.symbols:
            return str(self.size) if self.value is None else f"{self.size} = {self.value}"
        return str(self.value)


class NumberOfSizes(float):
    """A number that says how it was computed from sizes. Whatever is made of it is a number like any other."""

    origin: Formula

    def __new__(cls, value: float, origin: Formula) -> NumberOfSizes:
        made = super().__new__(cls, value)
        made.origin = origin
        return made


class Text(Frozen, eq=False):
    text: str


class Nothing(Frozen, eq=False):
    """`none`: no mask, no position, no block."""


class Reference(Frozen, eq=False):
    """A block, a mask or another thing of the language, by how it is written; `kind` is what `kind(…)` calls it."""

    text: str
    kind: str = "block"


class List(Frozen, eq=False):
    """`[2, 2, 6]`: values in order; while a model is elaborated, whatever is known at compile time. `axes` is what it
    means where axes are wanted."""

    values: tuple[Any, ...]
    axes: object | None = None
    size: int = 1  # how many values it holds, lists in it counted with what is in them

    @staticmethod
    def of(values: tuple[Any, ...], axes: object | None = None) -> List:
        return List(values, axes, 1 + sum(v.size if isinstance(v, List) else 1 for v in values))

    def bounded(self, span: Span) -> List:
        """The same; E0111 where it holds too much: lists of lists may double with every name."""
        if self.size <= MOST_ELEMENTS:
            return self
        raise error("E0111", f"a list holds at most {MOST_ELEMENTS:,} values, and this would hold {self.size:,}", span)


Plain = Union[Number, Text, Nothing, Reference, List]

CONSTANTS: dict[str, Number | Nothing] = {"none": Nothing(), "pi": Number.of(math.pi), "inf": Number.of(math.inf)}
"""The names that every place knows, beside `true` and `false`."""


class OperandLike(Protocol):
    """A value with where it was written."""

    @property
    def value(self) -> object: ...

    @property
    def span(self) -> Span: ...


def described(value: Plain) -> str:
    """What a value is, in words for a message."""
    if isinstance(value, Number):
        return f"the {'boolean' if value.is_bool else 'number'} `{value}`"
    if isinstance(value, Text):
        return f'the string "{value.text}"' if len(value.text) <= 40 else "a string"
    if isinstance(value, List):
        return f"a list of {elements(len(value.values))}"
    return "`none`" if isinstance(value, Nothing) else f"`{value.text}`"


def elements(count: int) -> str:
    """How many elements there are, in words."""
    return f"{count} element{'s' if count != 1 else ''}"


def kind_of(value: Plain) -> str:
    """The word that `kind(…)` gives."""
    if isinstance(value, Reference):
        return value.kind
    return {Number: "number", Text: "string", Nothing: "none", List: "list"}[type(value)]


def from_python(value: object) -> Plain:
    """A number, boolean, string or list of Python's as a value of the language; None is `none`."""
    if value is None:
        return CONSTANTS["none"]
    if isinstance(value, str):
        return Text(value)
    if isinstance(value, (tuple, list)):
        return List.of(tuple(map(from_python, value)))
    assert isinstance(value, (bool, int, float, Fraction))
    return Number.of(value)


Python = Union[bool, int, float, str, None, "list[Python]"]
"""What JSON can hold of the values of the language."""


def to_python(value: Plain) -> Python:
    """A value as JSON can hold it; None for `none`, or for a number that is not known yet."""
    if isinstance(value, List):
        return [to_python(each) for each in value.values]
    if isinstance(value, Number):
        if value.is_bool and value.value is not None:
            return bool(value.value)
        return float(value.value) if isinstance(value.value, Fraction) else value.value
    return None if isinstance(value, Nothing) else value.text


def written(value: Plain) -> str:
    """A value as the language writes it."""
    if isinstance(value, Text):
        escaped = value.text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
        return f'"{escaped}"'
    if isinstance(value, List):
        return f"[{', '.join(map(written, value.values))}]"
    if isinstance(value, Number):
        return str(to_python(value)).lower() if value.is_bool else str(to_python(value))
    return "none" if isinstance(value, Nothing) else value.text


def to_setting(value: Plain) -> bool | int | float | str:
    """A value as `--set` and `load` take it: a text in quotes, so that it is nothing else."""
    plain = to_python(value) if isinstance(value, Number) else written(value)
    assert isinstance(plain, (bool, int, float, str))
    return plain


def equal(a: Plain, b: Plain) -> bool:
    """Whether two values are the same: numbers by value, things by how they are written, lists element by element; two
    kinds never are."""
    if isinstance(a, List) or isinstance(b, List):
        lists = isinstance(a, List) and isinstance(b, List) and len(a.values) == len(b.values)
        return lists and all(map(equal, a.values, b.values))  # type: ignore[union-attr]
    if isinstance(a, Number) and isinstance(b, Number):
        return a.is_bool == b.is_bool and None not in (a.value, b.value) and bool(apply("==", a.value, b.value))  # type: ignore[arg-type]
    if isinstance(a, Number) or isinstance(b, Number):
        return False
    if isinstance(a, Nothing) or isinstance(b, Nothing):
        return isinstance(a, Nothing) and isinstance(b, Nothing)
    return a.text == b.text


# ---------------------------------------------------------------- operators

SPELLINGS = {"&": "and", "|": "or"}
"""Between booleans these are the same."""

WRITTEN = {"neg": "-"}


def operate(operator: str, span: Span, *operands: OperandLike, mixed: bool = False) -> Number:
    """`operator` (or a function) on compile-time values, written at `span`.

    Raises E0104 where an operand is of another kind than the operator takes, or two kinds are compared (with `mixed`
    they are different then), E0405 where there is no such number, E0404 where it cannot be known at compile time.
    """
    operator = SPELLINGS.get(operator, operator)
    takes = rule_of(operator).takes
    if takes == LISTS:
        return of_list(operator, span, *operands)
    if operator in ("==", "!=") and (equal := _equal(span, *operands, mixed=mixed)) is not None:
        return Number.of(equal == (operator == "=="))
    numbers: list[Number] = []
    for operand in operands:
        value = operand.value
        is_bool = isinstance(value, Number) and value.is_bool
        if not isinstance(value, Number) or (takes != EITHER and is_bool != (takes == BOOLEANS)):
            raise _wrong_kind(operator, takes, operand)
        numbers.append(value)
    return _combine(operator, span, *numbers)


def _equal(span: Span, left: OperandLike, right: OperandLike, *, mixed: bool) -> bool | None:
    """Whether two values that are not both numbers are equal; None where both are."""
    a, b = left.value, right.value
    numbers = isinstance(a, Number), isinstance(b, Number)
    if all(numbers) and a.is_bool == b.is_bool:  # type: ignore[attr-defined]
        return None
    lists = isinstance(a, List), isinstance(b, List)
    apart = any(numbers) or any(lists) != all(lists)
    if not mixed and apart and not isinstance(a, Nothing) and not isinstance(b, Nothing):
        what = f"{described(a)} with {described(b)}"  # type: ignore[arg-type]
        raise error("E0104", f"`{span.text}` compares {what}", span, "never equal")
    return equal(a, b)  # type: ignore[arg-type]


def _wrong_kind(operator: str, takes: str, operand: OperandLike) -> AttnError:
    value = operand.value
    if takes == LISTS:
        what = described(value)  # type: ignore[arg-type]
        return error("E0104", f"`{operator}` takes a list, but this is {what}", operand.span, help="as in `[1, 2, 3]`")
    way = {NUMBERS: "compare it with something, or convert it with `int(…)`", BOOLEANS: "compare it with something"}
    number = "use a number, or a hyperparameter that is one"
    if isinstance(value, Text) and value.text.lower().strip("+-") in ("inf", "infinity"):
        number = f"infinity is written `{'-' * value.text.startswith('-')}inf`"
    return error(
        "E0104",
        f"`{WRITTEN.get(operator, operator)}` takes {takes}, but this is {described(value)}",  # type: ignore[arg-type]
        operand.span,
        help=way.get(takes, ()) if isinstance(value, Number) else number,
    )


def undo(operator: str, place: int, span: Span, result: Number, *others: Number) -> Number:
    """What the operand at `place` is, where `operator` gives `result` and the other operands are `others`. Raises E0628
    where that cannot be told, and why; E0405 where there is no such number."""
    rule = rule_of(operator)
    back = rule.undo[place] if place < len(rule.undo) else None
    if back is None:
        raise error("E0628", f"`{span.text}` cannot be inverted: {rule.lossy}", span)
    values = [number.value for number in (result, *others)]
    assert None not in values
    if rule.takes == NUMBERS and any(number.is_bool for number in (result, *others)):
        raise error("E0104", f"`{WRITTEN.get(operator, operator)}` gives numbers, not `{result}`", span)
    try:
        value = bounded(back, *values)  # type: ignore[arg-type]
    except Uncomputable as problem:
        raise error("E0405", f"`{span.text}` cannot be {result}: {problem}", span) from None
    return Number.of(bool(value) if rule.truth else value)


# ---------------------------------------------------------------- lists


def of_list(operator: str, span: Span, *operands: OperandLike) -> Number:
    """`value in list`, `len(list)`, `sum`, `max` and `min` of a list of numbers. Raises E0104 where it is not one,
    E0405 for the largest of no numbers."""
    *before, operand = operands
    if not isinstance(operand.value, List):
        raise _wrong_kind(operator, LISTS, operand)
    values = operand.value.values
    if operator == "len":
        return Number.of(len(values))
    if operator == "in":
        return _contains(span, before[0].value, values)
    for value in values:
        if not isinstance(value, Number) or value.is_bool:
            what = f"`{operator}` takes a list of numbers, but this one holds {described(value)}"
            raise error("E0104", what, operand.span, help="as in `[1, 2, 3]`")
    if not values and operator != "sum":
        raise error("E0405", f"this number cannot be computed: `{operator}` of a list without elements", span)
    found = values[0] if values else Number.of(0)
    for value in values[1:]:
        found = _combine({"sum": "+", "max": "maximum", "min": "minimum"}[operator], span, found, value)
    return found


def _contains(span: Span, wanted: object, values: tuple[Plain, ...]) -> Number:
    """Whether a value is one of `values`; the index of a repeat may be."""
    found = Number.of(False)
    for value in values:
        if isinstance(wanted, Number) and isinstance(value, Number) and wanted.is_bool == value.is_bool:
            one = _combine("==", span, wanted, value)
        else:
            one = Number.of(equal(wanted, value))  # type: ignore[arg-type]
        found = _combine("or", span, found, one)
    return found


def joined(operator: str, left: object, right: object, span: Span) -> List | None:
    """`[1, 2] + [3]`; None where these are not two lists that are added. Raises E0111 where that is too long."""
    if operator != "+" or not isinstance(left, List) or not isinstance(right, List):
        return None
    return List.of((*left.values, *right.values)).bounded(span)


def place_in(found: List, at: OperandLike, span: Span) -> int:
    """The place that `list[at]` means; E0104 where `at` is not a whole number, E0404 where it is not known yet, E0211
    where the list has no such element."""
    place, count = at.value, len(found.values)
    if not isinstance(place, Number) or place.is_bool or isinstance(place.value, (float, Fraction)):
        what = described(place) if isinstance(place, (Number, Text, Nothing, Reference, List)) else "none"
        raise error("E0104", f"an element of a list is selected by a whole number, but this is {what}", at.span)
    if place.value is None:
        raise error(
            "E0404", f"which element is meant depends on the size of an input: `{place}`", at.span,
            help="an index of a list is a number, or the index of a `repeat`",
        )  # fmt: skip
    if place.value not in range(count):
        which = f"they are counted from 0 to {count - 1}" if count else ()
        raise error("E0211", f"the index is {place.value}, and the list has {elements(count)}", at.span, note=which)
    return int(place.value)


def _combine(operator: str, span: Span, *operands: Number) -> Number:
    """`operator` on compile-time numbers: value, size and formula at once."""
    values = [o.value for o in operands]
    value: Scalar | None = None
    known = [v for v in values if v is not None]
    if len(known) == len(values):
        try:
            value = apply(operator, *known)
        except Uncomputable as problem:
            raise error("E0405", f"this number cannot be computed: {problem}", span) from None
    is_bool = rule_of(operator).truth
    sizes = [_exact(o) if value is None else o.size for o in operands]
    try:
        size = None if is_bool or None in sizes else _size(operator, sizes)  # type: ignore[arg-type]
        if size is not None and size.parts > MAX_SIZE_PARTS:
            raise SizeTooLong(f"it has more than {MAX_SIZE_PARTS} parts")
    except SizeTooLong as problem:
        raise too_long(problem, span) from None
    if value is None and size is None:
        raise error(
            "E0404",
            "this needs a number that is known now, but it depends on the size of an input",
            span,
            help="compute it from hyperparameters, or turn it into a tensor with `float(…)`",
        )
    if size is None and isinstance(value, int) and not is_bool:
        size = Size.of(value)
    formula = None
    if any(o.formula for o in operands):
        formula, size = Formula.applied(operator, *(o.as_formula() for o in operands)), None
        if formula.length > MAX_FORMULA:
            raise error(
                "E0405",
                f"this number follows from repeat indices by more than {MAX_FORMULA} operators",
                span,
                help="make a tensor of it on the way, with `float(…)` or `int(…)` of a tensor, or write it shorter",
            )
    origin = _origin(operator, operands) if size is None and formula is None and not is_bool else None
    return Number(int(value) if is_bool and value is not None else value, size, None, formula, is_bool, origin)


def _origin(operator: str, operands: tuple[Number, ...]) -> Formula | None:
    """How a number that is no size follows from sizes; None where it does not, or by too long a formula."""
    if not any(o.origin or (o.size is not None and o.size.symbols) for o in operands):
        return None
    found = Formula.applied(operator, *(o.as_origin() for o in operands))
    return found if found.length <= MAX_FORMULA else None


def _exact(number: Number) -> Size | None:
    """A number's size, where the size of an input takes part: a decimal is the fraction that is written, so that
    `1.25 * T` is a formula."""
    known = number.value
    if number.size is not None or not isinstance(known, float) or not math.isfinite(known):
        return number.size
    return Size.of(Fraction(repr(known)))


def too_long(problem: SizeTooLong, span: Span) -> AttnError:
    """What is said of a size that cannot be written out."""
    return error(
        "E0209",
        f"this size is too long a formula: {problem}",
        span,
        note="sizes are compared as sums of products, written out in full",
        help="make a part of it a hyperparameter of its own, or the axis of an input",
    )


def _size(operator: str, sizes: list[Size]) -> Size | None:
    if operator == "neg":
        return -sizes[0]
    if len(sizes) == 1:
        return _rounded(operator, sizes[0])
    a, b = sizes
    if operator in ("/", "//", "%") and not b.terms:
        return None
    if operator == "^":
        exponent = b.constant
        small = exponent is not None and exponent.denominator == 1 and abs(exponent) <= 16
        return a ** int(exponent) if small and exponent is not None and (exponent >= 0 or a.terms) else None
    table: dict[str, Callable[[], Size]] = {
        "+": lambda: a + b, "-": lambda: a - b, "*": lambda: a * b, "/": lambda: a / b, "//": lambda: a // b,
        "%": lambda: a % b, "minimum": lambda: a.minimum(b), "maximum": lambda: a.maximum(b),
    }  # fmt: skip
    return table[operator]() if operator in table else None


def rounds(operator: str, number: Number) -> bool:
    """Whether an operator rounds a number whose value is not known yet, and the result is a size."""
    return number.value is None and number.size is not None and _rounded(operator, number.size) is not None


def _rounded(operator: str, size: Size) -> Size | None:
    """A size as a whole number; None where the rounding has no formula."""
    if size.is_whole and operator in ("int", "floor", "ceil", "round"):
        return size
    if operator == "floor" or (operator == "int" and at_least_zero(size)):
        return size // 1
    return -(-size // 1) if operator == "ceil" else None
