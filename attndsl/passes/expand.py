"""Fused operators taken apart again: for backends that have no lowering for one, and to test each against its parts."""

from __future__ import annotations

from attndsl.graph import Graph, Node, Value
from attndsl.ops import Fused, Transpose
from attndsl.passes.base import Pass, Report, Rewrite, rewritten, tally
from attndsl.passes.rewrite import Rewriter
from attndsl.records import dataclass


@dataclass(frozen=True, slots=True)
class Expand(Pass):
    """Every fused operator (those called `only`, if any are named) becomes its decomposition into primitives."""

    only: tuple[str, ...] = ()

    name = "expand"

    def run(self, graph: Graph) -> tuple[Graph, Report]:
        done: list[Rewrite] = []

        def visit(node: Node, rewriter: Rewriter) -> tuple[Value, ...] | None:
            if not isinstance(node.op, Fused) or (self.only and node.op.name not in self.only):
                return None
            value = node.op.expand(rewriter.builder, *node.inputs)
            if value.type != node.output.type:
                value = rewriter.emit(Transpose(node.output.type.axes), value)
            done.append(rewritten("expanded", f"`{node.op.name}` becomes its parts", node))
            return (value,)

        return Rewriter(graph, visit).run(), Report(self.name, tally(done))
