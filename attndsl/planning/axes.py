"""Which of a graph's dimensions a plan can divide over devices, and how they are called.

What stands between two layers (the axes of what a repeat carries) is whole on every device of a tensor-parallel group,
except along the tokens; what a product with a parameter makes inside of a layer is divided (Shoeybi et al., 2019,
section 3; Korthikanti et al., 2022, section 4.2).
"""

from __future__ import annotations

from collections.abc import Iterator

from attndsl.graph import Axis, Graph, Node, Value
from attndsl.layouts import Layout
from attndsl.layouts.classes import AxisClasses, Place
from attndsl.layouts.core import batch_axes
from attndsl.ops import (
    Attention,
    Dot,
    Flatten,
    GroupedDot,
    LinearCrossEntropy,
    LogSoftmax,
    Op,
    Parameter,
    Rename,
    Repeat,
    Scan,
    Sum,
    Take,
    Unflatten,
)

_PRODUCTS = (Dot, GroupedDot, LinearCrossEntropy)
_PASSING = (Rename, Unflatten, Flatten, *_PRODUCTS, Sum, Attention)  # what may take a divided axis away
_OVER_VOCABULARY = (LogSoftmax, Take)  # over a divided vocabulary, they need a number for each row from other devices


class Dimensions:
    """Classes of axes by what they are. `inner` are those inside of layers, of a layout those that its rules name."""

    def __init__(self, graph: Graph, layout: Layout | None = None) -> None:
        self.classes = AxisClasses(graph)
        inputs = [info.value for info in graph.inputs if info.value.type.axes]
        self.batch = next((self.find(*place) for place in batch_axes(graph)), None)
        words = [value for value in inputs if value.type.rank == 2 and not value.type.is_float]
        self.texts = {self.find(value, value.type.axes[1]): value.type for value in words}
        tokens = tuple(self.texts)
        self.tokens = tokens[0] if len(tokens) == 1 else None  # an encoder's and a decoder's are not divided together
        outside = {self.batch, self.tokens}
        nodes = tuple(graph.body.walk())
        carried = (value for node in nodes if isinstance(node.op, Repeat | Scan) for value in node.inputs)
        self.stream = {self.find(value, axis) for value in carried for axis in value.type.axes} - outside
        grouped = ((node.op, node.inputs[1]) for node in nodes if isinstance(node.op, GroupedDot))
        self.experts = {self.find(table, op.group) for op, table in grouped}
        rows = ((node.op, node.inputs[0]) for node in nodes if isinstance(node.op, GroupedDot))
        self.routed = {self.find(x, axis) for op, x in rows for axis in x.type.axes if axis not in op.over} - outside
        self.worked_along = self._worked_along(nodes)
        inner = self._of_parameters(nodes) - self.worked_along - self.stream - self.experts - outside
        self.inner = inner if layout is None else inner & self._named(layout)

    def find(self, value: Value | str, axis: Axis) -> Place:
        """The dimension that an axis of a value is."""
        return self.classes.find((value, axis))

    def marked(self, layout: Layout, dimension: str) -> Iterator[tuple[Place, str]]:
        """The dimensions that a layout's rules lay on a dimension of its mesh, and how they are written."""
        for rule in layout.rules:
            for pattern in rule.axes if rule.dimension == dimension else ():
                for root, places in self.classes.members().items():
                    if any(pattern.matches(axis) for _, axis in places):
                        yield root, pattern.text

    def _named(self, layout: Layout) -> set[Place]:
        return {root for name in layout.mesh.names for root, _ in self.marked(layout, name)}

    def _of_parameters(self, nodes: tuple[Node, ...]) -> set[Place]:
        """The dimensions of parameters that products read, and of tables that have an entry for each place of one of
        these: the words of an embedding, where scores are given to words."""
        parameters: set[Value] = set()
        for node in nodes:
            if isinstance(node.op, Parameter) or (node.op.view and node.inputs[0] in parameters):
                parameters.add(node.output)

        def read(*ops: type[Op]) -> Iterator[tuple[Value, Axis]]:
            values = (value for node in nodes if isinstance(node.op, ops) for value in node.inputs)
            return ((value, axis) for value in values if value in parameters for axis in value.type.axes)

        sizes = {axis.size for _, axis in read(*_PRODUCTS)}
        return {self.find(*at) for at in (*read(*_PRODUCTS), *(at for at in read(Take) if at[1].size in sizes))}

    def _worked_along(self, nodes: tuple[Node, ...]) -> set[Place]:
        """The dimensions along which something works that would have to see all of them: a norm, a softmax, a
        concatenation."""
        found: set[Place] = set()
        for node in nodes:
            if not node.regions and not isinstance(node.op, _PASSING + _OVER_VOCABULARY):
                for value in node.inputs:
                    gone = (a for a in value.type.axes if a in node.op.goes_over or a not in node.output.type.axes)
                    found.update(self.find(value, axis) for axis in gone)
        return found
