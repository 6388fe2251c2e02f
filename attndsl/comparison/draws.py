"""The same random numbers for both sides: every backend draws with a generator of its own, so what a graph draws is
drawn once and handed in."""

from __future__ import annotations

from collections.abc import Mapping

from attndsl import ops
from attndsl.comparison.tolerance import EPSILON
from attndsl.graph import Axis, Graph, InputInfo, Node, Region, Type, Value
from attndsl.graph.builder import Builder
from attndsl.lazy import Array, np
from attndsl.ops.arrays import generator
from attndsl.ops.base import Op
from attndsl.ops.control import Repeat, Scan
from attndsl.records import replace

Loops = tuple[tuple[Axis, Value], ...]
"""The loops around a node, the outermost first: an axis as long as it has rounds, and the index of the round."""


def handed_in(graph: Graph, kind: type[Op] = ops.Uniform) -> tuple[Graph, tuple[InputInfo, ...]]:
    """The same graph, in which what every op of a kind gives is read from an input of its own, a further axis in front
    for each loop that it is in; and these inputs, in the order in which the ops stand."""
    drawn: list[InputInfo] = []

    def rebuilt(region: Region, loops: Loops) -> Region:
        nodes: list[Node] = []
        for node in region.nodes:
            if isinstance(node.op, kind):
                nodes += read(node, loops)
            else:
                regions = tuple(rebuilt(body, (*loops, rounds(node, body, len(loops)))) for body in node.regions)
                nodes.append(replace(node, regions=regions) if regions else node)
        return Region(region.parameters, tuple(nodes), region.results)

    def rounds(node: Node, body: Region, depth: int) -> tuple[Axis, Value]:
        assert isinstance(node.op, (Repeat, Scan))
        size = node.op.count if isinstance(node.op, Repeat) else node.op.axis.size
        return Axis(f"~{depth}", size), body.parameters[0]

    def read(node: Node, loops: Loops) -> list[Node]:
        type = node.output.type
        given = Value(Type(type.dtype, (*(axis for axis, _ in loops), *type.axes)))
        drawn.append(InputInfo(f"~{kind.name}{len(drawn)}", given))
        builder = Builder(node.scope, node.span, node.site)
        value = given
        for axis, index in loops:
            value = builder.emit(ops.Take(axis), value, index)
        return [*builder.nodes, replace(node, op=ops.StopGradient(), inputs=(value,))]

    body = rebuilt(graph.body, ())
    if not drawn:
        return graph, ()
    body = replace(body, parameters=(*body.parameters, *(info.value for info in drawn)))
    return replace(graph, inputs=(*graph.inputs, *drawn), body=body), tuple(drawn)


def draw(infos: tuple[InputInfo, ...], sizes: Mapping[str, int], dtype: str, seed: int) -> dict[str, Array]:
    """Uniform numbers in [0, 1) for these inputs, that stay below 1 in `dtype` too."""
    found = {}
    for info in infos:
        numbers = generator("compare", seed, info.name).random(info.value.type.shape(sizes), np.float32)
        found[info.name] = np.minimum(numbers, np.float32(1 - EPSILON[dtype] if dtype != "float64" else 1))
    return found
