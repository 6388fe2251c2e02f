"""Floats that are made of whole numbers alone are computed in float32 at least, whatever the module computes in.

Positions, distances, counts and lengths are whole numbers, given or computed, and bfloat16 cannot tell 257 from 256. So
what is calculated from them (sines, slopes, shares) is calculated in float32 (float64 in a module of that), and brought
to the module's dtype where it meets its data. What is only converted or moved on its way there loses nothing by being
narrow from the start.
"""

from __future__ import annotations

from attndsl import ops
from attndsl.backends.pytorch.special import Narrow
from attndsl.graph import FLOAT, Node, Region, Value
from attndsl.records import replace

# What gives its operands' numbers as they are, besides what moves them. Any other operator calculates.
EXACT = (ops.Constant, ops.Cast, ops.OneHot, ops.Where, ops.Choice, ops.StopGradient)


def widened(body: Region) -> tuple[Region, frozenset[Value]]:
    """The body with a `Narrow` wherever a float that is calculated from whole numbers alone meets others, and all such
    values."""
    made: set[Value] = set()
    _find(body, made)
    wide: set[Value] = set()
    _widen_results(body, made, wide)
    _widen_operands(body, made, wide)
    narrow: dict[Value, Value] = {}
    return (_narrowed(body, made, wide, narrow) if wide else body), frozenset(wide)


def _of_whole_numbers(node: Node, made: set[Value]) -> bool:
    """Whether the node computes something from whole numbers alone; `made` are the floats that are."""
    if node.regions or node.op.reads_parameters or node.op.draws:
        return False
    return all(value.type.dtype != FLOAT or value in made for value in node.inputs)


def _find(region: Region, made: set[Value]) -> None:
    for node in region.nodes:
        for inner in node.regions:
            _find(inner, made)
        if _of_whole_numbers(node, made) and node.output.type.dtype == FLOAT:
            made.add(node.output)


def _widen_results(region: Region, made: set[Value], wide: set[Value]) -> None:
    """Add to `wide` what is calculated, and what is made of that."""
    for node in region.nodes:
        for inner in node.regions:
            _widen_results(inner, made, wide)
        calculates = not (node.op.moves or isinstance(node.op, EXACT)) or any(value in wide for value in node.inputs)
        if calculates and not node.regions and node.output in made:
            wide.add(node.output)


def _widen_operands(region: Region, made: set[Value], wide: set[Value]) -> None:
    """Add to `wide` what something is calculated from. A comparison, or a rounding to an int, calculates too."""
    for node in reversed(region.nodes):
        for inner in reversed(node.regions):
            _widen_operands(inner, made, wide)
        if _of_whole_numbers(node, made) and (node.output.type.dtype != FLOAT or node.output in wide):
            wide.update(value for value in node.inputs if value in made)


def _narrowed(region: Region, made: set[Value], wide: set[Value], narrow: dict[Value, Value]) -> Region:
    nodes: list[Node] = []
    for node in region.nodes:
        regions = tuple(_narrowed(inner, made, wide, narrow) for inner in node.regions)
        whole = _of_whole_numbers(node, made) and (node.output.type.dtype != FLOAT or node.output in wide)
        inputs = node.inputs if whole else tuple(narrow.get(value, value) for value in node.inputs)
        nodes.append(replace(node, inputs=inputs, regions=regions))
        if not node.regions and node.output in wide and not isinstance(node.op, ops.Constant):
            narrow[node.output] = Value(node.output.type, node.output.names)
            nodes.append(replace(node, op=Narrow(type(node.op)), inputs=(node.output,), outputs=(narrow[node.output],)))
    return Region(region.parameters, tuple(nodes), tuple(narrow.get(value, value) for value in region.results))
