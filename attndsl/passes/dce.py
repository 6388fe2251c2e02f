"""Dead code: what no output needs goes."""

from __future__ import annotations

from attndsl.graph import Graph, Node, Region, Value
from attndsl.passes.base import Pass, Report, rewritten, tally
from attndsl.passes.rewrite import Rewriter
from attndsl.records import dataclass


@dataclass(frozen=True, slots=True)
class DeadCode(Pass):
    """Drops nodes whose outputs nothing needs. A repeat stays whole if one of its outputs is needed: its body's results
    are all needed then."""

    name = "dead-code"

    def run(self, graph: Graph) -> tuple[Graph, Report]:
        live: set[Value] = set()
        _mark(graph.body, live)
        dropped = []

        def visit(node: Node, rewriter: Rewriter) -> tuple[Value, ...] | None:
            if not node.op.pure or any(value in live for value in node.outputs):
                return None
            dropped.append(rewritten("dead", f"`{node.op.name}` has no use", node))
            return ()

        return Rewriter(graph, visit).run(), Report(self.name, tally(dropped))


def _mark(region: Region, live: set[Value]) -> None:
    live.update(region.results)
    for node in reversed(region.nodes):
        if not node.op.pure or any(value in live for value in node.outputs):
            live.update(node.inputs)
            for inner in node.regions:
                _mark(inner, live)
