"""Expressions of published configuration keys, and their values.

A name is a key, a dotted name a key inside a key (`rope_scaling.factor`); `key or value` is the key's value, or the
other one where the file lacks the key or says null; `choose(key, "a" -> b, …)` is what a table says of the key's value,
`count(key)` how many entries a table or list has; `has("lm_head.weight")` is whether the weights have that tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from attndsl.diagnostics import AttnError, error
from attndsl.syntax import tree
from attndsl.values import CONSTANTS, Absent, Evaluator, List, Number, Plain, Reference, from_python
from attndsl.weights.choices import ABSENT, Choice, choice_of, counted, tensor_named

ARCHITECTURES = "architectures"
"""A key whose value is a list of one text, compared and written as if it were the text."""

Lookup = Callable[[str], Any]
"""The value of a key as JSON has it; None where it is absent."""


def key_of(expression: tree.Tree) -> str | None:
    """`n_embd`, `rope_scaling.factor`; None where the expression is not a single key."""
    if isinstance(expression, tree.Name) and expression.text != ABSENT and expression.text not in CONSTANTS:
        return expression.text
    if isinstance(expression, tree.Attribute):
        base = key_of(expression.base)
        return None if base is None else f"{base}.{expression.name.text}"
    return None


def keys_in(expression: tree.Tree) -> Iterator[str]:
    """The keys of which an expression speaks; the rows of a table have none."""
    key = key_of(expression)
    if key is not None:
        yield key
        return
    called = expression.callee if isinstance(expression, tree.Call) else None
    for part in tree.children(expression):
        if part is not called and not isinstance(part, tree.Arrow):
            yield from keys_in(part)


def operators_of(expression: tree.Expr) -> set[str]:
    return {o.text for o in expression.operators} if isinstance(expression, tree.Chain) else set()


def is_source(expression: tree.Expr) -> bool:
    """Whether `… or default` may stand behind it: a key, a table, a count."""
    return key_of(expression) is not None or choice_of(expression) is not None or counted(expression) is not None


def subject_key(choice: Choice) -> str | None:
    """The key that a table is about: `key`, or the first of `key or older_key or default`; None where it is about
    something else."""
    subject = choice.subject
    if isinstance(subject, tree.Chain) and operators_of(subject) == {"or"} and not set(keys_in(subject.operands[-1])):
        subject = subject.operands[0]
    return key_of(subject)


class Keys(Evaluator):
    """Expressions in a `config`: their names are the published keys that `lookup` finds; `tensors` are the names of
    those beside it."""

    def __init__(self, lookup: Lookup, tensors: Collection[str] = ()) -> None:
        self.lookup, self.tensors = lookup, tensors

    def find(self, node: tree.Name) -> Plain | None:
        if node.text == ABSENT:
            raise Absent(ABSENT, node.span)
        return None

    def unknown(self, node: tree.Name) -> AttnError:
        return error("E0628", f"`{node.text}` is neither a key nor a value", node.span)

    def may_be_absent(self, node: tree.Expr) -> bool:
        return is_source(node)

    def is_untyped(self, node: tree.Expr) -> bool:
        return any(True for _ in keys_in(node))

    def parts(self, node: tree.Expr) -> tuple[tree.Expr, ...] | None:
        if key_of(node) is not None or tensor_named(node) is not None:
            return ()
        if (choice := choice_of(node)) is not None:
            if subject_key(choice) is None:
                raise error(
                    "E0632",
                    f"`{choice.subject.span.text}` is not a published key",
                    choice.subject.span,
                    help='`choose` takes a key, or a key with a default: `choose(hidden_act or "gelu", …)`',
                )
            return (choice.subject,)
        if (table := counted(node)) is not None:
            if key_of(table) is None:
                message = f"`{table.span.text}` is not a published key"
                raise error("E0632", message, table.span, help="`count(id2label) or 2`")
            return (table,)
        return None

    def other(self, node: tree.Expr) -> Plain:
        if (key := key_of(node)) is not None:
            return from_json(self._present(key, node), key)
        if (tensor := tensor_named(node)) is not None:
            return Number.of(tensor in self.tensors)
        if (choice := choice_of(node)) is not None:
            return self._chosen(choice)
        table = counted(node)
        assert table is not None
        key = key_of(table)
        assert key is not None
        value = self._present(key, table)
        if not isinstance(value, (dict, list)):
            raise error("E0616", f"`{table.span.text}` is {shown(value)}, which has no entries to count", table.span)
        return Number.of(len(value))

    def _present(self, key: str, node: tree.Expr) -> Any:
        value = self.lookup(key)
        if value is None:
            raise Absent(key, node.span)
        return value

    def _chosen(self, choice: Choice) -> Plain:
        """What the table says of the key's value: E0614 where it has no row for it."""
        try:
            published = self.evaluate(choice.subject)
        except Absent:
            absent = choice.row_of(None)
            if absent is None:
                raise
            return absent.value
        row = choice.row_of(published)
        if row is None:
            key = subject_key(choice) or choice.subject.span.text
            had = self.lookup(key)
            raise error(
                "E0614",
                f"the published {key} is {shown(had[0] if isinstance(had, list) and len(had) == 1 else had)}, "
                "for which the spec has no row",
                choice.span,
                note=f"it has {choice.allowed}",
            )
        return row.value


def from_json(value: Any, key: str = "") -> Plain:
    """A value of a configuration: the only one of the `architectures` counts as a text; a table is nothing that an
    expression could use, and equal to nothing."""
    if key == ARCHITECTURES and isinstance(value, list) and len(value) == 1:
        (value,) = value
    if isinstance(value, list):
        return List.of(tuple(map(from_json, value)))
    if value is None or isinstance(value, (bool, int, float, str)):
        return from_python(value)
    return Reference(shown(value), "table")


def shown(value: Any) -> str:
    """A value of a configuration in a message."""
    try:
        text = str(value).lower() if isinstance(value, bool) else repr(value)
    except ValueError:  # an integer of thousands of digits
        text = "an endless number"
    return text if len(text) <= 60 else text[:57] + "…"


def lookup_in(config: Mapping[str, Any]) -> Lookup:
    def lookup(key: str) -> Any:
        value: Any = config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value

    return lookup
