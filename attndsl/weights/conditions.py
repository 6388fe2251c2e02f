"""`if head == "classify" { … } else { … }` around the lines of a `weights` section: which of them hold for a graph.

A condition is an expression of the model's hyperparameters; one that is a block or a mask is compared with a text by
how it is written, `act == "gelu"`.
"""

from __future__ import annotations

from collections.abc import Iterator

from attndsl.diagnostics import AttnError, Diagnostic, did_you_mean, error
from attndsl.graph import Graph
from attndsl.syntax import tree
from attndsl.values import Evaluator, Plain, hyperparameters_of

Line = tree.PrefixEntry | tree.IgnoreEntry | tree.MapEntry


def chosen(section: tree.Weights, graph: Graph) -> list[Line]:
    """The lines of a section that hold for `graph`, in the order written. Raises everything that is wrong with its
    conditions at once, those of branches that are not taken included: E0630 for a name that is not a hyperparameter,
    and what `Evaluator.holds` raises."""
    conditions = Conditions(graph)
    found: list[Diagnostic] = []
    for node in _ifs(section.entries):
        try:
            conditions.check(node.condition)
            conditions.holds(node.condition)
        except AttnError as raised:
            found += raised.diagnostics
    if found:
        raise AttnError(*found)
    return list(_taken(section.entries, conditions))


def _ifs(entries: tuple[tree.WeightsEntry, ...]) -> Iterator[tree.WeightsIf]:
    for entry in entries:
        if isinstance(entry, tree.WeightsIf):
            yield entry
            yield from _ifs(entry.then)
            yield from _ifs(entry.otherwise)


def _taken(entries: tuple[tree.WeightsEntry, ...], conditions: Conditions) -> Iterator[Line]:
    for entry in entries:
        if isinstance(entry, tree.WeightsIf):
            yield from _taken(entry.then if conditions.holds(entry.condition) else entry.otherwise, conditions)
        else:
            yield entry


class Conditions(Evaluator):
    """What conditions come to at a graph's hyperparameters."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.values = graph, hyperparameters_of(graph)

    def find(self, node: tree.Name) -> Plain | None:
        return self.values.get(node.text)

    def unknown(self, node: tree.Name) -> AttnError:
        help = did_you_mean(node.text, self.values) or f'a text goes in quotes: `"{node.text}"`'
        return error("E0630", f"`{self.graph.name}` has no hyperparameter `{node.text}`", node.span, help=help)
