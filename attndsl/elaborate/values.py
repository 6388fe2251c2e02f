"""What an expression can be at compile time, besides a tensor (`attndsl.graph.Value`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Union

from attndsl.diagnostics import Span, error
from attndsl.graph import Axis, Initializer, Type, Value
from attndsl.sizes import Size
from attndsl.syntax import tree

if TYPE_CHECKING:
    from attndsl.elaborate.files import FileScope
    from attndsl.elaborate.frames import Frame

Scalar = Union[int, float, Fraction]  # a bool is an int here, and `Number.is_bool` says so


@dataclass(frozen=True, slots=True, eq=False)
class IndexVariable:
    """The index of a `repeat` while its body is elaborated: the body's int scalar, and the case that is being tried.
    `decisions` collects the conditions on it and how each came out."""

    name: str
    value: Value
    representative: int
    decisions: list[tuple[Formula, bool]]


@dataclass(frozen=True, slots=True, eq=False)
class Formula:
    """How a number follows from repeat indices: an index, a constant, or an operator over formulas."""

    operator: str  # "index", "constant", or a key of `OPERATORS` / `FUNCTIONS`
    operands: tuple[Formula, ...] = ()
    variable: IndexVariable | None = None
    constant: Scalar | None = None

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
        return apply(self.operator, *(o.value(at) for o in self.operands))


@dataclass(frozen=True, slots=True, eq=False)
class Number:
    """A compile-time number. `value` is None while a size of an input takes part. `size` is its formula where it can
    be a size, `axis` the axis that a plain name stands for, `formula` how it depends on repeat indices (if it does)."""

    value: Scalar | None
    size: Size | None = None
    axis: Axis | None = None
    formula: Formula | None = None
    is_bool: bool = False

    @staticmethod
    def of(value: Scalar | bool) -> Number:
        if isinstance(value, bool):
            return Number(int(value), is_bool=True)
        exact = isinstance(value, (int, Fraction))
        return Number(value, Size.of(value) if exact else None)  # type: ignore[arg-type]

    def as_formula(self) -> Formula:
        return self.formula or Formula("constant", constant=self.value)

    def __str__(self) -> str:
        if self.is_bool and self.value is not None:
            return "true" if self.value else "false"
        if self.size is not None and self.size.symbols:
            return str(self.size) if self.value is None else f"{self.size} = {self.value}"
        return str(self.value)


def _power(a: Scalar, b: Scalar) -> Scalar:
    if isinstance(b, int) and isinstance(a, (int, Fraction)) and abs(b) < 4096:
        return Fraction(a) ** b
    return float(a) ** float(b)


OPERATORS: dict[str, Callable[[Scalar, Scalar], Scalar]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: Fraction(a) / Fraction(b) if not isinstance(a, float) and not isinstance(b, float) else a / b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
    "^": _power,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "and": lambda a, b: bool(a and b),
    "or": lambda a, b: bool(a or b),
}

FUNCTIONS: dict[str, Callable[..., Scalar]] = {
    "neg": lambda a: -a,
    "not": lambda a: not a,
    "sqrt": lambda a: math.sqrt(a),
    "rsqrt": lambda a: 1 / math.sqrt(a),
    "exp": lambda a: math.exp(a),
    "log": lambda a: math.log(a),
    "sin": lambda a: math.sin(a),
    "cos": lambda a: math.cos(a),
    "tanh": lambda a: math.tanh(a),
    "abs": lambda a: abs(a),
    "floor": lambda a: math.floor(a),
    "ceil": lambda a: math.ceil(a),
    "round": lambda a: round(a),
    "minimum": lambda a, b: min(a, b),
    "maximum": lambda a, b: max(a, b),
    "float": lambda a: float(a),
    "int": lambda a: int(a),
}


def apply(operator: str, *operands: Scalar) -> Scalar:
    """An operator or function on plain numbers, whole fractions made integers again."""
    result = (OPERATORS.get(operator) or FUNCTIONS[operator])(*operands)
    if isinstance(result, Fraction) and result.denominator == 1:
        return result.numerator
    return result


_COMPARISONS = {"==", "!=", "<", "<=", ">", ">=", "and", "or", "not"}


def combine(operator: str, span: Span, *operands: Number) -> Number:
    """`operator` on compile-time numbers: value, size and formula at once."""
    values = [o.value for o in operands]
    value: Scalar | None = None
    known = [v for v in values if v is not None]
    if len(known) == len(values):
        try:
            value = apply(operator, *known)
        except ZeroDivisionError:
            raise error("E0405", "division by zero", span, "the divisor is 0") from None
        except (OverflowError, ValueError) as problem:
            raise error("E0405", f"this number cannot be computed: {problem}", span) from None
        if isinstance(value, complex) or (isinstance(value, float) and value != value):
            raise error("E0405", "this number is not real", span)
    is_bool = operator in _COMPARISONS
    sizes = [o.size for o in operands]
    size = None if is_bool or None in sizes else _size(operator, sizes)  # type: ignore[arg-type]
    if value is None and size is None:
        raise error(
            "E0404",
            "this needs a number that is known now, but it depends on the size of an input",
            span,
            help="compute it from hyperparameters, or turn it into a tensor with `float(…)`",
        )
    formula = None
    if any(o.formula for o in operands):
        formula, size = Formula(operator, tuple(o.as_formula() for o in operands)), None
    return Number(value, size, None, formula, is_bool)


def _size(operator: str, sizes: list[Size]) -> Size | None:
    if operator == "neg":
        return -sizes[0]
    if len(sizes) == 1:
        return None
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


# ---------------------------------------------------------------- other values


@dataclass(frozen=True, slots=True, eq=False)
class Text:
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Nothing:
    """`none`: no mask, no position, no block."""


@dataclass(frozen=True, slots=True, eq=False)
class Primitive:
    """A primitive of the language by name (`attndsl.elaborate.primitives`), perhaps with arguments given already."""

    name: str
    positional: tuple[Argument, ...] = ()
    keywords: Mapping[str, Argument] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class BlockValue:
    """A block, perhaps with some of its hyperparameters given already; `label` is what `as` said of it."""

    block: tree.Block
    scope: FileScope
    settings: Mapping[str, Compile] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A block at an address: applying it again shares its parameters."""

    callee: BlockValue
    path: str
    span: Span
    applied: list[bool] = field(default_factory=list)  # empty until it has been applied once
    owner: object = None  # the frame in which it was made


@dataclass(frozen=True, slots=True, eq=False)
class IndexFunctionValue:
    """A mask or bias: a declaration with its captures, or an algebraic combination (`operator`) of others."""

    kind: str  # "mask" or "bias"
    declaration: tree.IndexFunction | None = None
    scope: FileScope | None = None
    captures: Mapping[str, Compile] = field(default_factory=dict)
    path: str = ""
    operator: str = ""
    operands: tuple[IndexFunctionValue | Number | Value, ...] = ()
    span: Span | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Several:
    """The results of a call that gives more than one."""

    values: tuple[Compile, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Axes:
    """An axis list as an argument, unresolved: whose axes it means depends on the primitive that takes it."""

    terms: tuple[tree.AxisTerm, ...]
    frame: Frame
    single: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class ArrowValue:
    """`[D] -> [heads, head]`, unresolved."""

    source: Axes
    target: Axes
    span: Span


Compile = Union[
    Number,
    Text,
    Nothing,
    Primitive,
    BlockValue,
    Layer,
    IndexFunctionValue,
    Initializer,
    Several,
    Axes,
    ArrowValue,
    Value,
]


@dataclass(frozen=True, slots=True, eq=False)
class Argument:
    """A value with where it was written."""

    value: Compile
    span: Span
    expression: tree.Expr | None = None

    @property
    def tensor(self) -> Value:
        """The value, which is known to be a tensor."""
        assert isinstance(self.value, Value)
        return self.value

    @property
    def type(self) -> Type:
        """The type of a tensor."""
        return self.tensor.type


def describe(value: Compile) -> str:
    """What a value is, in words for a message."""
    if isinstance(value, Value):
        return f"a tensor {value.type}"
    if isinstance(value, Number):
        return f"the {'truth value' if value.is_bool else 'number'} `{value}`"
    if isinstance(value, IndexFunctionValue):
        return f"a {value.kind}"
    if isinstance(value, (BlockValue, Primitive)):
        return f"the block `{name_of(value)}`"
    if isinstance(value, Layer):
        return f"the layer `{value.path}`"
    if isinstance(value, Initializer):
        return f"the initialiser `{value}`"
    if isinstance(value, Several):
        return f"{len(value.values)} results"
    return {Text: "a text", Nothing: "`none`"}.get(type(value), "a list of axes")


def name_of(value: BlockValue | Primitive) -> str:
    return value.name if isinstance(value, Primitive) else value.block.name.text


def kind_of(value: Compile) -> str:
    """The word that `kind(…)` gives: what sort of position, mask or block an argument is."""
    if isinstance(value, Nothing):
        return "none"
    if isinstance(value, IndexFunctionValue):
        return value.kind
    if isinstance(value, BlockValue):
        return "rotation" if len(value.block.tensors) == 1 else "score"
    if isinstance(value, (Primitive, Layer)):
        return "block"
    if isinstance(value, Initializer):
        return "initializer"
    return "number" if isinstance(value, Number) else "text" if isinstance(value, Text) else "tensor"


def with_axis(number: Number, axis: Axis) -> Number:
    return replace(number, axis=axis)
