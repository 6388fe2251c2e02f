"""The published configuration that hyperparameters mean: what `attndsl.weights.config` reads, written.

Each line `width = n_embd` is solved for the one key in it that no other line has given yet; a table (`choose`) is read
from right to left, a count of labels becomes a table of names. Then the requirements are fulfilled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attndsl.diagnostics import AttnError, error
from attndsl.syntax import tree
from attndsl.weights.choices import Choice, Row, choice_of, counted, written
from attndsl.weights.config import ARCHITECTURES, Config, alternatives, is_absent, require
from attndsl.weights.keys import (
    Unknown,
    calculate,
    check_expression,
    equal,
    evaluate,
    key_of,
    keys_in,
    lookup_in,
    operators_of,
    shown,
    subject_key,
)

LABELS, NUMBERS = "id2label", "label2id"
"""The table of a classifier's labels by number, which `count` may count, and the one by name beside it."""

EXPORTED = "the exported config.json"


def published_config(
    section: tree.Weights, hyperparameters: Mapping[str, object], labels: Sequence[str] = ()
) -> Config:
    """The configuration that the hyperparameters mean: the inverse of `config_settings`. `labels` are the names of the
    classes, where they have any.

    Raises E0614 where a requirement does not hold for these hyperparameters, or a value has no published counterpart,
    E0616 where a key would not be a whole number that has to be one."""
    order = in_order_of_solution(section)
    for entry in order:
        check_expression(entry.value)
    return _Export(order, hyperparameters, labels).config(section)


def solvable(expression: tree.Expr, unknown: set[str]) -> bool:
    """Whether an expression's value gives its unknown key: there is at most one, in one place, under operations that
    can be undone."""
    if not unknown:
        return True
    key = key_of(expression)
    if key is not None:
        return unknown == {key}
    if (choice := choice_of(expression)) is not None:
        return unknown == {subject_key(choice)}
    if (table := counted(expression)) is not None:
        return key_of(table) == LABELS
    if isinstance(expression, tree.Unary):
        return expression.operator == "-" and solvable(expression.operand, unknown)
    if isinstance(expression, tree.Chain):
        if operators_of(expression) == {"or"}:
            first = expression.operands[0]
            return _is_source(first) and unknown >= set(keys_in(first)) and solvable(first, set(keys_in(first)))
        inside = [operand for operand in expression.operands if unknown & set(keys_in(operand))]
        return len(inside) == 1 and operators_of(expression) <= {"+", "-", "*", "/"} and solvable(inside[0], unknown)
    return False


def _is_source(expression: tree.Expr) -> bool:
    """Whether `… or default` may stand behind it: a key, a table, a count."""
    return key_of(expression) is not None or choice_of(expression) is not None or counted(expression) is not None


def in_order_of_solution(section: tree.Weights) -> list[tree.ConfigEntry]:
    """The mapped keys' entries, each when what it has to be solved for is all that is unknown in it; E0628 where there
    is no such order."""
    known: set[str] = set()
    order: list[tree.ConfigEntry] = []
    rest = [entry for entry in section.config if entry.name is not None]
    while rest:
        ready = [entry for entry in rest if solvable(entry.value, set(keys_in(entry.value)) - known)]
        if not ready:
            raise _unsolvable(rest[0])
        order.append(ready[0])
        rest.remove(ready[0])
        known |= set(_written_keys(ready[0].value))
    return order


def _written_keys(expression: tree.Expr) -> Iterator[str]:
    """The keys that have a value once an expression is solved: of `key or default` only the first."""
    if isinstance(expression, tree.Chain) and operators_of(expression) == {"or"}:
        yield from keys_in(expression.operands[0])
    else:
        yield from keys_in(expression)


def choice_in(expression: tree.Expr) -> Choice | None:
    """The table that an entry consists of, with or without a default behind it."""
    if isinstance(expression, tree.Chain) and operators_of(expression) == {"or"}:
        expression = expression.operands[0]
    return choice_of(expression)


class _Export:
    """`known` has every key that is solved for already; None for one that is not written."""

    def __init__(
        self, order: Sequence[tree.ConfigEntry], hyperparameters: Mapping[str, object], labels: Sequence[str]
    ) -> None:
        self.order, self.labels = order, labels
        self.values = {entry: hyperparameters.get(entry.name.text) for entry in order if entry.name is not None}
        self.known: dict[str, Any] = {}

    def config(self, section: tree.Weights) -> Config:
        for entry in self.order:
            self.solve(entry.value, self.values[entry], entry)
        config: Config = {}
        for key, value in self.known.items():
            if value is not None:
                _put(config, key, [value] if key == ARCHITECTURES else value)
        for entry in section.config:
            if entry.name is None and not entry.ignored:
                _fulfil(entry, config)
        return config

    def solve(self, expression: tree.Expr, value: Any, entry: tree.ConfigEntry) -> None:
        """Give the unknown key of `expression` the value that makes the expression `value`; check it if none is
        unknown."""
        known = self.known
        key = key_of(expression)
        if key is not None and key not in known:
            known[key] = value
            return
        if isinstance(expression, tree.Chain) and operators_of(expression) == {"or"}:
            first = expression.operands[0]
            if _is_source(first) and not known.keys() & set(keys_in(first)):
                self.solve(first, value, entry)
                return
        unknown = set(keys_in(expression)) - known.keys()
        if not unknown:
            self.check(expression, value, entry)
            return
        if (choice := choice_of(expression)) is not None:
            self.solve_choice(choice, value, entry)
            return
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise error("E0616", f"{shown(value)} is no number", entry.span)
        if counted(expression) is not None:
            self.name_labels(value, entry)
            return
        if isinstance(expression, tree.Unary):
            self.solve(expression.operand, -value, entry)
            return
        assert isinstance(expression, tree.Chain)
        at = next(i for i, operand in enumerate(expression.operands) if unknown & set(keys_in(operand)))
        self.solve(expression.operands[at], _undone(expression, at, value, known), entry)

    def check(self, expression: tree.Expr, value: Any, entry: tree.ConfigEntry) -> None:
        assert entry.name is not None
        found = evaluate(expression, self.known.get)
        if not equal(found, value):
            raise error(
                "E0614",
                f"`{entry.name.text}` is {shown(value)}, which the published format cannot say",
                entry.span,
                f"here it is {shown(found)}",
            )

    def solve_choice(self, choice: Choice, value: Any, entry: tree.ConfigEntry) -> None:
        """The first row whose right side is the value, and whose published value the other tables of the same key take
        for their hyperparameters' values, too."""
        assert entry.name is not None
        key = subject_key(choice)
        others = [
            (other, self.values[line])
            for line in self.order
            if line is not entry and (other := choice_in(line.value)) is not None and subject_key(other) == key
        ]
        rows = list(choice.rows_for(value))
        if not rows:
            raise error(
                "E0614",
                f"`{entry.name.text}` is {written(value)}, which the published format cannot say",
                choice.span,
                "the table has " + ", ".join(dict.fromkeys(written(row.value) for row in choice.rows)),
            )
        row = next((row for row in rows if all(_agrees(row, other, wanted) for other, wanted in others)), None)
        if row is None:
            names = ", ".join(
                f"{line.name.text} = {written(self.values[line])}"
                for line in self.order
                if line.name is not None and (other := choice_in(line.value)) is not None and subject_key(other) == key
            )
            raise error("E0614", f"no published value of `{key}` means {names}", choice.span)
        if row.published is None:
            assert key is not None
            self.known[key] = None
        else:
            self.solve(choice.subject, row.published, entry)

    def name_labels(self, count: int | float, entry: tree.ConfigEntry) -> None:
        if not isinstance(count, int) or count < 0:
            raise error("E0616", f"{shown(count)} is no number of labels", entry.span)
        names = list(self.labels) if len(self.labels) == count else [f"LABEL_{i}" for i in range(count)]
        self.known[LABELS] = {str(i): name for i, name in enumerate(names)}
        self.known[NUMBERS] = {name: i for i, name in enumerate(names)}


def _agrees(row: Row, other: Choice, wanted: object) -> bool:
    there = other.row_of(row.published)
    return there is not None and there in tuple(other.rows_for(wanted))


def _undone(expression: tree.Chain, at: int, value: int | float, known: Mapping[str, Any]) -> Any:
    """What the operand at `at` must be for the whole to be `value`; E0616 where a whole number would become a
    fraction."""
    operators = ["*" if operators_of(expression) & {"*", "/"} else "+", *(o.text for o in expression.operators)]
    result: Any = value
    for i in reversed(range(len(operators))):
        if i == at:
            continue
        number = evaluate(expression.operands[i], known.get)
        undone = {"+": "-", "-": "+", "*": "/", "/": "*"}[operators[i]]
        result = calculate(expression, undone, result, number)
    if operators[at] == "-":
        result = -result
    elif operators[at] == "/":
        result = calculate(expression, "/", 1, result)
    if isinstance(value, int) and isinstance(result, float):
        if not result.is_integer():
            raise error(
                "E0616", f"`{expression.span.text}` cannot be {value}: a key would be {result}", expression.span
            )
        result = int(result)
    return result


def _unsolvable(entry: tree.ConfigEntry) -> AttnError:
    return error(
        "E0628",
        f"`{entry.value.span.text}` cannot be solved for a published key",
        entry.value.span,
        note="an export has to write the keys from the hyperparameters",
        help="map one of its keys on its own, too",
    )


def _put(config: Config, key: str, value: Any) -> None:
    *outer, last = key.split(".")
    place = config
    for part in outer:
        place = place.setdefault(part, {})
    place[last] = value


def _fulfil(entry: tree.ConfigEntry, config: Config) -> None:
    """Write what the first alternative of a requirement asks for; check the requirement if nothing is left to write."""
    lookup = lookup_in(config)
    first = alternatives(entry)[0]
    if is_absent(first):
        return
    if isinstance(first, tree.Chain) and operators_of(first) == {"=="}:
        key = key_of(first.operands[0])
        if key is not None and lookup(key) is None:
            try:
                value = evaluate(first.operands[1], lookup)
                _put(config, key, [value] if key == ARCHITECTURES else value)
            except Unknown as unknown:
                raise _unwritten(unknown) from None
            return
    try:
        require(entry, lookup, EXPORTED)
    except Unknown as unknown:
        raise _unwritten(unknown) from None


def _unwritten(unknown: Unknown) -> AttnError:
    return error(
        "E0628",
        f"an export has no value for `{unknown.key}`",
        unknown.span,
        help="map it, or require it to be something",
    )
