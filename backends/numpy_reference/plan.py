"""What of a region is to be run for the results that are asked for, and when its values can be forgotten."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from attndsl.graph import Node, Region, Value
from attndsl.ops.control import OneOf, Repeat, Scan
from attndsl.records import dataclass


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """A node to run, by the plans of its bodies, and the values that nothing reads after it. Those of its own among
    them are stacks that are not made."""

    node: Node
    dead: tuple[Value, ...]
    bodies: tuple[Plan, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps that lead to `results`, and what they read from outside: of the region's parameters, and of the values
    around it (`captured`)."""

    region: Region
    results: tuple[Value, ...]
    steps: tuple[PlannedNode, ...]
    reads: frozenset[Value]
    captured: frozenset[Value]


def plan(
    region: Region,
    results: Collection[Value],
    watched: Collection[Value] = (),
    missing: Collection[Value] = (),
    *,
    training: bool = False,
) -> Plan:
    """What leads to `results`, and to the values in `watched` that are made here or in a body, in `training` or not,
    where the inputs `missing` are left out. Of a repeat or scan that is what it carries and those of its emissions that
    are read."""
    results = (*results, *(value for node in region.nodes for value in node.outputs if value in watched))
    alive = set(results)
    steps: list[PlannedNode] = []
    for node in reversed(region.nodes):
        needed = any(value in alive for value in node.outputs) or any(_makes(body, watched) for body in node.regions)
        if not needed:
            continue
        bodies = tuple(
            [plan(body, _asked(node, body, alive), watched, missing, training=training) for body in node.regions]
        )
        reads = {taken(node.op, node, missing, training)} if isinstance(node.op, OneOf) else set(node.inputs)
        reads.update(*[body.captured for body in bodies])
        steps.append(
            PlannedNode(node, tuple([value for value in (*reads, *node.outputs) if value not in alive]), bodies)
        )
        alive.difference_update(node.outputs)
        alive |= reads
    return Plan(region, results, tuple(steps[::-1]), frozenset(alive), frozenset(alive.difference(region.parameters)))


def taken(op: OneOf, node: Node, missing: Collection[Value], training: bool) -> Value:
    """Which operand of a choice is its result where the inputs `missing` are left out."""
    return node.inputs[op.taken(given=node.inputs[0] not in missing, training=training)]


def _asked(node: Node, body: Region, alive: Collection[Value]) -> list[Value]:
    """The results of a body that are needed where the values `alive` are read."""
    assert isinstance(node.op, Repeat | Scan)
    pairs = enumerate(zip(body.results, node.outputs, strict=True))
    return [result for i, (result, output) in pairs if i < node.op.carried or output in alive]


def _makes(region: Region, watched: Collection[Value]) -> bool:
    return bool(watched) and any(value in watched for value in values(region))


def values(region: Region) -> Iterator[Value]:
    """Every value made in a region and its bodies, parameters included."""
    yield from region.parameters
    for node in region.nodes:
        yield from node.outputs
        for body in node.regions:
            yield from values(body)
