"""`training` decided: the graph as it runs in the steps of a training, or in use."""

from __future__ import annotations

from attndsl.graph import Node
from attndsl.ops import InTraining
from attndsl.passes.algebra import Algebra
from attndsl.passes.base import Pass, PassReport
from attndsl.passes.rewrite import Rewriter
from attndsl.passes.rules import Found, apply, simple


class Decide(Pass):
    """Every choice by `training` becomes the operand that is taken; what only the other needs goes."""

    name = "decide"
    training: bool = False

    def rewrite(self, rewriter: Rewriter) -> PassReport:
        def taken(algebra: Algebra, node: Node) -> Found:
            assert isinstance(node.op, InTraining)
            return node.inputs[node.op.taken(given=True, training=self.training)]

        return self.report(*apply(rewriter, (simple("decided", (InTraining,), taken),)))
