"""`if head == "classify" { … } else { … }` around the lines of a `weights` section: whether it holds for a graph.

A condition is an expression of the model's hyperparameters; one that is a block or a mask is compared with a text by
how it is written, `act == "gelu"`. A word that a list binds is the text that it stands for.
"""

from __future__ import annotations

from attndsl.diagnostics import AttnError, Diagnostic, did_you_mean, error
from attndsl.graph import Graph
from attndsl.syntax import tree
from attndsl.values import Evaluator, Plain, Text, hyperparameters_of
from attndsl.weights.words import Words, bound_in


def check_conditions(section: tree.Weights, graph: Graph) -> None:
    """Raises everything that is wrong with a section's conditions at once, those of branches that are not taken
    included: E0630 for a name that is not a hyperparameter, and what `Evaluator.holds` raises. Those of words are
    looked at where the words stand for something."""
    conditions = Conditions(graph)
    found: list[Diagnostic] = []
    for part in (*section.maps, *section.entries):
        words = {parameter.text for parameter in part.parameters} if isinstance(part, tree.Maps) else set()
        nodes = list(tree.walk(part))
        words.update(*(bound_in(node.value) for node in nodes if isinstance(node, tree.String)))
        for node in nodes:
            if isinstance(node, tree.WeightsIf) and not any(n.text in words for n in tree.names(node.condition)):
                try:
                    conditions.check(node.condition)
                    conditions.holds(node.condition)
                except AttnError as raised:
                    found += raised.diagnostics
    if found:
        raise AttnError(*found)


class Conditions(Evaluator):
    """What conditions come to at a graph's hyperparameters, and at the words that hold where they stand."""

    def __init__(self, graph: Graph, words: Words | None = None) -> None:
        self.graph, self.values, self.words = graph, hyperparameters_of(graph), words or {}

    def find(self, node: tree.Name) -> Plain | None:
        word = self.words.get(node.text)
        return Text(word.text) if word is not None and word.text is not None else self.values.get(node.text)

    def unknown(self, node: tree.Name) -> AttnError:
        help = did_you_mean(node.text, self.values) or f'a string goes in quotes: `"{node.text}"`'
        return error("E0630", f"`{self.graph.name}` has no hyperparameter `{node.text}`", node.span, help=help)
