"""Values that are asked for by address (`h.3.attn`), to be recorded while a model runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from attndsl import ops
from attndsl.addresses import filled
from attndsl.diagnostics import did_you_mean, error
from attndsl.graph import Graph, Node, Region, Value


def tapped_values(graph: Graph, addresses: Sequence[str]) -> dict[Value, str]:
    """The values that `addresses` name, with the name by which each goes in the graph (`h.*.attn`)."""
    named: dict[str, list[Value]] = {}
    for value in _values(graph):
        for name in value.names:
            named.setdefault(name, []).append(value)
    found: dict[Value, str] = {}
    for address in addresses:
        pattern = next((name for name in _patterns(address) if name in named), None)
        if pattern is None:
            known = sorted({name.replace("*", "0") for name in named})
            raise error("E0808", f"no value has the address `{address}`", help=did_you_mean(address, known))
        # The last value of a name is the one that the author's variable ends up as.
        for value in _last_in_each_body(graph, named[pattern]):
            found.setdefault(value, pattern)
    return found


def _values(graph: Graph) -> list[Value]:
    found = [info.value for info in graph.inputs]
    for node in graph.body.walk():
        found += node.outputs
        for region in node.regions:
            found += region.parameters
    return found


def _patterns(address: str) -> list[str]:
    """The names that `h.3.attn` may go by: `h.*.attn`, or itself."""
    return [re.sub(r"(?<=\.)\d+(?=[.@]|$)", "*", address), address]


def _last_in_each_body(graph: Graph, values: Sequence[Value]) -> list[Value]:
    wanted, last = set(values), []

    def visit(nodes: Sequence[Node]) -> None:
        here: Value | None = None
        for node in nodes:
            for region in node.regions:
                visit(region.nodes)
            for value in node.outputs:
                here = value if value in wanted else here
        if here is not None:
            last.append(here)

    visit(graph.body.nodes)
    return last


def addresses_in_order(graph: Graph, taps: Mapping[Value, str]) -> dict[str, list[str]]:
    """For each name in `taps`, the concrete addresses in the order in which a run comes by them."""
    found: dict[str, list[str]] = {name: [] for name in taps.values()}
    if not taps:
        return found

    def run(region: Region, loops: Mapping[str, int]) -> None:
        for node in region.nodes:
            if isinstance(node.op, ops.Repeat):
                for i in range(node.op.count.value(graph.sizes)):
                    run(node.regions[node.op.cases[i] if node.op.cases else 0], {**loops, node.op.path: i})
            else:
                for inner in node.regions:
                    run(inner, loops)
            for value in node.outputs:
                if value in taps:
                    found[taps[value]].append(filled(taps[value], loops))

    run(graph.body, {})
    return found
