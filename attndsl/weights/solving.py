"""The published configuration that hyperparameters mean: what `attndsl.weights.config` reads, written.

Each line `width = n_embd` is solved for the one key in it that no other line has given yet; a table (`choose`) is read
from right to left, a count of labels becomes a table of names. Then the requirements are fulfilled.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from attndsl.diagnostics import error
from attndsl.records import replace
from attndsl.syntax import tree
from attndsl.values import Absent, Number, Plain, described, equal, rule_of, to_python, undo, written
from attndsl.weights.choices import Choice, Row, asks_tensors, choice_of, counted
from attndsl.weights.config import Config, alternatives, is_absent, require
from attndsl.weights.keys import ARCHITECTURES, Keys, is_source, key_of, keys_in, lookup_in, operators_of, subject_key

LABELS, NUMBERS = "id2label", "label2id"
"""The table of a classifier's labels by number, which `count` may count, and the one by name beside it."""

EXPORTED = "the exported config.json"


def published_config(
    section: tree.Weights,
    hyperparameters: Mapping[str, Plain],
    labels: Sequence[str] = (),
    tensors: Collection[str] | None = None,
) -> Config:
    """The configuration that the hyperparameters mean: the inverse of `config_settings`. `labels` are the names of the
    classes, where they have any, `tensors` those of what is written beside it, where that is known.

    Raises E0614 where a requirement does not hold for these hyperparameters, or a value has no published counterpart,
    E0616 where a key would not be a whole number that has to be one."""
    order = in_order_of_solution(section)
    for entry in order:
        check_entry(entry)
    return _Export(order, hyperparameters, labels, tensors).config(section)


def check_entry(entry: tree.ConfigEntry) -> None:
    """What is wrong with an entry whatever the published values are: E0404 for what is not known at compile time, E0628
    for `absent` where a value is needed and `has` where an export has to write, E0632 for a table that is not one."""
    if asks_tensors(entry.value) and not entry.one_way:
        raise error(
            "E0628",
            "which tensors a file has cannot be written in its configuration",
            entry.value.span,
            help="mark it as only read: `tied <- …`",
        )
    for part in (entry.value,) if entry.name is not None else alternatives(entry):
        if entry.name is None and is_absent(part):
            continue
        for node in tree.walk(part, into=lambda at: not isinstance(at, tree.Arrow)):
            if isinstance(node, tree.Name) and is_absent(node):
                raise error(
                    "E0628",
                    "`absent` is not a value",
                    node.span,
                    help="it is an alternative of a requirement, or the row of a table: `choose(key, absent -> 1, …)`",
                )
        Keys(lambda key: None).check(part)


# ---------------------------------------------------------------- whether, and in which order


def obstacle(expression: tree.Expr, unknown: set[str]) -> str | None:
    """Why an expression's value does not give its unknown key, in words; None where it does: there is at most one, in
    one place, under operations that can be undone."""
    if not unknown or {key_of(expression)} == unknown:
        return None
    if isinstance(expression, tree.Chain) and operators_of(expression) == {"or"}:
        first = expression.operands[0]
        inside = set(keys_in(first))
        return obstacle(first, inside) if is_source(first) and unknown >= inside else "`or` goes between conditions"
    if (choice := choice_of(expression)) is not None:
        return None if subject_key(choice) in unknown else "its table is about another key"
    if len(unknown) > 1:
        return "it has several keys that are not known: " + ", ".join(f"`{key}`" for key in sorted(unknown))
    if (table := counted(expression)) is not None:
        return (
            None if key_of(table) == LABELS else f"only the labels, `count({LABELS})`, can be written from their number"
        )
    steps = _steps(expression)
    if isinstance(expression, tree.Subscript):
        return "one element does not give the whole list"
    if not steps:
        return f"`{expression.span.text}` only tells on which side of a condition it is"
    places = [at for at, (_, _, operand) in enumerate(steps) if unknown & set(keys_in(operand))]
    if len(places) > 1:
        return f"`{min(unknown)}` occurs in it more than once"
    for operator, place in _undone(expression, steps, places[0]):
        rule = rule_of(operator)
        if place >= len(rule.undo) or rule.undo[place] is None:
            return f"`{operator}` cannot be inverted: {rule.lossy}"
    return obstacle(steps[places[0]][2], unknown)


def _steps(expression: tree.Expr) -> list[tuple[str, int, tree.Expr]]:
    """The operands of an expression, each with the operator or function that takes it, and at which place."""
    if isinstance(expression, tree.Unary):
        return [("neg" if expression.operator == "-" else expression.operator, 0, expression.operand)]
    if isinstance(expression, tree.Call) and isinstance(expression.callee, tree.Name):
        name = expression.callee.text
        return [(name, place, argument.value) for place, argument in enumerate(expression.arguments)]
    if isinstance(expression, tree.Chain):
        first, *rest = expression.operands
        signs = [sign.text for sign in expression.operators]
        return [(signs[0], 0, first), *((sign, 1, operand) for sign, operand in zip(signs, rest, strict=True))]
    return []


def _undone(expression: tree.Expr, steps: list[tuple[str, int, tree.Expr]], at: int) -> list[tuple[str, int]]:
    """The operators, each with the place of the operand that is wanted, that are undone on the way to operand `at`."""
    operator, place, _ = steps[at]
    if not isinstance(expression, tree.Chain):
        return [(operator, place)]
    later = [(sign, 0) for sign, _, _ in reversed(steps[at + 1 :])]
    return [*later, (operator, place)] if at else later


def in_order_of_solution(section: tree.Weights) -> list[tree.ConfigEntry]:
    """The mapped keys' entries, each when what it has to be solved for is all that is unknown in it; E0628 where there
    is no such order."""
    known: set[str] = set()
    order: list[tree.ConfigEntry] = []
    rest = [entry for entry in section.config if entry.name is not None and not entry.one_way]
    while rest:
        why = [obstacle(entry.value, set(keys_in(entry.value)) - known) for entry in rest]
        if None not in why:
            raise error(
                "E0628",
                f"`{rest[0].value.span.text}` cannot be solved for a published key",
                rest[0].value.span,
                note=(str(why[0]), "an export has to write the keys from the hyperparameters"),
                help="map one of its keys on its own, too",
            )
        order.append(rest.pop(why.index(None)))
        known |= set(_written_keys(order[-1].value))
    return order


def _written_keys(expression: tree.Expr) -> Iterator[str]:
    """The keys that have a value once an expression is solved: of `key or default` only the first, also as what a table
    is about."""
    if (choice := choice_of(expression)) is not None:
        expression = choice.subject
    if isinstance(expression, tree.Chain) and operators_of(expression) == {"or"}:
        yield from keys_in(expression.operands[0])
    else:
        yield from keys_in(expression)


def choice_in(expression: tree.Expr) -> Choice | None:
    """The table that an entry consists of, with or without a default behind it."""
    if isinstance(expression, tree.Chain) and operators_of(expression) == {"or"}:
        expression = expression.operands[0]
    return choice_of(expression)


# ---------------------------------------------------------------- solving


class _Export:
    """`known` has every key that is solved for already, as JSON has it; None for one that is not written."""

    def __init__(
        self,
        order: Sequence[tree.ConfigEntry],
        hyperparameters: Mapping[str, Plain],
        labels: Sequence[str],
        tensors: Collection[str] | None,
    ) -> None:
        self.order, self.hyperparameters, self.labels, self.tensors = order, hyperparameters, labels, tensors
        self.values = {entry: hyperparameters[entry.name.text] for entry in order if entry.name is not None}
        self.known: dict[str, Any] = {}

    def config(self, section: tree.Weights) -> Config:
        for entry in self.order:
            self.solve(entry.value, self.values[entry], entry)
        config: Config = {}
        for key, value in self.known.items():
            if value is not None:
                _put(config, key, value)
        mapped = frozenset(self.known)
        for entry in section.config:
            if entry.name is None and not entry.ignored:
                _fulfil(entry, config, mapped)
        for entry in section.config:
            if entry.one_way and not (self.tensors is None and asks_tensors(entry.value)):
                self.agree(entry, config)
        return config

    def agree(self, entry: tree.ConfigEntry, config: Config) -> None:
        """That what is written says the same of a hyperparameter that is only read; E0614 where it does not."""
        assert entry.name is not None
        name, wanted = entry.name.text, self.hyperparameters[entry.name.text]
        try:
            read_back = Keys(lookup_in(config), self.tensors or ()).evaluate(entry.value)
        except Absent as absent:
            raise error(
                "E0614",
                f"{EXPORTED} cannot say `{name} = {written(wanted)}`: it has no `{absent.key}`",
                entry.span,
                "read one way only",
                help=f"map `{absent.key}` on its own, too",
            ) from None
        if not equal(read_back, wanted):
            raise error(
                "E0614",
                f"{EXPORTED} cannot say `{name} = {written(wanted)}`: it would be read as {written(read_back)}",
                entry.span,
                "read one way only",
            )

    def evaluate(self, expression: tree.Expr) -> Plain:
        return Keys(self.known.get).evaluate(expression)

    def solve(self, expression: tree.Expr, value: Plain, entry: tree.ConfigEntry) -> None:
        """Give the unknown key of `expression` the value that makes the expression `value`; check it if none is
        unknown."""
        unknown = set(keys_in(expression)) - self.known.keys()
        key = key_of(expression)
        if not unknown:
            self.check(expression, value, entry)
        elif key is not None:
            self.known[key] = self.published(value, expression, entry)
        elif isinstance(expression, tree.Chain) and operators_of(expression) == {"or"}:
            self.solve(expression.operands[0], value, entry)
        elif (choice := choice_of(expression)) is not None:
            self.solve_choice(choice, value, entry)
        elif not isinstance(value, Number):
            raise error("E0616", f"`{written(value)}` is not a number", entry.span)
        elif counted(expression) is not None:
            self.name_labels(value, entry)
        else:
            self.undo(expression, value, unknown, entry)

    def undo(self, expression: tree.Expr, value: Number, unknown: set[str], entry: tree.ConfigEntry) -> None:
        steps = _steps(expression)
        at = next(i for i, (_, _, operand) in enumerate(steps) if unknown & set(keys_in(operand)))
        operator, place, inside = steps[at]
        if not isinstance(expression, tree.Chain):
            others = [self.number(operand) for i, (_, _, operand) in enumerate(steps) if i != at]
            value = undo(operator, place, expression.span, value, *others)
        else:
            for sign, _, operand in reversed(steps[at + 1 :]):
                value = undo(sign, 0, expression.span, value, self.number(operand))
            if at:
                left = expression.operands[0]
                if at > 1:
                    left = replace(
                        expression, operands=expression.operands[:at], operators=expression.operators[: at - 1]
                    )
                value = undo(operator, 1, expression.span, value, self.number(left))
        self.solve(inside, value, entry)

    def number(self, operand: tree.Expr) -> Number:
        value = self.evaluate(operand)
        if not isinstance(value, Number):
            raise error("E0104", f"a number is needed here, but this is {described(value)}", operand.span)
        return value

    def published(self, value: Plain, expression: tree.Expr, entry: tree.ConfigEntry) -> Any:
        """What a key has to be, as JSON has it; E0616 where a whole number would become a fraction."""
        wanted, plain = self.values[entry], to_python(value)
        whole = isinstance(wanted, Number) and isinstance(wanted.value, int) and not wanted.is_bool
        if whole and isinstance(plain, float):
            assert isinstance(value, Number)
            assert isinstance(wanted, Number)
            if not plain.is_integer():
                message = (
                    f"`{entry.value.span.text}` cannot be {wanted.value}: `{expression.span.text}` would be {value}"
                )
                raise error("E0616", message, entry.value.span)
            return int(plain)
        return plain

    def check(self, expression: tree.Expr, value: Plain, entry: tree.ConfigEntry) -> None:
        assert entry.name is not None
        found = self.evaluate(expression)
        if not equal(found, value):
            raise error(
                "E0614",
                f"`{entry.name.text}` is {written(value)}, which the published format cannot express",
                entry.span,
                f"here it is {written(found)}",
            )

    def solve_choice(self, choice: Choice, value: Plain, entry: tree.ConfigEntry) -> None:
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
                f"`{entry.name.text}` is {written(value)}, which the published format cannot express",
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
        assert key is not None
        if row.published is None:
            self.known[key] = None
        elif key == ARCHITECTURES:
            self.known[key] = [to_python(row.published)]
        else:
            self.known[key] = to_python(row.published)

    def name_labels(self, number: Number, entry: tree.ConfigEntry) -> None:
        count = number.value
        if not isinstance(count, int) or number.is_bool or count < 0:
            raise error("E0616", f"{number} is not a number of labels", entry.span)
        names = list(self.labels) if len(self.labels) == count else [f"LABEL_{i}" for i in range(count)]
        self.known[LABELS] = {str(i): name for i, name in enumerate(names)}
        self.known[NUMBERS] = {name: i for i, name in enumerate(names)}


def _agrees(row: Row, other: Choice, wanted: Plain) -> bool:
    there = other.row_of(row.published)
    return there is not None and there in tuple(other.rows_for(wanted))


def _put(config: Config, key: str, value: Any) -> None:
    *outer, last = key.split(".")
    place = config
    for part in outer:
        place = place.setdefault(part, {})
    place[last] = value


def _fulfil(entry: tree.ConfigEntry, config: Config, mapped: Collection[str]) -> None:
    """Write what the first alternative of a requirement asks for: the value of a key, or an element of a list that no
    hyperparameter is `mapped` to; check the requirement if nothing is left to write."""
    lookup = lookup_in(config)
    first = alternatives(entry)[0]
    if is_absent(first):
        return
    try:
        if isinstance(first, tree.Chain) and operators_of(first) == {"=="}:
            key = key_of(first.operands[0])
            if key is not None and lookup(key) is None:
                value = to_python(Keys(lookup).evaluate(first.operands[1]))
                _put(config, key, [value] if key == ARCHITECTURES else value)
                return
        if isinstance(first, tree.Chain) and operators_of(first) == {"in"}:
            key = key_of(first.operands[1])
            if key is not None and key not in mapped:
                _put(config, key, [*(lookup(key) or ()), to_python(Keys(lookup).evaluate(first.operands[0]))])
        require(entry, lookup, EXPORTED)
    except Absent as absent:
        raise error(
            "E0628",
            f"an export has no value for `{absent.key}`",
            absent.span,
            help="map it, or require it to be something",
        ) from None
