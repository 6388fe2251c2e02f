"""What is made of other inputs than the text, once for each of them: an encoder's memory, the keys and values that are
made of it for each layer.

The incremental graph takes these as states that it leaves as they are. Here is the graph that makes them: the values at
which the one meets the other, given by the bodies in which they stand, and what they need, with nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from attndsl.graph import Graph, InputInfo, Node, OutputInfo, Region, Type, Value, captured
from attndsl.graph.builder import Builder
from attndsl.ops import Broadcast, Cast, Constant, Repeat, Scan
from attndsl.ops.control import Given, stacked_at
from attndsl.passes.incremental.clock import sizes_of
from attndsl.passes.incremental.memories import Memory
from attndsl.records import replace
from attndsl.types import Axis


def source_graph(graph: Graph, wanted: Mapping[Value, Memory]) -> Graph | None:
    """The graph that gives what the memories of `wanted` hold, by their names; None where there are none."""
    if not wanted:
        return None
    nodes, found = _given(graph.body, wanted, ())
    # What all texts share (running averages) comes with the parameters, and stays as it is.
    begun = {node.inputs[0]: node.outputs[0] for node in graph.body.nodes if isinstance(node.op, Given)}
    shared = {info.name for info in graph.shared_states}
    stay = {info.name: begun[info.value] for info in graph.inputs if info.name in shared}
    results = (*found.values(), *stay.values())
    kept, _ = _needed(nodes, results)
    read = {value for node in kept for value in (*node.inputs, *_captured(node))} | {*results}
    inputs = tuple(info for info in graph.inputs if info.value in read)
    counted = {name for node in Region((), tuple(kept), ()).walk() for name in sizes_of(node.op)}
    for info in graph.own_inputs:  # what says how long something is, where nobody reads its elements
        lacking = counted & {*graph.free_sizes} - {name for each in inputs for name in _sizes_in(each)}
        if lacking & _sizes_in(info):
            inputs += (info,)
    names = (*(memory.name for memory in found), *stay)
    outputs = tuple(OutputInfo(name, value) for name, value in zip(names, results, strict=True))
    body = Region(tuple(info.value for info in inputs), tuple(kept), results)
    free = {name for info in inputs for axis in info.value.type.axes for name in axis.size.symbols}
    known = free | graph.sizes.keys()
    rules = tuple(rule for rule in graph.constraints if rule.symbols <= known)
    return replace(graph, inputs=inputs, outputs=outputs, states=graph.shared_states, constraints=rules, body=body)


def _sizes_in(info: InputInfo) -> set[str]:
    return {name for axis in info.value.type.axes for name in axis.size.symbols}


def _captured(node: Node) -> Iterable[Value]:
    return (value for region in node.regions for value in captured(region))


def _given(
    region: Region, wanted: Mapping[Value, Memory], loops: tuple[Axis, ...]
) -> tuple[list[Node], dict[Memory, Value]]:
    """The nodes of a body, whose loops give what is wanted in them, and the values that have it for each memory."""
    found = {wanted[value]: value for value in region.parameters if value in wanted}
    nodes: list[Node] = []
    for node in region.nodes:
        if isinstance(node.op, Repeat):
            node, stacks = _giving(node, node.op, wanted, loops)
            found.update(stacks)
        found.update({wanted[value]: value for value in node.outputs if value in wanted})
        nodes.append(node)
    return nodes, found


def _giving(
    node: Node, op: Repeat, wanted: Mapping[Value, Memory], loops: tuple[Axis, ...]
) -> tuple[Node, dict[Memory, Value]]:
    loop = Axis(f"{op.path}.*", op.count)
    inside = [_given(region, wanted, (*loops, loop)) for region in node.regions]
    memories = list(dict.fromkeys(memory for _, found in inside for memory in found))
    if not memories:
        return node, {}
    regions, types = [], [next(found[m].type for _, found in inside if m in found) for m in memories]
    for region, (nodes, found) in zip(node.regions, inside, strict=True):
        builder = Builder(node.scope, node.span, node.site)
        builder.adopt(nodes)
        given = [found.get(m) or _zeros(builder, type) for m, type in zip(memories, types, strict=True)]
        regions.append(builder.region(region.parameters, (*region.results, *given)))
    outputs = [Value(_stacked(type, loop)) for type in types]
    op = replace(op, stacked=(*op.stacked, *[loop] * len(memories)))
    new = replace(node, op=op, outputs=(*node.outputs, *outputs), regions=tuple(regions))
    return new, dict(zip(memories, outputs, strict=True))


def _stacked(type: Type, loop: Axis) -> Type:
    at = stacked_at(type)
    return Type(type.dtype, (*type.axes[:at], loop, *type.axes[at:]))


def _zeros(builder: Builder, type: Type) -> Value:
    """What a memory holds in layers that have none."""
    zero = builder.emit(Cast(type.dtype), builder.emit(Constant(0)))
    return builder.emit(Broadcast(type.axes), zero) if type.axes else zero


# ---------------------------------------------------------------- what is needed


def _needed(nodes: Collection[Node], results: Collection[Value]) -> tuple[list[Node], set[Value]]:
    """The nodes that lead to `results`, loops without what they carry and give for nobody, and all that is read."""
    alive, kept = set(results), list[Node]()
    for node in reversed(list(nodes)):
        if alive.isdisjoint(node.outputs):
            continue
        if isinstance(node.op, Repeat | Scan):
            node = _loop(node, node.op, alive)
        kept.append(node)
        alive.update(node.inputs, _captured(node))
    return kept[::-1], alive


def _loop(node: Node, op: Repeat | Scan, alive: Collection[Value]) -> Node:
    """A loop without what it carries and gives for nobody."""
    wanted = {i for i, value in enumerate(node.outputs) if value in alive}
    while True:
        places = sorted(wanted)
        bodies = [_needed(region.nodes, [region.results[i] for i in places]) for region in node.regions]
        read = {
            i
            for region, (_, seen) in zip(node.regions, bodies, strict=True)
            for i, value in enumerate(region.parameters[1 : op.carried + 1])
            if value in seen
        }
        if read <= wanted:
            break
        wanted |= read
    carried = [i for i in places if i < op.carried]
    regions = tuple(
        Region(
            (region.parameters[0], *(region.parameters[1 + i] for i in carried)),
            tuple(nodes),
            tuple(region.results[i] for i in places),
        )
        for region, (nodes, _) in zip(node.regions, bodies, strict=True)
    )
    stacked = tuple(op.stacked[i - op.carried] for i in places if i >= op.carried)
    return replace(
        node,
        op=replace(op, carried=len(carried), stacked=stacked),
        inputs=tuple(node.inputs[i] for i in carried),
        outputs=tuple(node.outputs[i] for i in places),
        regions=regions,
    )
