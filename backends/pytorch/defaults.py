"""Writes what stands for an input that a call leaves out: `if valid is None: valid = …`, with everything that only the
default needs inside."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from attndsl import ops
from attndsl.backends.pytorch.expressions import Expr
from attndsl.graph import Node, Region, Value, captured

if TYPE_CHECKING:
    from attndsl.backends.pytorch.functions import Writer


def only_for_defaults(
    region: Region, root: Callable[[Value], Value], kept: Collection[Value]
) -> dict[Node, list[Node]]:
    """For each `given` node of a body, the nodes in their order that nothing but its default needs. `root` is the value
    whose variable a value shares; what is in `kept` is needed whatever reads it."""
    owners: dict[Value, set[Node | None]] = {root(value): {None} for value in (*region.results, *kept)}
    found: dict[Node, list[Node]] = {}
    for node in reversed(region.nodes):
        given = isinstance(node.op, ops.Given)
        readers = set().union(*(owners.get(root(value), set()) for value in node.outputs))
        owner = next(iter(readers)) if len(readers) == 1 else None
        if given:
            found[node] = []
        elif owner is not None:
            found[owner].append(node)
        reads = (*node.inputs, *(value for inner in node.regions for value in captured(inner)))
        for value in reads:
            owners.setdefault(root(value), set()).add(node if given else owner)
    return {node: own[::-1] for node, own in found.items()}


def write_given(writer: Writer, node: Node, own: list[Node]) -> None:
    """The statement for a `given` node. The argument's name stands for the result from there on."""
    given, default = map(writer.file.variables.root, node.inputs)
    name = writer.read(given).text
    writer.settle([given])
    writer.cite(node)
    writer.add(f"if {name} is None:", node)
    writer.indent += 1
    writer.run(own)
    writer.assign(name, default, node)
    writer.indent -= 1
    writer.release([given])
    writer.values[node.output] = Expr(name)
    writer.holders[name] = node.output
