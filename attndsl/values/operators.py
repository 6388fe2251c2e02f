"""The operators and functions of the language on numbers: what each takes and gives, and how it is undone.

Whole numbers and fractions are exact, so `1 / 49 * 49` is 1; a float among the operands makes the result one. No result
has more digits than a float could hold, and none is infinite or not a number where its operands are not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Union

from attndsl.records import Frozen

Scalar = Union[int, float, Fraction]
"""A number, or a boolean as 0 or 1."""

LARGEST_BITS = 1024
"""How long the numerator and the denominator of an exact number may be: as long as the largest float."""

NUMBERS, BOOLEANS, EITHER, LISTS = "numbers", "booleans", "numbers and booleans", "lists"


class Uncomputable(ValueError):
    """There is no such number; the text says why."""


class Operator(Frozen):
    """`takes`: what the operands are. `truth`: whether the result is true or false. `undo[i]` gives operand i from the
    result and the other operands; None where it cannot, and `lossy` says why."""

    compute: Callable[..., Scalar]
    operands: int = 2
    takes: str = NUMBERS
    truth: bool = False
    undo: tuple[Callable[..., Scalar] | None, ...] = ()
    lossy: str = "different numbers have the same result"


def _divide(a: Scalar, b: Scalar) -> Scalar:
    return a / b if isinstance(a, float) or isinstance(b, float) else Fraction(a) / Fraction(b)


def _power(a: Scalar, b: Scalar) -> Scalar:
    if not isinstance(b, int) or isinstance(a, float):
        power: Scalar = float(a) ** float(b)  # of a negative base it may be complex, which `bounded` refuses
        return power
    exact = Fraction(a)
    bits = max(exact.numerator.bit_length(), exact.denominator.bit_length())
    if (bits - 1) * abs(b) > LARGEST_BITS:
        raise OverflowError
    return exact**b


def _root(a: Scalar, b: Scalar) -> Scalar:
    """The number of which the `b`-th power is `a`, exact where there is one."""
    if a == 0:
        return 0
    root = apply("^", float(a), apply("/", 1, float(b)))
    whole = round(root)
    return whole if isinstance(b, int) and apply("^", whole, b) == a else root


def _sigmoid(a: Scalar) -> float:
    return 1 / (1 + math.exp(-a)) if a >= 0 else math.exp(a) / (1 + math.exp(a))


def _of_list(*operands: Scalar) -> Scalar:
    """A list holds more than numbers: `attndsl.values.number` computes what is said of one."""
    raise NotImplementedError


OPERATORS: dict[str, Operator] = {
    "+": Operator(lambda a, b: a + b, undo=(lambda r, b: r - b, lambda r, a: r - a)),
    "-": Operator(lambda a, b: a - b, undo=(lambda r, b: r + b, lambda r, a: a - r)),
    "*": Operator(lambda a, b: a * b, takes=EITHER, undo=(_divide, _divide)),
    "/": Operator(_divide, undo=(lambda r, b: r * b, lambda r, a: _divide(a, r))),
    "//": Operator(lambda a, b: a // b),
    "%": Operator(lambda a, b: a % b),
    "^": Operator(_power, undo=(_root, None), lossy="an exponent has no inverse here"),
    "==": Operator(lambda a, b: a == b, truth=True, takes=EITHER),
    "!=": Operator(lambda a, b: a != b, truth=True, takes=EITHER),
    "<": Operator(lambda a, b: a < b, truth=True),
    "<=": Operator(lambda a, b: a <= b, truth=True),
    ">": Operator(lambda a, b: a > b, truth=True),
    ">=": Operator(lambda a, b: a >= b, truth=True),
    "in": Operator(_of_list, takes=LISTS, truth=True, lossy="a list has other elements"),
    "and": Operator(lambda a, b: bool(a and b), takes=BOOLEANS, truth=True),
    "or": Operator(lambda a, b: bool(a or b), takes=BOOLEANS, truth=True),
    "neg": Operator(lambda a: -a, 1, undo=(lambda r: -r,)),
    "not": Operator(lambda a: not a, 1, BOOLEANS, True, (lambda r: not r,)),
}
"""`neg` is the minus before a number. `&` and `|` are `and` and `or`."""

FUNCTIONS: dict[str, Operator] = {
    "sqrt": Operator(math.sqrt, 1, undo=(lambda r: r * r,)),
    "rsqrt": Operator(lambda a: 1 / math.sqrt(a), 1, undo=(lambda r: _divide(1, r * r),)),
    "exp": Operator(math.exp, 1, undo=(math.log,)),
    "log": Operator(math.log, 1, undo=(math.exp,)),
    "sin": Operator(math.sin, 1),
    "cos": Operator(math.cos, 1),
    "tanh": Operator(math.tanh, 1),
    "erf": Operator(math.erf, 1),
    "sigmoid": Operator(_sigmoid, 1),
    "abs": Operator(abs, 1),
    "sign": Operator(lambda a: (a > 0) - (a < 0), 1),
    "floor": Operator(math.floor, 1),
    "ceil": Operator(math.ceil, 1),
    "round": Operator(round, 1),
    "minimum": Operator(min),
    "maximum": Operator(max),
    **{name: Operator(float, 1, EITHER, undo=(lambda r: r,)) for name in ("float", "float32")},
    "int": Operator(int, 1, EITHER),
    "bool": Operator(bool, 1, EITHER, True),
    **{name: Operator(_of_list, 1, LISTS, lossy="different lists have it") for name in ("len", "sum", "max", "min")},
}


def rule_of(operator: str) -> Operator:
    return OPERATORS.get(operator) or FUNCTIONS[operator]


def apply(operator: str, *operands: Scalar) -> Scalar:
    """An operator or function on plain numbers, whole fractions made whole numbers again. Raises `Uncomputable`."""
    return bounded(rule_of(operator).compute, *operands)


def bounded(compute: Callable[..., Scalar], *operands: Scalar) -> Scalar:
    """What `compute` gives for these operands, within the bounds of this module. Raises `Uncomputable`."""
    if any(isinstance(operand, float) for operand in operands):
        operands = tuple(float(o) if isinstance(o, Fraction) else o for o in operands)
    try:
        result: Scalar | complex = compute(*operands)
    except ZeroDivisionError:
        raise Uncomputable("division by zero") from None
    except OverflowError:
        raise Uncomputable("it is too large") from None
    except ValueError:
        raise Uncomputable("it is not a real number") from None
    if isinstance(result, complex) or result != result:
        raise Uncomputable("it is not a real number")
    if isinstance(result, float):
        if math.isinf(result) and not any(isinstance(o, float) and math.isinf(o) for o in operands):
            raise Uncomputable("it is too large")
    elif max(result.numerator.bit_length(), result.denominator.bit_length()) > LARGEST_BITS:
        raise Uncomputable("it is too large")
    elif isinstance(result, Fraction) and result.denominator == 1:
        return result.numerator
    return result
