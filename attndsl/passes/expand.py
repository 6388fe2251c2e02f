"""Fused operators taken apart again: for backends that have no lowering for one, and to test each against its parts."""

from __future__ import annotations

from attndsl.graph import Node
from attndsl.ops import Fused
from attndsl.passes.algebra import Algebra
from attndsl.passes.base import Pass, PassReport
from attndsl.passes.rewrite import Rewriter
from attndsl.passes.rules import Match, apply, simple
from attndsl.records import dataclass


def expanded(node: Node) -> Match:
    """A node with a fused operator as its decomposition into primitives."""
    op = node.op
    assert isinstance(op, Fused)
    return Match(f"`{op.name}` becomes its parts", lambda out: op.expand(out, *node.inputs))


@dataclass(frozen=True, slots=True)
class Expand(Pass):
    """Every fused operator (those called `only`, if any are named) becomes its decomposition into primitives."""

    only: tuple[str, ...] = ()

    name = "expand"

    def rewrite(self, rewriter: Rewriter) -> PassReport:
        def find(algebra: Algebra, node: Node) -> Match | None:
            return None if self.only and node.op.name not in self.only else expanded(node)

        return self.report(*apply(rewriter, (simple("expanded", (Fused,), find),)))
