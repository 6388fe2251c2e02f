"""Dead code: what no output needs goes."""

from __future__ import annotations

from attndsl.graph import Node
from attndsl.ops import Repeat, Scan
from attndsl.passes.base import Pass, PassReport, Rewrite, rewritten
from attndsl.passes.rewrite import NodePlace, Rewriter
from attndsl.records import replace


class DeadCode(Pass):
    """Drops nodes whose outputs nothing needs, and what a repeat or scan emits for nobody. The values that it carries
    stay if one of its outputs is needed."""

    name = "dead-code"
    housekeeping = True

    def rewrite(self, rewriter: Rewriter) -> PassReport:
        return self.report(drop_dead(rewriter))


def drop_dead(rewriter: Rewriter) -> list[Rewrite]:
    """Drop what is dead, and say what that was."""
    before = [place.node for place in rewriter.walk() if place.node is not None]
    for node in reversed(before):
        place = rewriter.places.get(node)
        if place is None:
            continue
        if not rewriter.needed(node):
            rewriter.erase(node)
        elif isinstance(node.op, (Repeat, Scan)):
            _drop_emissions(rewriter, place, node, node.op)
    gone = [node for node in before if not any(value in rewriter.producers for value in node.outputs)]
    return [rewritten("dead", f"`{node.op.name}` has no use", node) for node in gone]


def _drop_emissions(rewriter: Rewriter, place: NodePlace, node: Node, op: Repeat | Scan) -> None:
    keep = [i for i, value in enumerate(node.outputs) if i < op.carried or rewriter.uses(value)]
    if len(keep) == len(node.outputs):
        return
    stacked = tuple(op.stacked[i - op.carried] for i in keep if i >= op.carried)
    outputs = tuple(node.outputs[i] for i in keep)
    new = Node(replace(op, stacked=stacked), node.inputs, outputs, node.regions, node.scope, node.span, node.site)
    rewriter.put(node, new)
    for body in place.bodies:
        rewriter.give(body, tuple(body.results[i] for i in keep))
