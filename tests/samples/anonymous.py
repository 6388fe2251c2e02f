"""A graph without what its author called things: for comparing what two graphs compute.

Left out: the model's name, variant, file, docs, hyperparameters (what they decided is in the ops; the sizes stay),
scopes, spans, value names, constraints that hold at the known sizes. Numbered in the order of
first use: addresses of loops and parameters (their `*` stay), sites of dropout, axis names that are not the axis's
size. Kept: the names of inputs, outputs and states, sizes, initialisers. Nodes come in the order in which the results
ask for them, so the order in which independent things were written does not count.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attndsl.addresses import loops_of
from attndsl.diagnostics import Source, Span
from attndsl.graph.core import Graph, Node, ParameterInfo, Region, Value, captured
from attndsl.graph.initial import Initializer
from attndsl.graph.text import to_text
from attndsl.ops.base import Op
from attndsl.ops.fused import MaskFacts
from attndsl.ops.generators import Parameter
from attndsl.ops.pieces import Windows
from attndsl.records import fields, replace
from attndsl.sizes import Constraint, Size
from attndsl.types import Axis, Type

_NOWHERE = Span(Source("", ""), 0, 0)


def unlabelled(graph: Graph) -> str:
    """The text of `anonymous(graph)`: the same for two graphs that compute the same in the same way, whatever their
    layers, variables and parameters are called."""
    return to_text(anonymous(graph))


def ordered(region: Region) -> Region:
    """The same body with its nodes in the order of a walk back from the results, first operands first. Nodes that no
    result needs come last, as they stood."""
    rebuilt = {node: replace(node, regions=tuple(map(ordered, node.regions))) for node in region.nodes}
    producers = {value: node for node in region.nodes for value in node.outputs}
    done: dict[Node, None] = {}

    def visit(roots: Iterable[Value]) -> None:
        stack: list[tuple[Node, bool]] = []

        def push(values: Iterable[Value]) -> None:
            stack.extend((producers[value], False) for value in reversed(tuple(values)) if value in producers)

        push(roots)
        while stack:
            node, ready = stack.pop()
            if node in done:
                continue
            if ready:
                done[node] = None
                continue
            stack.append((node, True))
            push((*node.inputs, *(value for inner in rebuilt[node].regions for value in captured(inner))))

    visit(region.results)
    for node in region.nodes:
        visit(node.outputs)
    return Region(region.parameters, tuple(rebuilt[node] for node in done), region.results)


def anonymous(graph: Graph) -> Graph:
    """`graph` with the erasures that the module's documentation lists; it is still a valid graph."""
    return _Eraser(graph).result()


class _Eraser:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.values: dict[Value, Value] = {}
        self.axes: dict[str, str] = {}
        self.sites: dict[str, str] = {}
        self.addresses: dict[str, str] = {}
        self.loops: dict[str, str] = {}

    def result(self) -> Graph:
        graph = self.graph
        inputs = tuple(
            replace(
                info,
                value=self.value(info.value),
                doc=None,
                span=None,
                default=None if info.default is None else "",
                bounds=tuple(replace(bound, span=_NOWHERE) for bound in info.bounds),
            )
            for info in graph.inputs
        )
        body = self.region(ordered(graph.body))
        outputs = tuple(replace(info, value=self.values[info.value], doc=None, span=None) for info in graph.outputs)
        for info in graph.parameters:
            self.address(info.address)
        order = {address: i for i, address in enumerate(self.addresses)}
        parameters = tuple(
            ParameterInfo(
                self.addresses[info.address],
                self.type(info.type),
                self.initial(info.initializer),
                info.layers,
                stacks=info.stacks,
            )
            for info in sorted(graph.parameters, key=lambda info: order[info.address])
        )
        open_constraints = {
            f"{c.left} {c.relation} {c.right}": Constraint(c.relation, c.left, c.right, _NOWHERE)
            for c in graph.constraints
            if c.holds(graph.sizes) is not True
        }
        constraints = tuple(open_constraints[text] for text in sorted(open_constraints))
        states = tuple(replace(info, type=self.type(info.type), span=None) for info in graph.states)
        return Graph("model", {}, graph.sizes, inputs, outputs, parameters, constraints, {}, body, states=states)

    def region(self, region: Region) -> Region:
        parameters = tuple(map(self.value, region.parameters))
        nodes = tuple(map(self.node, region.nodes))
        return Region(parameters, nodes, tuple(self.values[value] for value in region.results))

    def node(self, node: Node) -> Node:
        op = self.op(node.op)
        inputs = tuple(self.values[value] for value in node.inputs)
        outputs = tuple(map(self.value, node.outputs))
        return Node(op, inputs, outputs, tuple(map(self.region, node.regions)))

    def value(self, value: Value) -> Value:
        if value not in self.values:
            self.values[value] = Value(self.type(value.type))
        return self.values[value]

    def op(self, op: Op) -> Op:
        changed: dict[str, object] = {}
        for attribute in fields(op):  # type: ignore[arg-type]
            old = getattr(op, attribute.name)
            if attribute.name == "path":
                changed["path"] = self.loop(old)
            elif attribute.name == "site":
                changed["site"] = old and self.sites.setdefault(old, str(len(self.sites)))
            elif isinstance(op, Parameter) and attribute.name == "address":
                changed["address"] = self.address(old)
            else:
                changed[attribute.name] = self.attribute(old)
        return replace(op, **changed) if changed else op  # type: ignore[type-var]

    def initial(self, part: Any) -> Any:
        if not isinstance(part, Initializer):
            return part
        op = None if part.op is None else self.op(part.op)
        return replace(part, op=op, arguments=tuple(map(self.initial, part.arguments)))

    def attribute(self, value: object) -> object:
        if isinstance(value, Axis):
            return self.axis(value)
        if isinstance(value, Type):
            return self.type(value)
        if isinstance(value, MaskFacts | Windows):
            changed: dict[str, Any] = {f.name: self.attribute(getattr(value, f.name)) for f in fields(value)}
            return replace(value, **changed)
        return tuple(map(self.attribute, value)) if isinstance(value, tuple) else value

    def type(self, type: Type) -> Type:
        return Type(type.dtype, tuple(map(self.axis, type.axes)))

    def axis(self, axis: Axis) -> Axis:
        if axis.name == str(axis.size) and axis.origin == Size.of(0):
            return axis
        return axis.named(self.axes.setdefault(axis.name, f"${len(self.axes)}"))

    def address(self, address: str) -> str:
        if address not in self.addresses:
            inside = "".join(f"{self.loop(loop)}.*." for loop in loops_of(address)[-1:])
            self.addresses[address] = f"{inside}p{len(self.addresses)}"
        return self.addresses[address]

    def loop(self, path: str) -> str:
        """The address of a repeat or a scan."""
        if path not in self.loops:
            inside = "".join(f"{self.loop(loop)}.*." for loop in loops_of(path)[-1:])
            self.loops[path] = f"{inside}l{len(self.loops)}"
        return self.loops[path]
