"""Which repeats a layout divides into stages, and what each device has of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from attndsl.addresses import filled, loops_of
from attndsl.graph import Graph, Node, ParameterInfo, Region, Value
from attndsl.layouts.classes import AxisClasses
from attndsl.layouts.core import Layout, PlacementRule
from attndsl.layouts.pipeline import Pipeline
from attndsl.layouts.placements import Rounds
from attndsl.layouts.staged_loop import StagedLoop, batch_place, no_stages, values_of
from attndsl.ops import Repeat
from attndsl.records import Frozen, field, replace
from attndsl.types import Axis


class Staged(Frozen):
    """A graph with pipelines in the place of repeats, `loops` by address. `apart` are the values of which, along a
    dimension of the mesh, each device has its own."""

    graph: Graph
    apart: Mapping[str, frozenset[Value]] = field(default_factory=dict)
    loops: Mapping[str, StagedLoop] = field(default_factory=dict)

    def of(self, address: str) -> Iterator[tuple[str, Rounds]]:
        """The dimensions along which devices have a parameter in some rounds of a loop."""
        found = (self.loops[path] for path in loops_of(address) if path in self.loops)
        return ((loop.on, Rounds(loop.path, loop.layers)) for loop in found)


def staged_loops(graph: Graph, layout: Layout) -> dict[Node, PlacementRule]:
    """The repeats that a layout divides into stages, with the first rule that names them. Raises E1005 for one that
    stands in another loop."""
    found: dict[Node, PlacementRule] = {}
    for rule in layout.rules:
        if rule.loops and layout.mesh.size(rule.dimension) > 1:
            for node in graph.body.walk():
                if isinstance(node.op, Repeat) and node.op.path in rule.loops:
                    if node not in graph.body.nodes:
                        raise no_stages(
                            rule, node, f"`repeat {node.op.label}` stands in another loop", "name the outer one"
                        )
                    found.setdefault(node, rule)
    return found


def rows_in_stages(graph: Graph, loops: Iterable[Node], classes: AxisClasses) -> dict[Value, Axis]:
    """The axes that count the rows of a batch which these loops, in stages, take in parts, by value."""
    found: dict[Value, Axis] = {}
    for node in loops:
        batch = batch_place(graph, node, classes)
        root = classes.find(batch) if batch is not None else None
        for value in values_of([node]):
            own = (axis for axis in value.type.axes if classes.find((value, axis)) == root)
            found.update((value, axis) for axis in own)
    return found


def in_stages(graph: Graph, layout: Layout) -> Staged:
    """The graph with a pipeline in the place of each repeat that the layout divides into stages.

    Raises E1005 for a repeat that cannot be divided so, E1006 where its body takes the rows of a batch together.
    """
    loops = staged_loops(graph, layout)
    if not loops:
        return Staged(graph)
    classes = AxisClasses(graph)
    nodes, constraints = list[Node](), list(graph.constraints)
    apart: dict[str, set[Value]] = {}
    found: dict[str, StagedLoop] = {}
    for node in graph.body.nodes:
        if node not in loops:
            nodes.append(node)
            continue
        rule = loops[node]
        pipeline = Pipeline(graph, node, rule, layout, classes)
        nodes += pipeline.nodes
        apart.setdefault(rule.dimension, set()).update(pipeline.apart)
        found[pipeline.op.path] = pipeline.loop
        constraints += pipeline.constraints
    parameters = tuple(_own_rounds(graph.parameters, {path: loop.layers for path, loop in found.items()}))
    body = Region(graph.body.parameters, tuple(nodes), graph.body.results)
    graph = replace(graph, body=body, parameters=parameters, constraints=tuple(constraints))
    return Staged(graph, {name: frozenset(values) for name, values in apart.items()}, found)


def _own_rounds(infos: Sequence[ParameterInfo], counts: Mapping[str, int]) -> Iterator[ParameterInfo]:
    """What a device has of the parameters: of those of a divided repeat, as many rounds as it has."""
    for info in infos:
        layers = tuple(
            tuple(i for i in indices if i < counts[loop]) if loop in counts else indices
            for loop, indices in zip(loops_of(info.address), info.layers, strict=True)
        )
        if layers == info.layers or not any(loop in counts for loop in loops_of(info.address)):
            yield info
        elif all(layers):
            yield replace(info, layers=tuple(_as_range(indices) for indices in layers))


def _as_range(indices: range | tuple[int, ...]) -> range | tuple[int, ...]:
    return range(len(indices)) if tuple(indices) == tuple(range(len(indices))) else indices


def local_name(
    address: str, numbers: Sequence[int], rounds: Iterable[tuple[str, Rounds]]
) -> tuple[str, dict[str, int]]:
    """What a device calls a parameter in the rounds with these numbers, of which it counts its own from 0; and along
    which dimension it is which device that has it."""
    indices, places = dict(zip(loops_of(address), numbers, strict=True)), dict[str, int]()
    for name, own in rounds:
        places[name], indices[own.loop] = divmod(indices[own.loop], own.count)
    return filled(address, indices), places
