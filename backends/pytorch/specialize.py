"""From a graph to one that torch says shortly: operators that torch has in one call, layers that are objects with their
parameters, and nothing that is not needed. Values stay the same objects; only nodes change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any

from attndsl import ops
from attndsl.backends.pytorch import attention
from attndsl.backends.pytorch.special import Embedding, LayerCall, Linear, NegativeLogLikelihood, Relu
from attndsl.backends.pytorch.taps import tapped
from attndsl.backends.pytorch.widening import widened
from attndsl.graph import FLOAT, Graph, Node, Region, Type, Value, captured
from attndsl.graph.builder import Builder
from attndsl.masks.analysis import describe_mask
from attndsl.ops.base import Op
from attndsl.records import dataclass, field, replace


@dataclass(eq=False)
class Specialized:
    """A graph's body for torch. `layers` has the class of each layer that is called as one (`helpers.LAYERS`), and the
    arguments that it takes besides its parameters."""

    body: Region
    layers: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    wide: frozenset[Value] = frozenset()


def specialize(graph: Graph, taps: Collection[Value] = ()) -> Specialized:
    """The body of `graph`, rewritten. Values in `taps` are still made."""
    rewriting = _Rewriting(graph, set(taps))
    body = rewriting.region(graph.body)
    body = pruned(body, taps)
    layers, calls = _layers(graph, body)
    body, wide = widened(_with_calls(body, calls))
    return Specialized(pruned(body, taps), layers, wide)


class _Rewriting:
    def __init__(self, graph: Graph, taps: set[Value]) -> None:
        self.graph = graph
        self.taps = taps
        self.producers: dict[Value, Node] = {}
        self.uses: Counter[Value] = Counter(info.value for info in graph.outputs)
        self.uses.update(taps)
        self.replaced: dict[Value, Value] = {}
        self.made: list[set[Value]] = []  # the values of each body around, innermost last
        self.outside: list[list[Node]] = []  # what is to stand before each loop around
        self._count(graph.body)

    def _count(self, region: Region) -> None:
        for node in region.nodes:
            self.uses.update(node.inputs)
            for value in node.outputs:
                self.producers[value] = node
            for inner in node.regions:
                self._count(inner)
        self.uses.update(region.results)

    def region(self, region: Region) -> Region:
        nodes: list[Node] = []
        self.made.append(set(region.parameters))
        for node in region.nodes:
            if node.regions:
                self.outside.append([])
            node = replace(
                node,
                inputs=tuple(self.replaced.get(v, v) for v in node.inputs),
                regions=tuple(self.region(inner) for inner in node.regions),
            )
            if node.regions:
                nodes += self.outside.pop()
            rule = RULES.get(type(node.op))
            rewritten = rule(self, node) if rule else None
            if isinstance(node.op, ops.Attention) and rewritten is None:
                rewritten = self.attention(node)
            for new in rewritten if isinstance(rewritten, list) else [rewritten or node]:
                nodes.append(new)
                self.made[-1].update(new.outputs)
                for value in new.outputs:
                    self.producers[value] = new
        self.made.pop()
        results = tuple(self.replaced.get(v, v) for v in region.results)
        return Region(region.parameters, tuple(nodes), results)

    def only_use(self, value: Value, op: type[Op]) -> Node | None:
        """The node that makes `value`, if it is an `op` and what reads it now is the only one that does; renames
        between them are passed over."""
        node = self.producers.get(value)
        while node is not None and isinstance(node.op, ops.Rename) and self.uses[value] == 1:
            value = node.inputs[0]
            node = self.producers.get(value)
        return node if node is not None and isinstance(node.op, op) and self.uses[value] == 1 else None

    def expanded(self, node: Node) -> list[Node]:
        """A fused operator as primitives."""
        builder = Builder(node.scope, node.span, node.site)
        op: Any = node.op
        result = op.expand(builder, *node.inputs)
        last = builder.nodes[-1]
        if last.output is not result or last.output.type != node.output.type:
            self.replaced[node.output] = result
            return builder.nodes
        return [*builder.nodes[:-1], replace(last, outputs=node.outputs)]

    def attention(self, node: Node) -> list[Node]:
        op: Any = node.op
        q, k, v, *rest = node.inputs
        where, bias = op.extra(*rest)
        # Axes are found by name, so an order that only attention asked for need not be made.
        q, k, v = map(self.untransposed, (q, k, v))
        alone = [a for a in q.type.axes if a not in k.type.axes and a not in op.contract and a not in v.type.axes]
        said = [describe_mask(where, self.producers, a, op.over, self.graph.sizes) for a in alone if where is not None]
        planned = attention.plan(
            op,
            q.type,
            k.type,
            v.type,
            where.type if where else None,
            bias.type if bias else None,
            causal=any(mask.causal for mask in said),
            empty_rows=not any(mask.rows_never_empty for mask in said),
            head=op.contract[0].size.known(self.graph.sizes),
        )
        if isinstance(planned, str):
            return self.expanded(node)
        extra = [v for v in (where if planned.masked else None, bias) if v is not None]
        before: list[Node] = []
        if len(extra) == 2 and not planned.empty_rows:
            laid_out = (*planned.batch, planned.groups, planned.queries, planned.keys)
            there = {*extra[0].type.axes, *extra[1].type.axes}
            merged = Value(Type(FLOAT, tuple(axis for axis in laid_out if axis is not None and axis in there)))
            before = [replace(node, op=attention.MaskedBias(), inputs=tuple(extra), outputs=(merged,))]
            if self.outside and not set(extra) & self.made[-1]:
                self.outside[-1] += before  # the same in every round
                before = []
            planned, extra = replace(planned, masked=False), [merged]
        return [*before, replace(node, op=planned, inputs=(q, k, v, *extra))]

    def untransposed(self, value: Value) -> Value:
        node = self.producers.get(value)
        return node.inputs[0] if node is not None and isinstance(node.op, ops.Transpose) else value


# -------------------------------------------------------------------------------------------------------- single rules


def _linear(rewriting: _Rewriting, node: Node) -> Node | None:
    """dot(x, matrix) over x's last axis."""
    x, weight = node.inputs
    axes = weight.type.axes
    op: Any = node.op
    if len(op.over) != 1 or len(axes) != 2 or {x.type.dtype, weight.type.dtype} != {FLOAT}:
        return None
    (over,) = op.over
    (out,) = (axis for axis in axes if axis != over)
    if not x.type.axes or x.type.axes[-1] != over or out in x.type.axes:
        return None
    return replace(node, op=Linear(out_first=axes[0] == out))


def _biased(rewriting: _Rewriting, node: Node) -> Node | None:
    """A linear layer plus a vector along what it gives."""
    for product, bias in (node.inputs, node.inputs[::-1]):
        made = rewriting.only_use(product, Linear)
        if (
            made is not None
            and len(made.inputs) == 2
            and bias.type.axes == product.type.axes[-1:]
            and bias.type.dtype == FLOAT
            and node.output.type == product.type
        ):
            return replace(node, op=made.op, inputs=(*made.inputs, bias), scope=made.scope)
    return None


def _embedding(rewriting: _Rewriting, node: Node) -> Node | None:
    table, at = node.inputs
    axes, op = table.type.axes, any_op(node)
    if len(axes) != 2 or axes[0] != op.over or axes[1] in at.type.axes or table.type.dtype != FLOAT:
        return None
    return replace(node, op=Embedding())


def _likelihood(rewriting: _Rewriting, node: Node) -> Node | None:
    """log_sum_exp(x, over=V) - take(x, target, over=V)."""
    total = rewriting.only_use(node.inputs[0], ops.LogSumExp)
    taken = rewriting.only_use(node.inputs[1], ops.Take)
    if total is None or taken is None or total.inputs[0] is not taken.inputs[0]:
        return None
    over = any_op(total).over
    x, target = taken.inputs
    if (
        over != any_op(taken).over
        or set(target.type.axes) != set(x.type.axes) - {over}
        or node.output.type.axes != total.output.type.axes
    ):
        return None
    return replace(node, op=NegativeLogLikelihood(over), inputs=(x, target))


def _relu(rewriting: _Rewriting, node: Node) -> Node | None:
    """where(x <= 0, 0, x): NaN stays NaN, as in torch (`where(x > 0, x, 0)` makes it 0)."""
    condition, zero, x = node.inputs
    compared = rewriting.producers.get(condition)
    if compared is None or not isinstance(compared.op, (ops.Le, ops.Ge)) or x.type.dtype != FLOAT:
        return None
    left, right = compared.inputs if isinstance(compared.op, ops.Le) else compared.inputs[::-1]
    if left is not x or not all(_is_zero(v, rewriting.producers) for v in (zero, right)):
        return None
    return replace(node, op=Relu(), inputs=(x,))


def _reordered(rewriting: _Rewriting, node: Node) -> Node | None:
    """Axes merged and then moved: moved first, they are neighbours where they come to stand."""
    made = rewriting.only_use(node.inputs[0], ops.Flatten)
    if made is None or made.output is not node.inputs[0]:
        return None
    return replace(node, op=made.op, inputs=made.inputs)


def _heads_joined(rewriting: _Rewriting, node: Node) -> Node | None:
    """Grouped queries whose heads are taken apart for attention and put together behind it: torch takes them whole."""
    made = rewriting.only_use(node.inputs[0], attention.Sdpa)
    if made is None or made.output is not node.inputs[0]:
        return None
    op, joined = any_op(made), any_op(node)
    if op.groups is None or joined.parts != (op.batch[-1], op.groups):
        return None
    split = rewriting.producers.get(made.inputs[0])
    if split is None or not isinstance(split.op, ops.Unflatten) or split.op.parts != joined.parts:
        return None
    q = rewriting.untransposed(split.inputs[0])
    whole = replace(op, split=split.op.axis, joined=joined.axis)
    return replace(made, op=whole, inputs=(q, *made.inputs[1:]), outputs=node.outputs)


def _is_zero(value: Value, producers: Mapping[Value, Node]) -> bool:
    node = producers.get(value)
    return node is not None and isinstance(node.op, ops.Constant) and node.op.value == 0


def _norm(rewriting: _Rewriting, node: Node) -> list[Node] | None:
    """Layer norms that torch has: over the last axes, with parameters of exactly those axes, in order."""
    x, *affine = node.inputs
    over = any_op(node).over
    last = x.type.axes[len(x.type.axes) - len(over) :]
    fits = set(last) == set(over) and all(v.type.axes == last and v.type.dtype == FLOAT for v in affine)
    return None if fits else rewriting.expanded(node)


def any_op(node: Node) -> Any:
    """The node's operator, where its class has been found out already."""
    return node.op


Rule = Callable[[_Rewriting, Node], "Node | list[Node] | None"]
RULES: dict[type[Op], Rule] = {
    ops.Dot: _linear,
    ops.Add: _biased,
    ops.Take: _embedding,
    ops.Sub: _likelihood,
    ops.Where: _relu,
    ops.Transpose: _reordered,
    ops.Flatten: _heads_joined,
    ops.LayerNorm: _norm,
    ops.RMSNorm: _norm,
}


# ------------------------------------------------------------------------------------------------- what nothing needs


def pruned(region: Region, taps: Collection[Value] = ()) -> Region:
    """The region without nodes that neither its results nor `taps` need, and without emissions that nobody reads."""
    taps = set(taps)
    needed: set[Value] = set(region.results)
    kept: list[Node] = []
    for node in reversed(region.nodes):
        holds_tap = bool(taps) and any(tapped(inner, taps) for inner in node.regions)
        if not holds_tap and not any(value in needed or value in taps for value in node.outputs):
            continue
        if node.regions:
            node = _without_emissions(node, needed)
            node = replace(node, regions=tuple(pruned(inner, taps) for inner in node.regions))
            for inner in node.regions:
                needed.update(captured(inner))
        needed.update(node.inputs)
        kept.append(node)
    return Region(region.parameters, tuple(reversed(kept)), region.results)


def _without_emissions(node: Node, needed: Collection[Value]) -> Node:
    op = any_op(node)
    count = op.carried
    keep = [i for i, value in enumerate(node.outputs) if i < count or value in needed]
    if len(keep) == len(node.outputs):
        return node
    return replace(
        node,
        op=replace(op, stacked=tuple(op.stacked[i - count] for i in keep if i >= count)),
        outputs=tuple(node.outputs[i] for i in keep),
        regions=tuple(replace(r, results=tuple(r.results[i] for i in keep)) for r in node.regions),
    )


# --------------------------------------------------------------------------------------------------- layers as objects


def _layers(graph: Graph, body: Region) -> tuple[dict[str, tuple[str, tuple[str, ...]]], dict[Node, LayerCall]]:
    """Layers whose parameters all nodes use in one and the same way, by path, and the nodes that become calls."""
    parts: dict[str, dict[str, object]] = {}
    for info in graph.parameters:
        path, _, name = info.address.rpartition(".")
        parts.setdefault(path, {})[name] = info
    inner = {path.rpartition(".")[0] for path in parts}
    producers = {value: node for node in body.walk() for value in node.outputs}
    found: dict[str, set[tuple[str, tuple[str, ...]]]] = {}
    calls: dict[Node, LayerCall] = {}

    def visit(region: Region, base: str) -> None:
        for node in region.nodes:
            for inside in node.regions:
                visit(inside, f"{node.op.path}.*." if isinstance(node.op, ops.Repeat) else base)
            shape = _layer_shape(node, producers)
            if shape is None:
                continue
            kind, arguments, addresses = shape
            path = next(iter(addresses.values())).rpartition(".")[0]
            named_so = {f"{path}.{name}" for name in addresses} == set(addresses.values())
            exact = named_so and set(parts[path]) == set(addresses)
            if exact and path and path.startswith(base) and "*" not in path[len(base) :] and path not in inner:
                found.setdefault(path, set()).add((kind, arguments))
                calls[node] = LayerCall(path, kind)

    visit(body, "")
    layers = {path: next(iter(kinds)) for path, kinds in found.items() if len(kinds) == 1}
    return layers, {node: call for node, call in calls.items() if call.path in layers}


def _layer_shape(node: Node, producers: Mapping[Value, Node]) -> tuple[str, tuple[str, ...], dict[str, str]] | None:
    """The class of layer that a node could be a call of, its further arguments, and its parameters' addresses."""
    op = node.op
    names: tuple[str, ...]
    values, arguments = node.inputs[1:], tuple[str, ...]()
    if isinstance(op, Linear) and not op.out_first:
        kind, names = "Linear", ("weight", "bias")
    elif isinstance(op, Embedding):
        kind, names, values = "Embedding", ("table",), node.inputs[:1]
    elif isinstance(op, ops.LayerNorm) and len(op.over) == 1 and op.scaled:
        kind, names, arguments = "LayerNorm", ("scale", "shift"), (f"eps={op.eps!r}",)
    elif isinstance(op, ops.RMSNorm) and len(op.over) == 1 and op.scaled:
        kind, names, arguments = "RMSNorm", ("scale",), (f"eps={op.eps!r}",)
    else:
        return None
    made = [producers.get(value) for value in values]
    addresses: dict[str, str] = {}
    for name, maker in zip(names, made, strict=False):
        if maker is None or not isinstance(maker.op, ops.Parameter):
            return None
        addresses[name] = maker.op.address
    return kind, arguments, addresses


def _with_calls(region: Region, calls: Mapping[Node, LayerCall]) -> Region:
    nodes = []
    for node in region.nodes:
        if node in calls:
            x = node.inputs[1] if isinstance(node.op, Embedding) else node.inputs[0]
            node = replace(node, op=calls[node], inputs=(x,))
        elif node.regions:
            node = replace(node, regions=tuple(_with_calls(inner, calls) for inner in node.regions))
        nodes.append(node)
    return Region(region.parameters, tuple(nodes), region.results)
