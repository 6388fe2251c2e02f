"""Fused operators taken apart again: for backends that have no lowering for one, and to test each against its parts."""

from __future__ import annotations

from attndsl.graph import Node
from attndsl.ops import Fused
from attndsl.passes.base import Pass, PassReport
from attndsl.passes.rewrite import Rewriter
from attndsl.passes.rules import Match, apply, simple


def expanded(node: Node) -> Match:
    """A node with a fused operator as its decomposition into primitives."""
    op = node.op
    assert isinstance(op, Fused)
    return Match(f"`{op.name}` becomes its parts", lambda out: op.expand(out, *node.inputs))


class Expand(Pass):
    """Every fused operator becomes its decomposition into primitives."""

    name = "expand"

    def rewrite(self, rewriter: Rewriter) -> PassReport:
        rule = simple("expanded", (Fused,), lambda algebra, node: expanded(node))
        return self.report(*apply(rewriter, (rule,)))
