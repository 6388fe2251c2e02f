"""How much a graph computes one after the other, and in one sum: what rounding grows with."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from attndsl.comparison.tolerance import Work
from attndsl.graph import Graph, Node, Region, Value
from attndsl.ops.control import Repeat, Scan


def work_of(graph: Graph, sizes: Mapping[str, int]) -> Work:
    """What a graph that no pass has changed does at these sizes, in one call: gradients sum over all places too."""
    counting = _Counting(sizes)
    depth = counting.body(graph.body, {})
    places = prod(max(sizes[name], 1) for name in graph.free_sizes if name in sizes)
    return Work(max(counting.terms, places), max(depth, 1))


class _Counting:
    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.sizes, self.terms = sizes, 1

    def body(self, region: Region, outer: Mapping[Value, int]) -> int:
        """How many operations stand one after the other, behind what is deepest of what a body is given."""
        depths = {**outer, **dict.fromkeys(region.parameters, 0)}
        for node in region.nodes:
            before = max((depths.get(value, 0) for value in node.inputs), default=0)
            if node.regions:
                before += self._rounds(node) * max(self.body(inner, {}) for inner in node.regions)
            elif not (node.op.moves or node.op.free):
                before += 1
                self.terms = max(self.terms, self._terms(node))
            depths.update(dict.fromkeys(node.outputs, before))
        return max((depths.get(value, 0) for value in region.results), default=0)

    def _rounds(self, node: Node) -> int:
        assert isinstance(node.op, Repeat | Scan)
        size = node.op.count if isinstance(node.op, Repeat) else node.op.axis.size
        return size.known(self.sizes) or 0

    def _terms(self, node: Node) -> int:
        """The elements that one element of the result is made of, along the axes that are summed over."""
        read = dict.fromkeys(axis for value in node.inputs for axis in value.type.axes)
        gone = {axis for axis in read if axis not in node.outputs[0].type.axes} | {*node.op.goes_over}
        return prod(axis.size.known(self.sizes) or 1 for axis in gone)
