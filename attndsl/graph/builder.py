"""Builds regions node by node; the elaborator and the passes make every node through it."""

from __future__ import annotations

from collections.abc import Iterable

from attndsl.diagnostics import Span
from attndsl.graph.core import Node, Region, Value
from attndsl.ops.base import Op
from attndsl.types import Type


class Builder:
    """Collects the nodes of one region, and in `makers` which of them makes each value. `scope`, `span` and `site` are
    what new nodes are stamped with; `outer` builds the region around this one."""

    def __init__(
        self, scope: str = "", span: Span | None = None, site: Span | None = None, outer: Builder | None = None
    ) -> None:
        self.outer = outer
        self.parameters: set[Value] = set()
        self.nodes: list[Node] = []
        self.makers: dict[Value, Node] = {}
        self.scope = scope
        self.span = span
        self.site = site

    def emit(self, op: Op, *inputs: Value, names: tuple[str, ...] = (), type: Type | None = None) -> Value:
        """Append `op` applied to `inputs`; its type comes from the op's own rule (which may raise `Mismatch`), unless
        `type` says it: a backend's own op has no rule."""
        value = Value(op.infer(*(v.type for v in inputs)) if type is None else type, names)
        self._append(Node(op, inputs, (value,), (), self.scope, self.span, self.site))
        return value

    def _append(self, node: Node) -> None:
        self.nodes.append(node)
        self.makers.update(dict.fromkeys(node.outputs, node))

    def adopt(self, nodes: Iterable[Node]) -> None:
        """Append nodes that another builder has made; they read what is seen here, and one another."""
        for node in nodes:
            self._append(node)

    def emit_regions(
        self, op: Op, inputs: tuple[Value, ...], regions: tuple[Region, ...], types: tuple[Type, ...]
    ) -> tuple[Value, ...]:
        """Append a node with bodies and one output for each of `types`."""
        outputs = tuple(Value(type) for type in types)
        self._append(Node(op, inputs, outputs, regions, self.scope, self.span, self.site))
        return outputs

    def parameter(self, value: Value) -> Value:
        """Note a parameter of the region."""
        self.parameters.add(value)
        return value

    def sees(self, value: Value) -> bool:
        """Whether a node that is appended here may read `value`: it is of this region, or of one around it."""
        there = value in self.makers or value in self.parameters
        return there or (self.outer is not None and self.outer.sees(value))

    def region(self, parameters: tuple[Value, ...], results: tuple[Value, ...]) -> Region:
        return Region(parameters, tuple(self.nodes), results)

    @staticmethod
    def rename(value: Value, names: tuple[str, ...]) -> Value:
        """Give a value its addresses. Only while its graph is being built: from then on values never change."""
        object.__setattr__(value, "names", names)
        return value
