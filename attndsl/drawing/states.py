"""States in a diagram: a box where a layer reads its own, and a way back from what it writes."""

from __future__ import annotations

from attndsl.drawing.scene import Box
from attndsl.graph import Graph, Node, Region
from attndsl.ops import Given, Repeat, Take


class DrawnStates:
    """Which values of a graph are states at entry, and which results of bodies leave as states."""

    def __init__(self, graph: Graph) -> None:
        self.stacks = {info.value: info.name for info in graph.inputs if info.name in graph.state_names}
        """What holds states of several layers, or is one that is not considered yet, by the name of the input."""
        self.addresses: dict[str, str] = {info.name: info.address for info in graph.states}
        self.boxes: dict[str, Box] = {}  # the one drawn last
        self.written: dict[tuple[Region, int], str] = {}
        for at, info in enumerate(graph.outputs):
            if info.name in graph.state_names:
                self._leaves(graph.body, at, info.name)

    def _leaves(self, region: Region, at: int, name: str) -> None:
        """Note that a result of a body is what a state becomes: in the innermost body that makes it."""
        value = region.results[at]
        maker = next((node for node in region.nodes if value in node.outputs), None)
        if maker is not None and isinstance(maker.op, Repeat):
            for inner in maker.regions:
                self._leaves(inner, maker.outputs.index(value), name)
        self.written[region, at] = name

    def takes_out(self, node: Node) -> bool:
        """Whether a node only takes what follows from a stack out of it; note what it gives."""
        first = node.inputs[0] if node.inputs else None
        if first not in self.stacks or not isinstance(node.op, (Given, Take)):
            return False
        self.stacks[node.output] = self.stacks[first]
        return True

    def read(self, node: Node) -> str | None:
        """The name of the state that such a node gives at entry, if it is all taken out."""
        name = self.stacks[node.output]
        return name if self.addresses[name] in node.output.names else None
