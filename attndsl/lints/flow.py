"""What flows where in a graph, as far as lints ask: the node that makes a value, and those that read it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from attndsl.graph import Graph, Node, Region, Value
    from attndsl.ops.base import Op

OpT = TypeVar("OpT", bound="Op")


class Flow:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes = tuple(graph.body.walk())
        self.makers: dict[Value, Node] = {value: node for node in self.nodes for value in node.outputs}

    def made_by(self, value: Value, kind: type[OpT] | tuple[type[OpT], ...]) -> Node | None:
        """The node that makes a value, if its op is of that kind."""
        node = self.makers.get(value)
        return node if node is not None and isinstance(node.op, kind) else None

    @cached_property
    def readers(self) -> dict[Value, list[Node]]:
        found: dict[Value, list[Node]] = {}
        for node in self.nodes:
            for value in node.inputs:
                found.setdefault(value, []).append(node)
        return found

    @cached_property
    def given(self) -> set[Value]:
        """The values that are computed from an input (or carried by a repeat or scan)."""
        found = set(self.graph.body.parameters)
        self._give(self.graph.body, found)
        return found

    def _give(self, region: Region, found: set[Value]) -> None:
        for node in region.nodes:
            for body in node.regions:
                found.update(body.parameters[1:])
                self._give(body, found)
            if node.regions or any(value in found for value in node.inputs):
                found.update(node.outputs)


__all__ = ["Flow"]
