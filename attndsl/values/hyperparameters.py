"""The hyperparameters of a graph as values of the language."""

from __future__ import annotations

from attndsl.graph import Axis, Graph
from attndsl.sizes import Size
from attndsl.values.number import CONSTANTS, Number, Plain, Reference, from_python


def named(name: str, value: int) -> Number:
    """A whole hyperparameter: a size of its own name, unless it is negative, which no size is."""
    if value < 0:
        return Number.of(value)
    symbol = Size.symbol(name)
    return Number(value, symbol, Axis.of(symbol))


def hyperparameters_of(graph: Graph) -> dict[str, Plain]:
    """The hyperparameters of a graph by name; a block or a mask by how it is written."""
    found: dict[str, Plain] = {}
    for name, value in graph.hyperparameters.items():
        kind = graph.kinds.get(name, "text")
        if isinstance(value, str) and kind not in ("text", "number"):
            found[name] = CONSTANTS["none"] if kind == "none" else Reference(value, kind)
        elif name in graph.sizes:
            found[name] = named(name, graph.sizes[name])
        else:
            found[name] = from_python(value)
    return found
