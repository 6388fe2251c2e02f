"""What of a region is to be run for the results that are asked for, what of it together, and when its values can be
forgotten."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from itertools import chain

from attndsl.backends.numpy_reference.chains import Chain, chains
from attndsl.graph import Axis, Node, Region, Value
from attndsl.ops.control import OneOf, Repeat, Scan
from attndsl.records import Frozen


class PlannedNode(Frozen):
    """A node to run, by the plans of its bodies, and the values that nothing reads after it. Those of its own among
    them are stacks that are not made."""

    node: Node
    dead: tuple[Value, ...]
    bodies: tuple[Plan, ...]


class PlannedStep(Frozen):
    """Nodes that may be run together on one block after the other along `rows` (if there are none, it is one node). Of
    what they make, `made` is read later. `spare` are values that nothing else ever reads, in whose memory a result may
    be written."""

    nodes: tuple[PlannedNode, ...]
    rows: tuple[Axis, ...]
    made: tuple[Value, ...]
    spare: Mapping[Value, Value]


class Plan(Frozen):
    """The steps that lead to `results`, and what they read from outside: of the region's parameters, and of the values
    around it (`captured`)."""

    region: Region
    results: tuple[Value, ...]
    steps: tuple[PlannedStep, ...]
    reads: frozenset[Value]
    captured: frozenset[Value]

    @property
    def nodes(self) -> Iterator[PlannedNode]:
        """All nodes, in the order in which they run."""
        return chain.from_iterable(step.nodes for step in self.steps)


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
    needed: list[tuple[Node, set[Value]]] = []
    bodies: dict[Node, tuple[Plan, ...]] = {}
    for node in reversed(region.nodes):
        if not (any(value in alive for value in node.outputs) or any(_makes(body, watched) for body in node.regions)):
            continue
        bodies[node] = tuple(
            [plan(body, _asked(node, body, alive), watched, missing, training=training) for body in node.regions]
        )
        reads = {taken(node.op, node, missing, training)} if isinstance(node.op, OneOf) else set(node.inputs)
        reads.update(*[body.captured for body in bodies[node]])
        needed.append((node, reads))
        alive |= reads
    needed.reverse()
    steps = _steps(chains(needed, training=training), dict(needed), bodies, results)
    alive.difference_update(*[node.outputs for node, _ in needed])
    return Plan(region, results, steps, frozenset(alive), frozenset(alive.difference(region.parameters)))


def _steps(
    found: list[Chain],
    reads: Mapping[Node, set[Value]],
    bodies: Mapping[Node, tuple[Plan, ...]],
    results: Collection[Value],
) -> tuple[PlannedStep, ...]:
    """The chains, with what is dead after each of their nodes."""
    products = {node.output for node in reads if node.op.contracts}
    readers = Counter(value for each in found for value in set().union(*[reads[node] for node in each.nodes]))
    alive = set(results)
    steps: list[PlannedStep] = []
    for each in reversed(found):
        made = tuple([value for node in each.nodes for value in node.outputs if value in alive])
        nodes: list[PlannedNode] = []
        dying: list[Value] = []
        for node in reversed(each.nodes):
            dead = tuple([value for value in (*reads[node], *node.outputs) if value not in alive])
            nodes.append(PlannedNode(node, dead, bodies[node]))
            dying += [value for value in dead if value in products and readers[value] == 1]
            alive |= reads[node]
        steps.append(PlannedStep(tuple(nodes[::-1]), each.rows, made, _spare(each.rows, made, dying)))
    return tuple(steps[::-1])


def _spare(rows: tuple[Axis, ...], made: Collection[Value], dying: list[Value]) -> dict[Value, Value]:
    """For a value that is made, one that dies, and is as large in each block."""
    found: dict[Value, Value] = {}
    for value in made if rows else ():
        for other in dying:
            if _layout(value, rows) == _layout(other, rows) and other not in found.values():
                found[value] = other
                break
    return found


def _layout(value: Value, rows: tuple[Axis, ...]) -> tuple[object, ...]:
    return (value.type.dtype, *[(axis.size, axis if axis in rows else None) for axis in value.type.axes])


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
