"""Which inputs an output cannot do without."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from attndsl.elaborate.inputs import sizes_from, solved
from attndsl.graph import Axis, InputInfo, Node, Region, Type
from attndsl.ops import Given
from attndsl.records import fields
from attndsl.sizes import Size

NOTHING: frozenset[str] = frozenset()


def needs(body: Region, inputs: Sequence[InputInfo], sizes: Collection[str]) -> list[frozenset[str]]:
    """For each result of a model's body, the optional inputs without a default that it is computed from. A result with
    a size that only such inputs say needs the first of them. `sizes` are the hyperparameters in sizes."""
    reach = {info.value: frozenset((info.name,)) for info in inputs if info.optional and info.default is None}
    sources = _sources(inputs, sizes)

    def walk(region: Region) -> None:
        for node in region.nodes:
            for inner in node.regions:
                for parameter, given in zip(inner.parameters[1:], node.inputs, strict=True):
                    reach[parameter] = reach.get(given, NOTHING)
                walk(inner)
            read = node.inputs[1:] if isinstance(node.op, Given) else node.inputs
            used = NOTHING.union(*(reach.get(value, NOTHING) for value in read))
            used = used.union(*(reach.get(value, NOTHING) for inner in node.regions for value in inner.results))
            if sources:
                used = used.union(*(sources.get(symbol, NOTHING) for symbol in _new_symbols(node)))
            for value in node.outputs:
                reach[value] = used

    walk(body)
    return [reach.get(value, NOTHING) for value in body.results]


def _sources(inputs: Sequence[InputInfo], sizes: Collection[str]) -> dict[str, frozenset[str]]:
    """For each size that no input says that is always given, the inputs that do: the first of them, and what else it
    takes to solve for the size."""
    bound = sizes_from((info for info in inputs if not info.optional), sizes)
    found: dict[str, frozenset[str]] = {}
    optional = [info for info in inputs if info.optional and info.default is None]
    lengths = ((info.name, axis.size) for info in optional for axis in info.value.type.axes)
    for symbol, name, size in solved(lengths, bound):
        found[symbol] = frozenset((name,)).union(*(found.get(other, NOTHING) for other in size.symbols))
    return found


def _new_symbols(node: Node) -> set[str]:
    """The sizes that a node mentions and none of its operands has."""
    had = {symbol for value in node.inputs for axis in value.type.axes for symbol in axis.size.symbols}
    made = (getattr(node.op, field.name) for field in fields(node.op))  # type: ignore[arg-type]
    return {symbol for attribute in made for size in _sizes(attribute) for symbol in size.symbols} - had


def _sizes(attribute: object) -> Iterator[Size]:
    if isinstance(attribute, Size):
        yield attribute
    elif isinstance(attribute, Axis):
        yield from (attribute.size, attribute.origin)
    elif isinstance(attribute, Type):
        yield from _sizes(attribute.axes)
    elif isinstance(attribute, tuple):
        for part in attribute:
            yield from _sizes(part)
