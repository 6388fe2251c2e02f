"""Which values share a variable, and what a variable is best called."""

from __future__ import annotations

from collections.abc import Collection

from attndsl import ops
from attndsl.backends.pytorch.attention import Sdpa
from attndsl.backends.pytorch.special import LayerCall
from attndsl.backends.pytorch.specialize import any_op
from attndsl.backends.pytorch.spelling import spelled
from attndsl.graph import Graph, Node, Region, Value
from attndsl.ops import Op

# What is called after its operand: the same elements in another shape.
VIEWS = (ops.Unflatten, ops.Flatten, ops.Transpose, ops.Broadcast)
# What is called after its result, if that is the next value of the same thing: `x = x + …`.
STEPS = (ops.Add, ops.Sub, ops.Mul, ops.Dropout)


def is_alias(node: Node) -> bool:
    """Whether the node's result is its operand, as far as torch can see."""
    op = node.op
    if node.regions or not node.inputs:
        return False
    given, made = node.inputs[0].type, node.output.type
    if isinstance(op, (ops.Unflatten, ops.Flatten)):
        return len(op.parts) == 1
    if isinstance(op, (ops.Transpose, ops.Broadcast)):
        return given.axes == op.axes
    if isinstance(op, ops.Cast):
        return given == made
    if isinstance(op, ops.StopGradient):
        return not made.is_float
    return isinstance(op, ops.Rename) or (isinstance(op, ops.Dropout) and op.p == 0 and given.is_float)


def _is_own(op: Op) -> bool:
    """Whether a value of it is never taken for a second writing of another: drawn anew, or too large or too small to be
    worth it."""
    return op.draws or op.free or isinstance(op, (ops.OneOf, Sdpa, LayerCall))


class Variables:
    """The values of a graph's body as variables: values that differ only in the names of their axes are one, and so are
    those that one body computes twice the same way (positions along queries, and along keys of the same length)."""

    def __init__(self, graph: Graph, body: Region, taps: Collection[Value]) -> None:
        self.scopes = graph.scopes
        self.taps = taps
        self._roots: dict[Value, Value] = {}
        self._names: dict[Value, tuple[str, ...]] = {}
        self._join(body)
        self._suggest(body)
        for info, value in zip(graph.outputs, body.results, strict=True):
            if info.name in graph.state_names:
                around, _, name = info.name.rpartition(".")
                self._names[self.root(value)] = self.names(self.root(value)) or (f"{around}.next_{name}",)

    def root(self, value: Value) -> Value:
        """The value whose variable this one shares."""
        return self._roots.get(value, value)

    def shares(self, node: Node) -> bool:
        """Whether the node's result goes by another value's variable, so that nothing is written for it."""
        return not node.regions and node.output in self._roots

    def names(self, value: Value) -> tuple[str, ...]:
        """The addresses that a variable may take its name from."""
        return self._names.get(value, value.names)

    def _join(self, region: Region) -> None:
        said: dict[str, Value] = {}
        for node in region.nodes:
            for inner in node.regions:
                self._join(inner)
            for value in node.outputs:
                self._names[value] = value.names
            origin: Value | None = None
            if is_alias(node):
                origin = self.root(node.inputs[0])
            elif not node.regions and not _is_own(node.op) and node.output not in self.taps:
                origin = said.setdefault(spelled(node, self.root), node.output)
            if origin is not None and origin is not node.output:
                self._roots[node.output] = origin
                self._names[origin] = self.names(origin) + node.output.names

    def _suggest(self, region: Region) -> None:
        """Names for values that have none."""
        for node in region.nodes:
            if isinstance(node.op, VIEWS) and not self.names(node.output):
                self._names[node.output] = self.names(self.root(node.inputs[0]))
            for inner in node.regions:
                for start, carried, end in zip(node.starts, inner.parameters[1:], node.outputs, strict=False):
                    if not carried.names:
                        self._names[carried] = self.names(self.root(start))
                        self._names[end] = self.names(end) or self._names[carried]
                for result, parameter in zip(inner.results[: any_op(node).carried], inner.parameters[1:], strict=True):
                    self._call(result, self.names(parameter))
                self._suggest(inner)
        for node in reversed(region.nodes):
            if node.regions:
                for value, parameter in zip(node.starts, node.regions[0].parameters[1:], strict=True):
                    self._call(value, parameter.names)
            elif isinstance(node.op, ops.InTraining):
                for value in node.inputs:
                    self._call(value, self.names(self.root(node.output)))
            elif isinstance(node.op, STEPS):
                (first, *_), result = node.inputs, node.output
                if not self.names(self.root(first)) and first.type == result.type:
                    self._call(first, self.names(self.root(result)))

    def _call(self, value: Value, names: tuple[str, ...]) -> None:
        """Name a value that no variable of the author's is: what is carried on is called what it is carried as, even if
        a layer made it."""
        root = self.root(value)
        if names and all(name in self.scopes for name in self.names(root)):
            self._names[root] = names
