"""Every value of a graph made visible: a name of its own for each, and the order in which they are computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attndsl.addresses import filled, in_every_round
from attndsl.graph import Graph, InputInfo, Node, OutputInfo, Region, Value, captured
from attndsl.lazy import Array
from attndsl.ops.control import Given, Repeat, Scan
from attndsl.records import Frozen, replace


class ValuePlace(Frozen):
    """A value at one iteration, `loops` of the repeats around by their addresses: `address` is what `dump` takes,
    `value` and `node` are the graph's."""

    address: str
    value: Value
    node: Node
    loops: Mapping[str, int]


def exposed(graph: Graph) -> Graph:
    """The same graph, in which every value that a primitive makes has a name (`h.*@~17`) besides those it had."""
    renamed: dict[Value, Value] = {}
    count = 0

    def fresh(value: Value, around: tuple[str, ...], loop: bool) -> Value:
        nonlocal count
        count += 1
        renamed[value] = value if loop else Value(value.type, (*value.names, in_every_round(f"~{count}", around)))
        return renamed[value]

    def rebuilt(region: Region, around: tuple[str, ...]) -> Region:
        nodes = []
        for node in region.nodes:
            inner = (*around, node.op.path) if isinstance(node.op, Repeat) else around
            regions = tuple(rebuilt(body, inner) for body in node.regions)
            inputs = tuple(renamed.get(value, value) for value in node.inputs)
            outputs = tuple(fresh(value, around, bool(regions)) for value in node.outputs)
            nodes.append(replace(node, inputs=inputs, outputs=outputs, regions=regions))
        results = tuple(renamed.get(value, value) for value in region.results)
        return Region(region.parameters, tuple(nodes), results)

    body = rebuilt(graph.body, ())
    outputs = tuple(replace(info, value=renamed.get(info.value, info.value)) for info in graph.outputs)
    return replace(graph, body=body, outputs=outputs)


def places(graph: Graph, given: Mapping[str, Array], sizes: Mapping[str, int]) -> Iterator[ValuePlace]:
    """The values of primitives in the order in which they are computed, as far as the given inputs allow, each by the
    last of its names. What a scan's body makes comes once."""
    missing = {info.value for info in graph.inputs if info.name not in given}

    def needs_missing(node: Node) -> bool:
        if isinstance(node.op, Given):
            return all(value in missing for value in node.inputs)
        reads = [*node.inputs, *(value for body in node.regions for value in captured(body))]
        return any(value in missing for value in reads)

    def walk(region: Region, loops: Mapping[str, int]) -> Iterator[ValuePlace]:
        for node in region.nodes:
            if needs_missing(node):
                missing.update(node.outputs)
            elif isinstance(node.op, Repeat):
                for index in range(node.op.count.value(sizes)):
                    case = node.op.cases[index] if node.op.cases else 0
                    yield from walk(node.regions[case], {**loops, node.op.path: index})
            elif isinstance(node.op, Scan):
                yield from walk(node.regions[0], loops)
            else:
                for value in node.outputs:
                    if value.names:
                        yield ValuePlace(filled(value.names[-1], loops), value, node, loops)

    return walk(graph.body, {})


def graph_of(graph: Graph, node: Node, sizes: Mapping[str, int]) -> Graph:
    """A graph of nothing but this node: its operands are the inputs `x0`, `x1`, …, its result the output `y`."""
    inputs = tuple(Value(value.type) for value in node.inputs)
    output = Value(node.output.type)
    infos = tuple(InputInfo(f"x{i}", value) for i, value in enumerate(inputs))
    return Graph(
        name=node.op.name,
        hyperparameters={},
        sizes=dict(sizes),
        inputs=infos,
        outputs=(OutputInfo("y", output),),
        parameters=(),
        constraints=(),
        scopes={},
        body=Region(inputs, (replace(node, inputs=inputs, outputs=(output,)),), (output,)),
        origin=graph.origin,
    )
