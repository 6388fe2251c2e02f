"""Common subexpressions: what has been computed is not computed again."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Hashable

from attndsl.graph import Graph, Node, Value
from attndsl.graph.builder import Builder
from attndsl.ops import Constant, Parameter, SizeOf
from attndsl.passes.base import Pass, Report, Rewrite, rewritten, tally
from attndsl.passes.rewrite import Rewriter
from attndsl.records import dataclass

FREE = (Constant, SizeOf, Parameter)  # cost nothing: known by what they are, never fetched from an outer body


@dataclass(frozen=True, slots=True)
class CommonSubexpressions(Pass):
    """Two nodes with the same op and operands are one; the operands of commutative ops count in any order. A body sees
    what the bodies around it computed before it. Every dropout has a site of its own, so two dropouts stay two."""

    name = "common-subexpressions"

    def run(self, graph: Graph) -> tuple[Graph, Report]:
        merged: list[Rewrite] = []
        operand_keys: dict[Value, Hashable] = {}
        tables: dict[Builder, ChainMap[Hashable, Value]] = {}

        def table(rewriter: Rewriter) -> ChainMap[Hashable, Value]:
            for i, builder in enumerate(rewriter.builders):
                if builder not in tables:
                    tables[builder] = ChainMap({}, *(tables[rewriter.builders[i - 1]].maps if i else ()))
            return tables[rewriter.builder]

        def visit(node: Node, rewriter: Rewriter) -> tuple[Value, ...] | None:
            if node.regions or not node.op.pure:
                return None
            operands = [operand_keys.setdefault(value, len(operand_keys)) for value in node.inputs]
            if node.op.commutative:
                operands.sort(key=repr)
            key = (node.op, tuple(operands), node.output.type)
            seen = table(rewriter)
            if isinstance(node.op, FREE):
                operand_keys[node.output] = node.op
                found = seen.maps[0].get(key)
            else:
                found = seen.get(key)
            if found is None:
                seen[key] = node.output
                return None
            merged.append(rewritten("merged", f"`{node.op.name}` is computed once", node))
            return (found,)

        return Rewriter(graph, visit).run(), Report(self.name, tally(merged))
