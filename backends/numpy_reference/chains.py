"""Which operations, one after the other, are run together on blocks of rows: `tanh(a) * b + c`, a bias and what
follows it up to the next matrix product."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from attndsl.graph import Axis, Node, Value
from attndsl.ops.base import Op
from attndsl.records import dataclass


@dataclass(slots=True, eq=False)
class Chain:
    """Nodes that are run together, and the axes along which that can be done block by block (none: a node alone)."""

    nodes: list[Node]
    rows: tuple[Axis, ...]

    def makes(self, values: Collection[Value]) -> bool:
        return any(node.output in values for node in self.nodes)


def chains(nodes: Sequence[tuple[Node, Collection[Value]]], *, training: bool) -> list[Chain]:
    """The nodes, with what each reads, in chains and in an order in which these can run. A chain waits for what is read
    beside it, and ends where a node reads what it makes that cannot be part of it."""
    found: list[Chain] = []
    open: Chain | None = None
    for node, reads in nodes:
        rows = () if node.regions else node.op.rows(node.output.type, training=training)
        goes_on = open is not None and open.makes(reads)
        if open is not None and goes_on and (common := _common(open.rows, rows)):
            open.nodes.append(node)
            open.rows = common
            continue
        begins = bool(rows) and not _passes_on(node.op)
        if open is not None and (goes_on or begins):
            found += _closed(open)
            open = None
        if begins:
            open = Chain([node], rows)
        else:
            found.append(Chain([node], ()))
    return found if open is None else found + _closed(open)


def _passes_on(op: Op) -> bool:
    """Whether the result is the operand itself: dropout is part of a chain only where nothing is drawn."""
    return op.view or op.draws


def _common(some: tuple[Axis, ...], others: tuple[Axis, ...]) -> tuple[Axis, ...]:
    """The axes with which both begin."""
    count = 0
    while count < min(len(some), len(others)) and some[count] == others[count]:
        count += 1
    return some[:count]


def _closed(chain: Chain) -> list[Chain]:
    """The chain, and behind it those that only pass a result of it on to others: in it they would copy that."""
    behind: list[Chain] = []
    for node in reversed(list(chain.nodes)):
        if _passes_on(node.op) and not any(node.output in other.inputs for other in chain.nodes):
            chain.nodes.remove(node)
            behind.insert(0, Chain([node], ()))
    return [chain, *behind]
