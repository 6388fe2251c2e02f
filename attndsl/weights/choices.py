"""`choose(hidden_act, "gelu" -> gelu, "gelu_new" -> gelu_tanh)`: a table between a published key's values and a
hyperparameter's, read from left to right and written from right to left (the first row that fits).

On the left stand texts, numbers, booleans and `absent`; on the right also `none` and names of blocks.
"""

from __future__ import annotations

from collections.abc import Iterator

from attndsl.diagnostics import AttnError, Label, Span, error
from attndsl.records import Frozen
from attndsl.syntax import tree
from attndsl.values import CONSTANTS, Number, Plain, Reference, Text, equal, written

CHOOSE, COUNT, HAS, ABSENT = "choose", "count", "has", "absent"


class Row(Frozen):
    """`published` is None where the row is for a key that is absent. `node` is the value as it is written."""

    published: Plain | None
    value: Plain
    span: Span
    node: tree.Expr

    @property
    def shown(self) -> str:
        """The published value as the spec writes it."""
        return ABSENT if self.published is None else written(self.published)

    @property
    def bucket(self) -> object:
        """Alike for rows of one published value, so that a table is not searched row by row."""
        if isinstance(self.published, Number) and self.published.value is not None:
            return float(self.published.value)
        return self.shown

    def reads(self, published: Plain | None) -> bool:
        """Whether the row is the one for this value of the key."""
        if self.published is None or published is None:
            return self.published is published
        return equal(self.published, published)


class Choice(Frozen):
    """`subject` is the key, or `key or default`."""

    subject: tree.Expr
    rows: tuple[Row, ...]
    span: Span

    def row_of(self, published: Plain | None) -> Row | None:
        return next((row for row in self.rows if row.reads(published)), None)

    def rows_for(self, value: Plain) -> Iterator[Row]:
        return (row for row in self.rows if equal(row.value, value))

    @property
    def allowed(self) -> str:
        return ", ".join(row.shown for row in self.rows)


def is_call_of(expression: tree.Expr, name: str) -> bool:
    return (
        isinstance(expression, tree.Call)
        and isinstance(expression.callee, tree.Name)
        and expression.callee.text == name
    )


def counted(expression: tree.Expr) -> tree.Expr | None:
    """What `count(…)` counts the entries of; None where the expression is no such call."""
    if not is_call_of(expression, COUNT):
        return None
    assert isinstance(expression, tree.Call)
    if len(expression.arguments) != 1 or expression.arguments[0].name is not None:
        raise error("E0632", "`count` takes one published key", expression.span, help="`count(id2label) or 2`")
    return expression.arguments[0].value


def tensor_named(expression: tree.Expr) -> str | None:
    """The name that `has("…")` asks the file's tensors for; None where the expression is no such call."""
    if not is_call_of(expression, HAS):
        return None
    assert isinstance(expression, tree.Call)
    name = expression.arguments[0].value if len(expression.arguments) == 1 else None
    if not isinstance(name, tree.String) or expression.arguments[0].name is not None:
        raise error(
            "E0632", "`has` takes the name of one published tensor", expression.span, help='`not has("lm_head.weight")`'
        )
    return name.value


def asks_tensors(expression: tree.Expr) -> bool:
    """Whether an expression depends on which tensors a file has."""
    return any(isinstance(node, tree.Call) and is_call_of(node, HAS) for node in tree.walk(expression))


def choice_of(expression: tree.Expr) -> Choice | None:
    """The table that `choose(…)` writes, or None where the expression is no such call; E0632 where it is not a table,
    or gives a published value twice."""
    if not is_call_of(expression, CHOOSE):
        return None
    assert isinstance(expression, tree.Call)
    subject, *rest = expression.arguments or (None,)
    if subject is None or subject.name is not None or isinstance(subject.value, tree.Arrow) or not rest:
        raise _no_table(expression.span, "`choose` takes a published key, then what each of its values means")
    rows: list[Row] = []
    buckets: dict[object, list[Row]] = {}
    for argument in rest:
        row = _row(argument)
        for other in (alike := buckets.setdefault(row.bucket, [])):
            if row.reads(other.published):
                raise error(
                    "E0632",
                    f"{row.shown} is in the table twice",
                    row.span,
                    other=Label(other.span, "this row is the one that is read"),
                )
        alike.append(row)
        rows.append(row)
    return Choice(subject.value, tuple(rows), expression.span)


def _row(argument: tree.Argument) -> Row:
    arrow = argument.value
    if argument.name is not None or not isinstance(arrow, tree.Arrow):
        raise _no_table(argument.span, f"`{argument.span.text}` is not a row of a table")
    sides = []
    for side in (arrow.source, arrow.target):
        bare = len(side.terms) == 1 and side.terms[0].span == side.span  # `x`, where `[x]` is a list of axes
        node = side.terms[0].size if bare else None
        value = _plain(node) if node is not None else None
        if node is None or value is None:
            raise _no_table(side.span, f"`{side.span.text}` is neither a string, a number, a boolean nor a name")
        sides.append((node, value))
    (left, published), (right, value) = sides
    if isinstance(left, tree.Name) and left.text != ABSENT:
        raise error(
            "E0632",
            f"`{left.text}` is not a published value",
            left.span,
            help=f'a string goes in quotes: `"{left.text}"`; a missing key is `{ABSENT}`',
        )
    return Row(None if isinstance(left, tree.Name) else published, value, argument.span, right)


def _plain(node: tree.Expr) -> Plain | None:
    if isinstance(node, (tree.Number, tree.Boolean)):
        return Number.of(node.value)
    if isinstance(node, tree.String):
        return Text(node.value)
    if isinstance(node, tree.Name):
        return CONSTANTS.get(node.text) or Reference(node.text)
    if isinstance(node, tree.Unary) and node.operator == "-" and isinstance(node.operand, tree.Number):
        return Number.of(-node.operand.value)
    return None


def _no_table(span: Span, message: str) -> AttnError:
    return error("E0632", message, span, help='as in `choose(hidden_act, "gelu" -> gelu, "gelu_new" -> gelu_tanh)`')
