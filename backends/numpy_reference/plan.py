"""What of a region is to be run for the results that are asked for, and when its values can be forgotten."""

from __future__ import annotations

from collections.abc import Collection

from attndsl.graph import Node, Region, Value, captured
from attndsl.ops.control import Given
from attndsl.records import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """The nodes to run in order, each with the values that nothing reads after it, and what is read from outside the
    nodes: the region's parameters and the values around it."""

    steps: tuple[tuple[Node, tuple[Value, ...]], ...]
    reads: frozenset[Value]


def reads(node: Node, missing: Collection[Value] = ()) -> set[Value]:
    """The values that a node needs, for its bodies too, where the inputs `missing` are left out."""
    if isinstance(node.op, Given):
        return {taken(node, missing)}
    found = set(node.inputs)
    for region in node.regions:
        found.update(captured(region))
    return found


def taken(node: Node, missing: Collection[Value]) -> Value:
    """Which operand of a `given` node is its result: the input, or where that is in `missing` its default."""
    given, default = node.inputs
    return default if given in missing else given


def plan(
    region: Region, results: Collection[Value], watched: Collection[Value] = (), missing: Collection[Value] = ()
) -> Plan:
    """The nodes that lead to `results`, or to a value in `watched` inside one of their bodies, where the inputs
    `missing` are left out."""
    alive = set(results)
    steps: list[tuple[Node, tuple[Value, ...]]] = []
    for node in reversed(region.nodes):
        needed = any(value in alive for value in node.outputs) or any(_makes(body, watched) for body in node.regions)
        if not needed:
            continue
        inputs = reads(node, missing)
        dead = tuple(value for value in (*inputs, *node.outputs) if value not in alive)
        steps.append((node, dead))
        alive.difference_update(node.outputs)
        alive |= inputs
    steps.reverse()
    return Plan(tuple(steps), frozenset(alive))


def _makes(region: Region, watched: Collection[Value]) -> bool:
    if not watched:
        return False
    return any(value in watched for value in region.parameters) or any(
        value in watched for node in region.walk() for value in (*node.outputs, *_parameters(node))
    )


def _parameters(node: Node) -> list[Value]:
    return [value for region in node.regions for value in region.parameters]


def values(region: Region) -> list[Value]:
    """Every value made in a region and its bodies, parameters included."""
    made = list(region.parameters)
    for node in region.nodes:
        made += node.outputs
        for body in node.regions:
            made += values(body)
    return made
