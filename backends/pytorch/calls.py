"""Layers as objects: what one layer computes with all of its parameters becomes a call of a class that has them."""

from __future__ import annotations

from collections.abc import Mapping

from attndsl import ops
from attndsl.backends.pytorch.special import Embedding, LayerCall, Linear
from attndsl.graph import FLOAT32, Node, Value
from attndsl.passes.rewrite import EditedBody, Rewriter

Layer = tuple[str, tuple[str, ...]]  # the class in `helpers.LAYERS`, and its arguments besides the parameters


def call_layers(rewriter: Rewriter) -> dict[str, Layer]:
    """Put calls in the place of nodes that are layers whose parameters are all used in one and the same way, and give
    these layers by path."""
    search = _Search(rewriter)
    search.visit(rewriter.body, "")
    layers = {path: kinds.pop() for path, kinds in search.found.items() if len(kinds) == 1}
    for node, call in search.calls.items():
        if call.path in layers:
            x = node.inputs[1] if isinstance(node.op, Embedding) else node.inputs[0]
            rewriter.put(node, Node(call, (x,), node.outputs, (), node.scope, node.span, node.site))
    return layers


class _Search:
    def __init__(self, rewriter: Rewriter) -> None:
        self.rewriter = rewriter
        self.parts: dict[str, set[str]] = {}
        for info in rewriter.graph.parameters:
            path, _, name = info.address.rpartition(".")
            self.parts.setdefault(path, set()).add(name)
        self.inner = {path.rpartition(".")[0] for path in self.parts}
        self.found: dict[str, set[Layer]] = {}
        self.calls: dict[Node, LayerCall] = {}

    def visit(self, body: EditedBody, base: str) -> None:
        for place in body.places():
            node = place.node
            assert node is not None
            for inside in place.bodies:
                self.visit(inside, f"{node.op.path}.*." if isinstance(node.op, ops.Repeat) else base)
            shape = _shape(node, self.rewriter.producers)
            if shape is None or node.output.type.dtype == FLOAT32:  # a layer's parameters are as precise as its module
                continue
            layer, addresses = shape
            path = next(iter(addresses.values())).rpartition(".")[0]
            named_so = {f"{path}.{name}" for name in addresses} == set(addresses.values())
            exact = named_so and self.parts[path] == set(addresses)
            if exact and path and path.startswith(base) and "*" not in path[len(base) :] and path not in self.inner:
                self.found.setdefault(path, set()).add(layer)
                self.calls[node] = LayerCall(path, layer[0])


def _shape(node: Node, producers: Mapping[Value, Node]) -> tuple[Layer, dict[str, str]] | None:
    """The layer that a node could be a call of, and its parameters' addresses."""
    layer: Layer
    names: tuple[str, ...]
    values = node.inputs[1:]
    match node.op:
        case Linear(out_first=False):
            layer, names = ("Linear", ()), ("weight", "bias")
        case Embedding():
            layer, names, values = ("Embedding", ()), ("table",), node.inputs[:1]
        case ops.LayerNorm((_,), eps, scaled=True):
            layer, names = ("LayerNorm", (f"eps={eps!r}",)), ("scale", "shift")
        case ops.RMSNorm((_,), eps, scaled=True):
            layer, names = ("RMSNorm", (f"eps={eps!r}",)), ("scale",)
        case _:
            return None
    addresses: dict[str, str] = {}
    for name, value in zip(names, values, strict=False):
        match producers.get(value):
            case Node(op=ops.Parameter(address)):
                addresses[name] = address
            case _:
                return None
    return layer, addresses
