"""What a graph says of the values and of the length of its inputs."""

from __future__ import annotations

from attndsl.graph.core import Graph
from attndsl.sizes import Size


def bounding(graph: Graph, name: str) -> tuple[str | None, int | None]:
    """The hyperparameter that bounds the input `name` (`tokens < vocab`), and the bound; None where there is none."""
    for info in graph.inputs:
        for bound in info.bounds if info.name == name else ():
            if bound.relation == "<":
                symbol = next((n for n in sorted(bound.limit.symbols) if bound.limit == Size.symbol(n)), None)
                return symbol, bound.limit.value(graph.sizes)
    return None, None


def most(graph: Graph, name: str, place: int = 1) -> int | None:
    """How many positions the input `name` may have (`T <= context`), or how long another of its axes may be; None where
    there is no bound."""
    axis = next(info.value.type.axes[place] for info in graph.inputs if info.name == name)
    limits = [
        constraint.right.value(graph.sizes) - (constraint.relation == "<")
        for constraint in graph.constraints
        if constraint.relation in ("<=", "<")
        and constraint.left == Size.symbol(axis.name)
        and constraint.right.symbols <= graph.sizes.keys()
    ]
    return min(limits, default=None)


def vocabulary(graph: Graph, tokens: str) -> tuple[str | None, int | None]:
    """The hyperparameter that is the size of the vocabulary, and its value: the one that bounds the input `tokens`, or
    one called `vocab`; None where there is neither."""
    found = bounding(graph, tokens)
    if found != (None, None):
        return found
    value = graph.hyperparameters.get("vocab")
    return ("vocab", value) if isinstance(value, int) else (None, None)
