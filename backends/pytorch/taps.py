"""Values that are asked for by address (`h.3.attn`), to be recorded while a model runs."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence

from attndsl import ops
from attndsl.addresses import filled
from attndsl.diagnostics import did_you_mean, error
from attndsl.graph import Graph, Region, Value


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

    def visit(region: Region) -> None:
        for node in region.nodes:
            for inner in node.regions:
                visit(inner)
        made = [*region.parameters, *(value for node in region.nodes for value in node.outputs)]
        last.extend([value for value in made if value in wanted][-1:])

    visit(graph.body)
    return last


def tapped(region: Region, taps: Container[Value]) -> bool:
    """Whether a value of the region, or of a body inside it, is asked for."""
    if any(value in taps for value in region.parameters):
        return True
    return any(
        any(value in taps for value in node.outputs) or any(tapped(inner, taps) for inner in node.regions)
        for node in region.nodes
    )


def addresses_in_order(graph: Graph, taps: Mapping[Value, str], sizes: Mapping[str, int]) -> dict[str, list[str]]:
    """For each name in `taps`, the concrete addresses in the order in which a run with these sizes comes by them; those
    of a scan's last step, if it has one."""
    found: dict[str, list[str]] = {name: [] for name in taps.values()}

    def see(values: Iterable[Value], loops: Mapping[str, int]) -> None:
        for value in values:
            if value in taps:
                found[taps[value]].append(filled(taps[value], loops))

    def run(region: Region, loops: Mapping[str, int]) -> None:
        see(region.parameters, loops)
        for node in region.nodes:
            if isinstance(node.op, ops.Repeat):
                for i in range(node.op.count.value(sizes)):
                    run(node.regions[node.op.cases[i] if node.op.cases else 0], {**loops, node.op.path: i})
            elif isinstance(node.op, ops.Scan) and node.op.axis.size.value(sizes):
                run(node.regions[0], loops)
            see(node.outputs, loops)

    run(graph.body, {})
    return found
