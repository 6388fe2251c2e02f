"""What a forward pass has to keep for the backward one.

Each operation's gradient reads some of its operands again, or its own result (`Op.kept`); those values stay in memory
until the backward pass reaches them. That is said of each primitive as it stands in the graph: nothing is fused,
nothing recomputed. Values that only rename, reorder or cut another one share its memory (`Op.view`); of those that are
made again (`Op.made_again`, but for vectors) the operand is kept. What is taken of the parameters of several layers
(`ParameterInfo.stacked`) is not kept either: a product with it reads the parameters.
"""

from __future__ import annotations

from collections.abc import Iterable

from attndsl.graph import Axis, Node, ParameterInfo, Region, Value
from attndsl.ops import OUTPUT, Dropout, Parameter, Take
from attndsl.types import BYTES


class KeptValues:
    """Decides, node by node in order, which values are kept; every value is reported once, by the node that is the
    first to need it."""

    def __init__(self, parameters: Iterable[ParameterInfo] = ()) -> None:
        self._stacks = {info.address: info.type.axes[: info.stacked] for info in parameters if info.stacked}
        self._stacked: dict[Value, tuple[Axis, ...]] = {}  # parameters of several layers, and the axes that count these
        self._trained: set[Value] = set()  # depends on a parameter: a gradient flows through it
        self._base: dict[Value, Value] = {}  # a view, and what it looks at
        self._seen: set[Value] = set()
        self._made_again: dict[Value, Value] = {}  # what is not kept, and views of it
        self.made_again: dict[Value, None] = {}  # what is made again in the backward pass, in order of first reading

    def enter(self, region: Region, node: Node) -> None:
        """Prepare for the nodes of a body: what it carries has a gradient if what comes in or goes out has one."""
        inside = region.parameters[1:]
        before = -1
        while before != len(self._trained):
            before = len(self._trained)
            for parameter, initial in zip(inside, node.starts, strict=True):
                if initial in self._trained:
                    self._trained.add(parameter)
            for inner in region.nodes:
                self._flow(inner)
            for parameter, result in zip(inside, region.results, strict=False):
                if result in self._trained:
                    self._trained.add(parameter)

    def _flow(self, node: Node) -> None:
        for region in node.regions:
            self.enter(region, node)
        results = [result for region in node.regions for result in region.results]
        if node.op.reads_parameters or any(v in self._trained for v in (*node.inputs, *results)):
            floats = (v for v in node.outputs if v.type.is_float)
            self._trained.update(floats if node.op.differentiable else ())

    def of(self, node: Node) -> tuple[tuple[Value, int], ...]:
        """The values that `node` makes the forward pass keep and that no earlier one did, with the bytes of one
        element of each."""
        self._flow(node)
        made_again = node.op.made_again and node.output.type.rank > 1  # a vector is worth less than making it
        if node.op.view or made_again:
            self._base[node.output] = self._base.get(node.inputs[0], node.inputs[0])
        if made_again:
            self._made_again[node.output] = node.output
        elif node.op.view and node.inputs[0] in self._made_again:
            self._made_again[node.output] = self._made_again[node.inputs[0]]
        if isinstance(node.op, Parameter) and node.op.address in self._stacks:
            self._stacked[node.output] = self._stacks[node.op.address]
        stack = self._stacked.get(node.inputs[0], ()) if isinstance(node.op, Take) else ()
        if isinstance(node.op, Take) and node.op.over in stack:
            self._stacked[node.output] = stack
            self.ignore(node.output)
        if node.op.free:
            self.ignore(node.output)
        if node.regions or not any(v in self._trained for v in node.outputs):
            return ()
        if isinstance(node.op, Dropout):  # which elements it dropped
            return ((node.output, 1),) if node.op.p != 0 else ()
        found: dict[Value, int] = {}
        for place in node.op.kept(tuple(value in self._trained for value in node.inputs)):
            value = node.output if place == OUTPUT else node.inputs[place]
            base = self._base.get(value, value)
            if value in self._made_again:
                self.made_again.setdefault(self._made_again[value])
            if base not in self._seen:
                self._seen.add(base)
                found[base] = BYTES[base.type.dtype]
        return tuple(found.items())

    def trains(self, value: Value) -> bool:
        """Whether a gradient flows into it."""
        return value in self._trained

    def ignore(self, value: Value) -> None:
        """Count `value` never: it is in memory anyway."""
        self._seen.add(value)
