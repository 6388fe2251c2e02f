"""What kind of layer a box stands for, told from what the layer computes, and how each kind looks.

The palette is a lightened form of Okabe and Ito's (2008), which people with any common form of colour blindness can
tell apart; each kind has a border of its own as well, and a box's text names what it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attndsl import ops
from attndsl.graph import Axis, Graph, Node, Region, Value, captured
from attndsl.inspection.attending import attending
from attndsl.records import Frozen


class Look(Frozen):
    """How boxes of a kind are drawn. `word` is what the legend says."""

    word: str
    fill: str
    border: str = "#4a4a4a"
    style: str = "rounded,filled"
    shape: str = "box"
    thickness: float = 1.0
    rings: int = 1


LOOKS: dict[str, Look] = {
    "input": Look("input", "#ffffff", shape="ellipse", style="filled"),
    "output": Look("output", "#ffffff", shape="ellipse", style="filled", rings=2),
    "embedding": Look("embedding", "#f9d9c8", "#8f3f10", rings=2),
    "position": Look("position", "#f6dcea", "#7d3560", style="rounded,filled,dashed"),
    "attention": Look("attention", "#fbd68a", "#7a4b00", thickness=2.4),
    "norm": Look("normalisation", "#fbf5b8", "#7a7000"),
    "feed-forward": Look("feed-forward", "#c9e4f6", "#0b4f79", thickness=2.4),
    "experts": Look("mixture of experts", "#c9e4f6", "#0b4f79", rings=3),
    "linear": Look("linear", "#dfeefa", "#0b4f79"),
    "convolution": Look("convolution", "#cfeaf0", "#0b5c6b", rings=2),
    "recurrent": Look("recurrent", "#e3d9f2", "#4b2f7a", thickness=2.4),
    "activation": Look("activation", "#cdebdd", "#00593f"),
    "gate": Look("gate", "#cdebdd", "#00593f", rings=2),
    "dropout": Look("dropout", "#ffffff", "#6b6b6b", style="rounded,filled,dashed"),
    "state": Look("state", "#fff3df", "#7a4b00", shape="cylinder", style="filled"),
    "loss": Look("loss", "#e6e6e6", "#333333", rings=2),
    "block": Look("block", "#ececec", "#4a4a4a"),
    "operation": Look("operation", "#ffffff", "#4a4a4a", style="filled"),
}


def is_circle(kind: str) -> bool:
    """Whether a box of this kind is the circle of an op: two streams meet in it."""
    return kind in ops.OPS and bool(ops.OPS[kind].sign)


class Recognised:
    """What can be told of a graph's nodes by what is around them: which softmaxes attend, what a scan hands on from
    step to step, and which layers stand for several (`mixtures`, by path), of which each element goes through one."""

    def __init__(self, graph: Graph) -> None:
        self.mixtures: dict[str, Axis] = {}
        for info in graph.parameters:
            for axis, depth in zip(info.type.axes, info.stacks, strict=False):
                self.mixtures[".".join(info.address.split(".")[:depth])] = axis
        self.stacked = {info.address: info.type.axes[: info.stacked] for info in graph.parameters}
        self.attending = attending(graph)
        self.recurring = frozenset(_recurring(graph.body))

    def kind(self, nodes: Iterable[Node], children: Iterable[str] = ()) -> str:
        """The kind of a layer that consists of `nodes` (its inner layers' included). `children` are the kinds of the
        layers directly in it: one that has an attention layer among others is a block of its own (`attend`: attention
        to what the layer itself projects)."""
        inner = [kind for kind in children if kind not in ("dropout", "activation", "norm", "position", "block")]
        if "attend" in inner and set(inner) <= {"attend", "linear"}:
            return "attention"
        if "attend" in inner or "attention" in inner or ("recurrent" in inner and len(set(inner)) > 1):
            return "block"
        if "experts" in inner:
            return "experts"
        nodes = list(nodes)
        if any(node.op.role == "attention" or node in self.attending for node in nodes):
            return "attention"
        own = self.parameters(nodes)
        dots = [node for node in nodes if isinstance(node.op, ops.Dot)]
        products = {own[value] for node in dots for value in node.inputs if value in own}
        if (products and _any(nodes, ops.Windows)) or (own and _any(nodes, ops.Convolution)):
            return "convolution"
        gates = [node for node in nodes if isinstance(node.op, (ops.Sigmoid, ops.Tanh))]
        if _any(nodes, ops.Scan) or (products and any(node in self.recurring for node in gates)):
            return "recurrent"
        if _any(nodes, ops.LogSoftmax, ops.LogSumExp):
            return "loss"
        if products:
            return "feed-forward" if len(products) > 1 else "linear"
        if any(isinstance(node.op, ops.Take) and node.inputs[0] in own and node.output not in own for node in nodes):
            return "embedding"
        if _normalises(nodes):
            return "norm"
        if any(node.op.role == "dropout" for node in nodes):
            return "dropout"
        if _any(nodes, ops.Sin, ops.Cos):
            return "position"
        if own:
            return "position" if all(map(_looks_up, nodes)) else "block"
        return "activation" if _bends(nodes) else "block"

    def parameters(self, nodes: list[Node]) -> dict[Value, str]:
        """The values among `nodes` that are parameters, or these moved, scaled, or chosen among several layers', with
        the parameters' addresses."""
        found: dict[Value, str] = {}
        for node in nodes:
            if isinstance(node.op, ops.Parameter):
                found[node.output] = node.op.address
            elif node.inputs and (address := found.get(node.inputs[0])) is not None:
                chooses = isinstance(node.op, ops.Take) and node.op.over in self.stacked[address]
                if chooses or _moved(node):
                    found[node.output] = address
        return found


def _any(nodes: Iterable[Node], *kinds: type[ops.Op]) -> bool:
    return any(isinstance(node.op, kinds) for node in nodes)


def _normalises(nodes: list[Node]) -> bool:
    by_root = _any(nodes, ops.Rsqrt, ops.Sqrt) and _any(nodes, ops.Mean, ops.Sum)
    return by_root or any(node.op.role == "norm" for node in nodes)


def _looks_up(node: Node) -> bool:
    """Whether a node does no more than fetch, move, scale and add."""
    return _moved(node) or not node.op.operands or isinstance(node.op, (ops.Add, ops.Take))


def _bends(nodes: list[Node]) -> bool:
    """Whether a layer without parameters is a curve, or a ramp with a knee such as relu. Pooling has windows."""
    if _any(nodes, ops.Windows):
        return False
    if any(node.op.role == "activation" for node in nodes):
        return bool(nodes[-1].outputs[0].type.axes)  # a number is not the curve of one
    return _any(nodes, ops.Where) and all(node.op.pointwise or node.op.role == "none" for node in nodes)


def _moved(node: Node) -> bool:
    return node.op.moves or isinstance(node.op, (ops.Cast, ops.Mul))


def _recurring(region: Region) -> Iterator[Node]:
    """The nodes of scans' bodies between a carried value and the next one in its place."""
    for node in region.nodes:
        for body in node.regions:
            yield from _recurring(body)
            if isinstance(node.op, ops.Scan):
                before = _readers(body, set(body.parameters[1:]))
                after = _makers(body, set(body.results[: node.op.carried]))
                for inner in (inner for inner in body.nodes if inner in before and inner in after):
                    yield inner
                    for deeper in inner.regions:
                        yield from deeper.walk()


def _reads(node: Node) -> set[Value]:
    return {*node.inputs, *(value for inner in node.regions for value in captured(inner))}


def _readers(body: Region, values: set[Value]) -> set[Node]:
    found: set[Node] = set()
    for node in body.nodes:
        if _reads(node) & values:
            found.add(node)
            values.update(node.outputs)
    return found


def _makers(body: Region, values: set[Value]) -> set[Node]:
    found: set[Node] = set()
    for node in reversed(body.nodes):
        if values.intersection(node.outputs):
            found.add(node)
            values |= _reads(node)
    return found
