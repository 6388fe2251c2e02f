"""What `attndsl check` says of a `weights` section."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations

from attndsl.diagnostics import WARNING, AttnError, Diagnostic, Label, did_you_mean, error
from attndsl.elaborate import Spec, unfit_values
from attndsl.graph import Graph
from attndsl.records import replace
from attndsl.syntax import tree
from attndsl.weights.choices import Choice, asks_tensors, choice_of
from attndsl.weights.keys import keys_in, operators_of, subject_key
from attndsl.weights.mapping import WeightMap
from attndsl.weights.solving import check_entry, choice_in, in_order_of_solution

MISFITS = frozenset({"E0620", "E0622", "E0623", "E0624", "E0627", "E0630"})
"""What says that a section is of another model: nothing is wrong with either by itself."""


def misfits_apart(section: tree.Weights, found: Iterable[Diagnostic]) -> tuple[list[Diagnostic], list[Diagnostic]]:
    """What is wrong with a section by itself, and as warnings how it does not fit the model: that one may have been
    edited, and is no worse for it until weights are asked for."""
    wrong = [it for it in found if it.code not in MISFITS]
    misfits = [replace(it, severity=WARNING) for it in found if it.code in MISFITS]
    if misfits:
        note = f"weights from {section.origin.text} cannot be read or written by this section until it fits the model"
        misfits[0] = replace(misfits[0], notes=(*misfits[0].notes, note))
    return wrong, misfits


def check_section(section: tree.Weights, graph: Graph, spec: Spec | None = None) -> list[Diagnostic]:
    """Every mistake in a section, given the graph of its model: E0620 to E0632; with the `spec` of the graph also what
    is wrong with the values that a `config` may give. Of lines under an `if` it looks at those that hold for the graph.
    Costs the same whatever the model's depth, and touches no array."""
    found = check_config(section, graph, spec)
    if not found and spec is not None:
        values = [(e.name.text, value) for e in section.config if e.name is not None for value in outcomes(e.value)]
        found += unfit_values(spec, values)
    try:
        WeightMap(section, graph)
    except AttnError as raised:
        found += raised.diagnostics
    return found


def check_config(section: tree.Weights, graph: Graph, spec: Spec | None = None) -> list[Diagnostic]:
    """What is wrong with a section's `config`: E0627 for hyperparameters that the model lacks or that are not mapped,
    E0628 for what cannot be read or written, E0632 for tables that are not tables, or that do not fit together."""
    found: list[Diagnostic] = []
    seen: dict[str, tree.ConfigEntry] = {}
    for entry in section.config:
        try:
            check_entry(entry)
        except AttnError as raised:
            found += raised.diagnostics
        if entry.name is None:
            continue
        name = entry.name.text
        if name not in graph.hyperparameters:
            helps = did_you_mean(name, graph.hyperparameters)
            found += error(
                "E0627", f"`{graph.name}` has no hyperparameter `{name}`", entry.name.span, help=helps
            ).diagnostics
        elif not entry.again and seen.setdefault(name, entry) is not entry:
            other = Label(seen[name].span, "and here")
            found += error(
                "E0627", f"the hyperparameter `{name}` is mapped twice", entry.name.span, other=other
            ).diagnostics
    if found or not section.config:
        return found
    left = [name for name in graph.hyperparameters if name not in seen]
    if left:
        names = ", ".join(f"`{name}`" for name in left)
        found += error(
            "E0627",
            f"the configuration does not say where {names} come{'s' if len(left) == 1 else ''} from",
            section.config[0].span,
            other=_declared(left, spec),
            note="an exported model would be read back with other values",
            help=f"add `{left[0]} = …` with a published key or a constant",
        ).diagnostics
        return found
    try:
        in_order_of_solution(section)
        _check_tables(section)
    except AttnError as raised:
        found += raised.diagnostics
    return found


def _declared(names: list[str], spec: Spec | None) -> list[Label]:
    parameters = spec.model.hyperparameters if spec is not None else ()
    return [Label(it.name.span, "a hyperparameter of the model") for it in parameters if it.name.text in names]


def require_config(section: tree.Weights, graph: Graph) -> None:
    """Raises what `check_config` finds: weights are asked for."""
    if found := check_config(section, graph):
        raise AttnError(*found)


def outcomes(expression: tree.Expr) -> Iterator[tree.Expr]:
    """The values that an entry may have whatever the published ones are: those of tables, and defaults."""
    if (choice := choice_of(expression)) is not None:
        yield from (row.node for row in choice.rows)
    elif isinstance(expression, tree.Conditional):
        yield from outcomes(expression.then)
        yield from outcomes(expression.otherwise)
    elif operators_of(expression) == {"or"}:
        assert isinstance(expression, tree.Chain)
        for operand in expression.operands:
            yield from outcomes(operand)
    elif not any(keys_in(expression)) and not asks_tensors(expression):
        yield expression


def _check_tables(section: tree.Weights) -> None:
    """That tables of one key speak of the same values of it: what one of them reads, the others must read too."""
    tables = [choice for entry in section.config if (choice := choice_in(entry.value)) is not None]
    for first, second in combinations(tables, 2):
        if subject_key(first) == subject_key(second):
            for one, other in ((first, second), (second, first)):
                _check_covered(one, other)


def _check_covered(one: Choice, other: Choice) -> None:
    for row in one.rows:
        if row.published is not None and other.row_of(row.published) is None:
            raise error(
                "E0632",
                f"this table has no row for {row.shown}",
                other.span,
                other=Label(row.span, f"another table of `{subject_key(one)}` has one"),
            )
