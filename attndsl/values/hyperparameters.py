"""The hyperparameters of a graph as values of the language."""

from __future__ import annotations

from attndsl.graph import Axis, Graph
from attndsl.sizes import Size
from attndsl.values.number import CONSTANTS, List, Number, Plain, Python, Reference, from_python


def named(name: str, value: int) -> Number:
    """A whole hyperparameter: a size of its own name, unless it is negative, which no size is."""
    if value < 0:
        return Number.of(value)
    symbol = Size.symbol(name)
    return Number(value, symbol, Axis.of(symbol))


def hyperparameters_of(graph: Graph) -> dict[str, Plain]:
    """The hyperparameters of a graph by name; a block or a mask by how it is written."""
    return {name: _value(name, value, graph) for name, value in graph.hyperparameters.items()}


def storable(value: object) -> Python:
    """A hyperparameter of a graph as JSON can hold it."""
    if isinstance(value, (tuple, list)):
        return [storable(each) for each in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def shown_setting(value: object) -> str:
    """A hyperparameter of a graph, or an element of one, for a reader: `true`, `1e-05`, `[2, 2, 6]`."""
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(shown_setting, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _value(name: str, value: object, graph: Graph) -> Plain:
    if isinstance(value, (tuple, list)):
        return List.of(tuple(_value(f"{name}[{i}]", each, graph) for i, each in enumerate(value)))
    kind = graph.kinds.get(name, "string")
    if isinstance(value, str) and kind not in ("string", "number"):
        return CONSTANTS["none"] if kind == "none" else Reference(value, kind)
    if name in graph.sizes:
        return named(name, graph.sizes[name])
    return from_python(value)
