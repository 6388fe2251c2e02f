"""Where a graph attends: every softmax over an axis of data whose result weighs a sum over that axis.

Nothing depends on names: attention that an author wrote out is found as the standard library's is. A softmax over what
parameters alone decide (the experts of a gate, the words of a vocabulary) is not one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from attndsl import ops
from attndsl.addresses import filled, in_every_round
from attndsl.graph import Axis, Graph, Node, Region, Value
from attndsl.inspection.attending import Weighing
from attndsl.ops.control import stacked_at
from attndsl.records import Frozen, replace
from attndsl.types import Type


class AttentionSite(Frozen):
    """One attention of the graph. `weights` is the type of the value that `Program.run(dump=…)` gives at each of
    `places`: pairs of its address and the path of the layer (`h.3.attn`), in the order of computation. `queries` is
    None where there is but one query. What else its type has besides `keys`: `batch`, and the heads."""

    places: tuple[tuple[str, str], ...]
    weights: Type
    queries: Axis | None
    keys: Axis
    batch: tuple[Axis, ...]

    @property
    def heads(self) -> tuple[Axis, ...]:
        """The axes of the heads (with grouped queries, two)."""
        return tuple(axis for axis in self.weights.axes if axis not in (self.queries, self.keys, *self.batch))


class _Found(Frozen):
    """A softmax, the bodies around it (outermost first), and the value that it weighs, `weighed`, by the names that its
    axes had at the softmax."""

    node: Node
    loops: tuple[Node, ...]
    weighed: frozenset[Axis]

    @property
    def scans(self) -> tuple[Node, ...]:
        return tuple(loop for loop in self.loops if isinstance(loop.op, ops.Scan))


def find_attention(graph: Graph, given: Sequence[str] | None = None) -> tuple[Graph, tuple[AttentionSite, ...]]:
    """The attentions that a run computes which is given the inputs `given` (None: all), and the same graph with their
    weights under addresses of their own. What a scan attends to in its steps is stacked along the scan's axis."""
    weighing = Weighing(graph)
    known = {info.name for info in graph.inputs} if given is None else set(given)
    missing = {info.value for info in graph.inputs if info.name not in known and info.default is None}
    found = [
        each
        for node, loops in _walk(graph.body, missing)
        if isinstance(node.op, ops.Softmax) and (each := _attention(weighing, node, loops)) is not None
    ]
    names = {each.node.output: _name(each, number) for number, each in enumerate(found)}
    named, values = _named(graph, names)
    firsts = {info.value.type.axes[0] for info in graph.own_inputs if info.value.type.rank > 1}
    attentions = []
    for each in found:
        value = values[each.node.output]
        places = tuple(_places(graph, each, names[each.node.output]))
        if places:
            attentions.append(_described(graph, each, value.type, places, firsts))
    return named, tuple(attentions)


def _described(
    graph: Graph, found: _Found, weights: Type, places: tuple[tuple[str, str], ...], firsts: set[Axis]
) -> AttentionSite:
    keys = found.node.op.goes_over[0]
    own = found.node.output.type.axes
    steps = tuple(axis for axis in weights.axes if axis not in own)  # of the scans around it
    batch = tuple(axis for axis in own if axis in firsts and axis.size != keys.size and axis != keys)
    # Queries are what the weighed values lack, and of that (groups of heads lack there too) what inputs decide.
    candidates = [axis for axis in reversed(own) if axis not in found.weighed and axis not in (keys, *batch)]
    free = [axis for axis in candidates if not axis.size.symbols <= graph.sizes.keys()]
    alike = [axis for axis in candidates if axis.size == keys.size]
    queries = next(iter((*free, *alike, *candidates, *steps)), None)
    return AttentionSite(places, weights, queries, keys, batch)


# ---------------------------------------------------------------------------------------------- recognising


def _walk(region: Region, missing: set[Value], loops: tuple[Node, ...] = ()) -> Iterator[tuple[Node, tuple[Node, ...]]]:
    """Every node with the bodies around it that can be computed without the values `missing` (which it adds to)."""
    for node in region.nodes:
        if any(value in missing for value in node.inputs):
            missing.update(node.outputs)
            continue
        for inner in node.regions:
            yield from _walk(inner, missing, (*loops, node))
        if any(value in missing for inner in node.regions for value in inner.results):
            missing.update(node.outputs)
        yield node, loops


def _attention(weighing: Weighing, node: Node, loops: tuple[Node, ...]) -> _Found | None:
    kinds = [isinstance(loop.op, ops.Scan) for loop in loops]
    if kinds != sorted(kinds):
        return None  # a repeat inside a scan: there is no axis to stack its layers along
    axes = weighing.axes(node)
    return None if axes is None else _Found(node, loops, axes)


# ---------------------------------------------------------------------------------------------- addresses


def _name(found: _Found, number: int) -> str:
    return in_every_round(f"~attention{number}", _around(found))


def _around(found: _Found) -> list[str]:
    return [loop.op.path for loop in found.loops if isinstance(loop.op, ops.Repeat)]


def _places(graph: Graph, found: _Found, name: str) -> Iterator[tuple[str, str]]:
    """The address of the weights and the path of the layer, for each iteration of the repeats around it."""
    repeats = [loop for loop in found.loops if isinstance(loop.op, ops.Repeat)]

    def follow(at: int, loops: Mapping[str, int]) -> Iterator[tuple[str, str]]:
        if at == len(repeats):
            yield filled(name, loops), filled(found.node.scope, loops)
            return
        op, regions = repeats[at].op, repeats[at].regions
        assert isinstance(op, ops.Repeat)
        inner = repeats[at + 1] if at + 1 < len(repeats) else (found.scans or (found.node,))[0]
        for index in range(op.count.value(graph.sizes)):
            if inner in regions[op.cases[index] if op.cases else 0].nodes:
                yield from follow(at + 1, {**loops, op.path: index})

    return follow(0, {})


def _named(graph: Graph, names: Mapping[Value, str]) -> tuple[Graph, dict[Value, Value]]:
    """The graph with further names for some values, and the values that go by them: what a scan's body makes is
    emitted, and the stack of it named."""
    renamed: dict[Value, Value] = {}
    final: dict[Value, Value] = {}

    def now(values: Sequence[Value]) -> tuple[Value, ...]:
        return tuple(renamed.get(value, value) for value in values)

    def rebuilt(region: Region, in_scan: bool) -> tuple[Region, list[tuple[Value, Value]]]:
        """The body, and what the scan around it has to emit: values of the old graph with those of the new."""
        nodes, emit = list[Node](), list[tuple[Value, Value]]()
        for node in region.nodes:
            regions, pending = [], list[tuple[Value, Value]]()
            for body in node.regions:
                inner, emitted = rebuilt(body, isinstance(node.op, ops.Scan))
                regions.append(inner)
                pending += emitted
            for value in node.outputs:
                if value in names:
                    more = () if in_scan else (names[value],)
                    renamed[value] = final[value] = Value(value.type, (*value.names, *more))
                    emit.append((value, final[value]))
            new = replace(node, inputs=now(node.inputs), outputs=now(node.outputs), regions=tuple(regions))
            if pending:
                new = _emitting(new, [value for _, value in pending])
            nodes.append(new)
            for (old, _), stack in zip(pending, new.outputs[len(node.outputs) :], strict=True):
                if in_scan:
                    emit.append((old, stack))
                    continue
                # Every backend can record what a primitive makes, and this one changes nothing.
                final[old] = Value(stack.type, (names[old],))
                nodes.append(Node(ops.StopGradient(), (stack,), (final[old],), (), node.scope, node.span, node.site))
        return Region(region.parameters, tuple(nodes), now(region.results)), emit if in_scan else []

    body, _ = rebuilt(graph.body, in_scan=False)
    outputs = tuple(replace(info, value=renamed.get(info.value, info.value)) for info in graph.outputs)
    return replace(graph, body=body, outputs=outputs), final


def _emitting(scan: Node, values: Sequence[Value]) -> Node:
    """The scan with more emissions: values of its body."""
    op, (body,), outputs = scan.op, scan.regions, list(scan.outputs)
    assert isinstance(op, ops.Scan)
    for value in values:
        steps, at = _fresh(op.axis, value.type), stacked_at(value.type)
        op = replace(op, stacked=(*op.stacked, steps))
        axes = (*value.type.axes[:at], steps, *value.type.axes[at:])
        outputs.append(Value(Type(value.type.dtype, axes)))
    regions = (replace(body, results=(*body.results, *values)),)
    return replace(scan, op=op, outputs=tuple(outputs), regions=regions)


def _fresh(axis: Axis, type: Type) -> Axis:
    """The axis under a name that `type` has not."""
    while any(axis.name == other.name for other in type.axes):
        axis = axis.named(axis.name + "'")
    return axis
