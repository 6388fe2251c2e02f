"""Expressions of published configuration keys, and their values.

A name is a key, a dotted name a key inside a key (`rope_scaling.factor`); `key or value` is the key's value, or the
other one where the file lacks the key or says null; `choose(key, "a" -> b, …)` is what a table says of the key's value,
`count(key)` how many entries a table or list has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from attndsl.diagnostics import AttnError, Span, error
from attndsl.syntax import tree
from attndsl.weights.choices import ABSENT, Choice, choice_of, counted

Lookup = Callable[[str], Any]
"""The value of a key; None where it is absent."""


class Unknown(Exception):
    """A key is absent (`key`), and the expression says nothing about that case."""

    def __init__(self, key: str, span: Span) -> None:
        super().__init__(key)
        self.key, self.span = key, span


def key_of(expression: tree.Expr) -> str | None:
    """`n_embd`, `rope_scaling.factor`; None where the expression is not a single key."""
    if isinstance(expression, tree.Name) and expression.text != ABSENT:
        return expression.text
    if isinstance(expression, tree.Attribute):
        base = key_of(expression.base)
        return None if base is None else f"{base}.{expression.name.text}"
    return None


def keys_in(expression: tree.Expr) -> Iterator[str]:
    key = key_of(expression)
    if key is not None:
        yield key
    elif isinstance(expression, tree.Chain):
        for operand in expression.operands:
            yield from keys_in(operand)
    elif isinstance(expression, tree.Unary):
        yield from keys_in(expression.operand)
    elif isinstance(expression, tree.Conditional):
        for part in (expression.then, expression.condition, expression.otherwise):
            yield from keys_in(part)
    elif (choice := choice_of(expression)) is not None:
        yield from keys_in(choice.subject)
    elif (table := counted(expression)) is not None:
        yield from keys_in(table)


def operators_of(expression: tree.Expr) -> set[str]:
    return {o.text for o in expression.operators} if isinstance(expression, tree.Chain) else set()


def _unsupported(expression: tree.Expr) -> AttnError:
    return error(
        "E0628",
        f"`{expression.span.text}` is not what a configuration can say",
        expression.span,
        help="use published keys, numbers, texts, `+ - * / // %`, comparisons, `and`, `or`, `not`, `… if … else …`, "
        '`choose(key, "text" -> value, …)` and `count(key)`',
    )


def check_expression(expression: tree.Expr) -> None:
    """E0628 where an expression has parts that `evaluate` does not know."""
    if key_of(expression) is not None or isinstance(expression, (tree.Number, tree.Boolean, tree.String)):
        return
    if isinstance(expression, tree.Chain) and operators_of(expression) <= _BINARY.keys() | {"and", "or"}:
        parts: tuple[tree.Expr, ...] = expression.operands
    elif isinstance(expression, tree.Unary):
        parts = (expression.operand,)
    elif isinstance(expression, tree.Conditional):
        parts = (expression.then, expression.condition, expression.otherwise)
    elif (choice := choice_of(expression)) is not None:
        if subject_key(choice) is None:
            raise error(
                "E0632",
                f"`{choice.subject.span.text}` is no published key",
                choice.subject.span,
                help='`choose` takes a key, or a key with a default: `choose(hidden_act or "gelu", …)`',
            )
        parts = (choice.subject,)
    elif (table := counted(expression)) is not None:
        if key_of(table) is None:
            raise error("E0632", f"`{table.span.text}` is no published key", table.span, help="`count(id2label) or 2`")
        parts = (table,)
    else:
        raise _unsupported(expression)
    for part in parts:
        check_expression(part)


def subject_key(choice: Choice) -> str | None:
    """The key that a table is about: `key`, or that of `key or default`; None where it is about something else."""
    subject = choice.subject
    if isinstance(subject, tree.Chain) and operators_of(subject) == {"or"} and not set(keys_in(subject.operands[-1])):
        subject = subject.operands[0]
    return key_of(subject)


def equal(a: Any, b: Any) -> bool:
    """Numbers by value, but true is not 1; a list of one counts as what is in it."""
    if isinstance(a, list) and len(a) == 1 and not isinstance(b, list):
        a = a[0]
    return isinstance(a, bool) == isinstance(b, bool) and bool(a == b)


def _divide(a: Any, b: Any) -> Any:
    return a // b if isinstance(a, int) and isinstance(b, int) and a % b == 0 else a / b


_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "==": equal,
    "!=": lambda a, b: not equal(a, b),
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _divide,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
}
COMPARISONS = {"==", "!=", "<", "<=", ">", ">="}


def evaluate(expression: tree.Expr, lookup: Lookup) -> Any:
    """The value of an expression of keys; `Unknown` where a key that it needs is absent."""
    key = key_of(expression)
    if key is not None:
        value = lookup(key)
        if value is None:
            raise Unknown(key, expression.span)
        return value
    if isinstance(expression, (tree.Number, tree.Boolean, tree.String)):
        return expression.value
    if isinstance(expression, tree.Name):
        raise Unknown(ABSENT, expression.span)
    if isinstance(expression, tree.Conditional):
        return evaluate(expression.then if evaluate(expression.condition, lookup) else expression.otherwise, lookup)
    if isinstance(expression, tree.Unary):
        value = evaluate(expression.operand, lookup)
        return not value if expression.operator == "not" else calculate(expression, "-", 0, value)
    if (choice := choice_of(expression)) is not None:
        return _chosen(choice, lookup)
    if (table := counted(expression)) is not None:
        value = evaluate(table, lookup)
        if not isinstance(value, (dict, list)):
            raise error("E0616", f"`{table.span.text}` is {shown(value)}, which has no entries to count", table.span)
        return len(value)
    if not isinstance(expression, tree.Chain):
        raise _unsupported(expression)
    if operators_of(expression) == {"or"}:
        return _either(expression, lookup)
    if operators_of(expression) == {"and"}:
        return all(evaluate(operand, lookup) for operand in expression.operands)
    total = evaluate(expression.operands[0], lookup)
    for operator, operand in zip(expression.operators, expression.operands[1:], strict=True):
        total = calculate(expression, operator.text, total, evaluate(operand, lookup))
    return total


def _chosen(choice: Choice, lookup: Lookup) -> Any:
    """What the table says of the key's value: E0614 where it has no row for it."""
    published: Any
    try:
        published = evaluate(choice.subject, lookup)
    except Unknown:
        absent = choice.row_of(None)
        if absent is None:
            raise
        return absent.value
    if isinstance(published, list) and len(published) == 1:
        published = published[0]
    row = choice.row_of(published) if isinstance(published, (bool, int, float, str)) else None
    if row is None:
        key = subject_key(choice) or choice.subject.span.text
        raise error(
            "E0614",
            f"the published {key} is {shown(published)}, for which the spec has no row",
            choice.span,
            note=f"it has {choice.allowed}",
        )
    return row.value


def _either(chain: tree.Chain, lookup: Lookup) -> Any:
    """Between conditions the first that holds; between values the first whose keys are there."""
    missing: Unknown | None = None
    result: Any = None
    for operand in chain.operands:
        try:
            result = evaluate(operand, lookup)
        except Unknown as unknown:
            missing = missing or unknown
            continue
        if result is not False or not _is_condition(operand):
            return result
    if result is None and missing is not None:
        raise missing
    return result


def _is_condition(expression: tree.Expr) -> bool:
    if isinstance(expression, tree.Unary):
        return expression.operator == "not"
    return bool(operators_of(expression) & (COMPARISONS | {"and"}))


def calculate(whole: tree.Expr, operator: str, a: Any, b: Any) -> Any:
    if operator not in ("==", "!="):
        for value in (a, b):
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise error(
                    "E0616", f"`{whole.span.text}` calculates with {shown(value)}, which is no number", whole.span
                )
    try:
        return _BINARY[operator](a, b)
    except (ZeroDivisionError, OverflowError):
        raise error(
            "E0616", f"`{whole.span.text}` has no value", whole.span, note=f"{shown(a)} {operator} {shown(b)}"
        ) from None


def shown(value: Any) -> str:
    try:
        text = str(value).lower() if isinstance(value, bool) else repr(value)
    except ValueError:  # an integer of thousands of digits
        text = "a number without end"
    return text if len(text) <= 60 else text[:57] + "…"


def lookup_in(config: Mapping[str, Any]) -> Lookup:
    def lookup(key: str) -> Any:
        value: Any = config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value

    return lookup
