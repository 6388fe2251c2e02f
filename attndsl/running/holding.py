"""A program that is asked again and again with some inputs the same: what follows from these alone is computed once.

So the texts that name classes are encoded once, however many pictures are compared with them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from attndsl.graph import Graph, InputInfo, Node, OutputInfo, Region, Value, captured
from attndsl.lazy import Array
from attndsl.ops.generators import Parameter
from attndsl.records import replace

if TYPE_CHECKING:
    from attndsl.running.program import Program


class Holding:
    """`held` are the names of the inputs that stay the same: as long as `run` is given the very arrays of the call
    before. `make` makes a program of a graph that has some of the parameters of `graph`."""

    def __init__(self, graph: Graph, held: Collection[str], make: Callable[[Graph], Program]) -> None:
        self._graph, self._held, self._make = graph, frozenset(held), make
        self._programs: dict[str, tuple[Program, Program]] = {}
        self._given: dict[str, Array] = {}
        self._kept: dict[str, Mapping[str, Array]] = {}

    def run(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        """The outputs by name, as the program of the whole graph gives them."""
        held = {name: array for name, array in inputs.items() if name in self._held}
        if held.keys() != self._given.keys() or any(held[name] is not self._given[name] for name in held):
            self._given, self._kept = held, {}
        others = {name: array for name, array in inputs.items() if name not in held}
        return {name: self._run(name, others) for name in outputs}

    def _run(self, name: str, others: Mapping[str, Array]) -> Array:
        if name not in self._programs:
            before, behind = halves(self._graph, name, self._held)
            self._programs[name] = self._make(before), self._make(behind)
        before_, behind_ = self._programs[name]
        if name not in self._kept:
            self._kept[name] = before_.run(self._given, [info.name for info in before_.graph.outputs])
        found: Array = behind_.run({**others, **self._kept[name]}, [name])[name]
        return found


def halves(graph: Graph, name: str, held: Collection[str]) -> tuple[Graph, Graph]:
    """The graph of the output `name` as two: of what follows from the inputs `held` alone, and of the output, given
    that and the other inputs. The graph has no states."""
    output = next(info for info in graph.outputs if info.name == name)
    fixed = _following(graph, [info for info in graph.inputs if info.name in held])
    moving = _following(graph, [info for info in graph.inputs if info.name not in held])
    nodes = needed(graph.body.nodes, [output.value], stop=lambda value: value in fixed and value not in moving)
    read = {value: None for node in nodes for value in _reads(node)} | {output.value: None}
    edge = [value for value in read if value in fixed and value not in moving]
    names = {value: f"held_{number}" for number, value in enumerate(edge)}
    before = _part(
        graph,
        [info for info in graph.inputs if info.name in held],
        [OutputInfo(names[value], value) for value in edge],
        needed(graph.body.nodes, edge),
    )
    inputs = [info for info in graph.inputs if info.name not in held]
    given = [InputInfo(names[value], value) for value in edge]
    behind = _part(graph, [*inputs, *given], [replace(output, needs=output.needs - frozenset(held))], nodes)
    return before, behind


def needed(
    nodes: Sequence[Node], results: Sequence[Value], stop: Callable[[Value], bool] = lambda value: False
) -> list[Node]:
    """Those of the nodes of a body that the results are computed by, in order; those that make a value at which to
    `stop` are left out."""
    wanted, found = {value for value in results if not stop(value)}, []
    for node in reversed(nodes):
        if not wanted.isdisjoint(node.outputs):
            found.append(node)
            wanted.update(value for value in _reads(node) if not stop(value))
    return found[::-1]


def _reads(node: Node) -> list[Value]:
    return [*node.inputs, *(value for region in node.regions for value in captured(region))]


def _following(graph: Graph, inputs: Sequence[InputInfo]) -> set[Value]:
    """The values of the body that depend on some of the inputs, or on a size that these alone say."""
    others = [info for info in graph.inputs if info not in inputs]
    sizes = _sizes(inputs) - _sizes(others) - graph.sizes.keys()
    found = {info.value for info in inputs}
    for node in graph.body.nodes:
        own = {symbol for value in node.outputs for axis in value.type.axes for symbol in axis.size.symbols}
        if not found.isdisjoint(_reads(node)) or not sizes.isdisjoint(own):
            found.update(node.outputs)
    return found


def _sizes(inputs: Sequence[InputInfo]) -> set[str]:
    return {symbol for info in inputs for axis in info.value.type.axes for symbol in axis.size.symbols}


def _part(graph: Graph, inputs: Sequence[InputInfo], outputs: Sequence[OutputInfo], nodes: Sequence[Node]) -> Graph:
    """A graph with some of the inputs, outputs and nodes of another, and the parameters that these read."""
    results = tuple(info.value for info in outputs)
    body = Region(tuple(info.value for info in inputs), tuple(nodes), results)
    addresses = {node.op.address for node in body.walk() if isinstance(node.op, Parameter)}
    known = _sizes(inputs) | graph.sizes.keys()
    return replace(
        graph,
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        parameters=tuple(info for info in graph.parameters if info.address in addresses),
        constraints=tuple(constraint for constraint in graph.constraints if constraint.symbols <= known),
        body=body,
    )
