"""What depends on positions alone is computed in float32 at least, whatever the module computes in.

Sines of positions, distances and slopes are small tables, and bfloat16 cannot tell position 257 from 256. So they are
computed in float32 (float64 in a module of that) and brought to the module's dtype where they meet its data.
"""

from __future__ import annotations

from attndsl import ops
from attndsl.backends.pytorch.special import Narrow
from attndsl.graph import FLOAT, INT, Node, Region, Value
from attndsl.records import replace


def widened(body: Region) -> tuple[Region, frozenset[Value]]:
    """The body with a `Narrow` wherever a value of floats that depends on positions alone meets others, and all such
    values."""
    from_positions: set[Value] = set()
    _find(body, from_positions)
    wide = frozenset(value for value in from_positions if value.type.dtype == FLOAT)
    narrow: dict[Value, Value] = {}
    return (_narrowed(body, from_positions, wide, narrow) if wide else body), wide


def _find(region: Region, found: set[Value]) -> None:
    for node in region.nodes:
        for inner in node.regions:
            found.add(inner.parameters[0])  # the index of a round
            _find(inner, found)
        if isinstance(node.op, ops.Given) and node.output.type.dtype == INT and node.inputs[1] in found:
            found.update(node.outputs)  # other positions may be given
        of_others = node.regions or node.op.reads_parameters or node.op.draws
        if not of_others and all(value in found for value in node.inputs):
            found.update(node.outputs)


def _narrowed(region: Region, found: set[Value], wide: frozenset[Value], narrow: dict[Value, Value]) -> Region:
    nodes: list[Node] = []
    for node in region.nodes:
        regions = tuple(_narrowed(inner, found, wide, narrow) for inner in node.regions)
        alone = not node.regions and node.output in found
        inputs = node.inputs if alone else tuple(narrow.get(value, value) for value in node.inputs)
        nodes.append(replace(node, inputs=inputs, regions=regions))
        if alone and node.output in wide and not isinstance(node.op, ops.Constant):
            narrow[node.output] = Value(node.output.type, node.output.names)
            nodes.append(replace(node, op=Narrow(type(node.op)), inputs=(node.output,), outputs=(narrow[node.output],)))
    return Region(region.parameters, tuple(nodes), tuple(narrow.get(value, value) for value in region.results))
