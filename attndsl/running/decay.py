"""At which parameters weight decay pulls: at those that are multiplied as matrices or looked up as tables.

What is only added to something, or multiplied with it element by element, is a bias or a gain, of whatever rank and
under whatever name: pulling it to zero would switch something off, and does not keep a function smooth. The graph says
which is which, so nothing has to be declared.
"""

from __future__ import annotations

from collections.abc import Iterable

from attndsl.graph import Graph, Node, Region, Value
from attndsl.ops.arithmetic import Mul
from attndsl.ops.generators import Parameter
from attndsl.ops.pieces import Take
from attndsl.ops.reductions import Sum

Origins = frozenset[str]


def decaying(graph: Graph) -> frozenset[str]:
    """The addresses in files (`h.0.attn.q.weight`) of the parameters that decay."""
    found = _Uses(graph).decaying
    return frozenset(address for info in graph.parameters if info.address in found for address in info.addresses())


class _Uses:
    """What becomes of the parameters. `origins` has the values that parameters alone decide, and which parameters."""

    def __init__(self, graph: Graph) -> None:
        self.decaying: set[str] = set()
        self.stacks = {info.address: info.type.axes[: info.stacked] for info in graph.parameters if info.stacked}
        self.origins: dict[Value, Origins] = {}
        self.readers: dict[Value, list[Node | Region]] = {}
        self._readers(graph.body)
        self._follow(graph.body)

    def _readers(self, region: Region) -> None:
        for value in region.results:
            self.readers.setdefault(value, []).append(region)
        for node in region.nodes:
            for value in node.inputs:
                self.readers.setdefault(value, []).append(node)
            for inner in node.regions:
                self._readers(inner)

    def _follow(self, region: Region) -> None:
        for node in region.nodes:
            known = [self.origins.get(value) for value in node.inputs]
            for place, origins in enumerate(known):
                if origins and self._mixes(node, place):
                    self.decaying |= origins
            for inner in node.regions:
                # The index of a round is not data, and what is carried begins as it is given.
                for value, origins in zip(inner.parameters, (frozenset[str](), *known), strict=False):
                    if origins is not None:
                        self.origins[value] = origins
                self._follow(inner)
            if isinstance(node.op, Parameter):
                self.origins[node.output] = frozenset({node.op.address})
            elif self._chooses(node):
                self.origins[node.output] = self.origins[node.inputs[0]]
            elif not node.regions and not node.op.draws and None not in known:
                self.origins[node.output] = _union(origins for origins in known if origins is not None)

    def _mixes(self, node: Node, place: int) -> bool:
        """Whether a node sums products with its operand at `place`, or looks rows up in it. A single row, by a scalar
        index, is only chosen, and so is one of several layers' parameter."""
        if node.op.contracts:
            return True
        if isinstance(node.op, Take):
            return place == 0 and bool(node.inputs[1].type.axes) and not self._chooses(node)
        if not isinstance(node.op, Mul):
            return False
        (*others, reader) = self.readers.get(node.output, [None])
        if others or not isinstance(reader, Node) or not isinstance(reader.op, Sum):
            return False
        return any(axis in node.inputs[place].type.axes for axis in reader.op.over)

    def _chooses(self, node: Node) -> bool:
        """Whether a node takes the parameter of one among several layers."""
        if not isinstance(node.op, Take):
            return False
        origins, over = self.origins.get(node.inputs[0]) or (), node.op.over
        return bool(origins) and all(over in self.stacks.get(address, ()) for address in origins)


def _union(several: Iterable[Origins]) -> Origins:
    return frozenset().union(*several)
