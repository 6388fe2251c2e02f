"""The values of a `train` section: numbers, words, hyperparameters, arithmetic, pairs, and calls with options."""

from __future__ import annotations

import operator
from collections.abc import Mapping

from attndsl.diagnostics import Span, error
from attndsl.records import dataclass, field
from attndsl.syntax import tree

_ARITHMETIC = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}
_LARGEST_EXPONENT = 512  # beyond it no number fits a float, and a whole one only costs time


@dataclass(frozen=True, slots=True)
class Written:
    """A value with the place it stands at. `value` is the number, boolean, text or tuple; `word` the name as written
    (`adamw`, `bytes`), also of a call, whose arguments are `positional` and `named`."""

    word: str
    value: object
    span: Span | None = None
    positional: tuple[Written, ...] = ()
    named: Mapping[str, Written] = field(default_factory=dict)


def evaluate(node: tree.Tree, names: Mapping[str, object]) -> Written:
    """The value of an expression of a `train` section. A name is the hyperparameter if there is one, else a word.
    Raises E0721 for what has no place here (tensors, blocks, pipelines)."""
    if isinstance(node, (tree.Number, tree.Boolean)):
        return Written("", node.value, node.span)
    if isinstance(node, tree.String):
        return Written(node.value, node.value, node.span)
    if isinstance(node, tree.Name):
        return Written(node.text, names.get(node.text, node.text), node.span)
    if isinstance(node, tree.Call) and isinstance(node.callee, tree.Name):
        values = [(argument.name, evaluate(argument.value, names)) for argument in node.arguments]
        return Written(
            node.callee.text,
            None,
            node.span,
            tuple(value for name, value in values if name is None),
            {name.text: value for name, value in values if name is not None},
        )
    if isinstance(node, tree.Tuple):
        return Written("", tuple(evaluate(item, names).value for item in node.values), node.span)
    if isinstance(node, tree.Unary) and node.operator == "-":
        return Written("", -_number(node.operand, names), node.span)
    if isinstance(node, tree.Chain) and all(sign.text == "|" for sign in node.operators):
        return Written("", tuple(evaluate(operand, names).value for operand in node.operands), node.span)
    if isinstance(node, tree.Chain):
        return Written("", _chain(node, names), node.span)
    raise error(
        "E0721", "a training setting is a number, a word or a call with options", node.span,
        help="arithmetic on numbers and on the model's hyperparameters is allowed too",
    )  # fmt: skip


def _number(node: tree.Tree, names: Mapping[str, object]) -> int | float:
    value = evaluate(node, names).value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise error(
            "E0721", "arithmetic needs numbers here", node.span, help="use a number or a hyperparameter of the model"
        )
    return value


def _chain(node: tree.Chain, names: Mapping[str, object]) -> int | float:
    result = _number(node.operands[0], names)
    for sign, operand in zip(node.operators, node.operands[1:], strict=True):
        right = _number(operand, names)
        try:
            if sign.text == "^":
                if abs(right) > _LARGEST_EXPONENT:
                    raise OverflowError
                result = float(result) ** right if isinstance(right, float) or right < 0 else result**right
            elif sign.text in _ARITHMETIC:
                exact = (
                    sign.text == "/"
                    and isinstance(result, int)
                    and isinstance(right, int)
                    and right
                    and result % right == 0
                )
                result = result // right if exact else _ARITHMETIC[sign.text](result, right)
            else:
                raise error(
                    "E0721", f"`{sign.text}` has no place in a training setting", sign.span, help="use + - * / // % ^"
                )
        except (ArithmeticError, TypeError):
            raise error(
                "E0721", "this cannot be computed", node.span, help="check for a division by zero or a huge power"
            ) from None
        if isinstance(result, complex):
            raise error("E0721", "this is not a real number", node.span, help="check the base of the power")
    return result
