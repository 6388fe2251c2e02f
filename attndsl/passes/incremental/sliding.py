"""A graph whose context slides along a text of any length: every position sees the last ones alone, as many as the
context has.

That is possible where positions count by their distances only (`places`): then nothing that was made of a text changes
when its first tokens fall away, and attention to the last positions is a window like any other.
"""

from __future__ import annotations

from typing import ClassVar

from attndsl.graph import Graph, Node, Value
from attndsl.graph.builder import Builder
from attndsl.masks.reach import reach
from attndsl.ops import And, Attention, Constant, Lt, MaskFacts, Range, Sub
from attndsl.passes.algebra import Algebra
from attndsl.passes.base import Pass, PassReport
from attndsl.passes.dce import DeadCode
from attndsl.passes.decide import Decide
from attndsl.passes.incremental.clock import Clock, NotCausal
from attndsl.passes.incremental.places import Places
from attndsl.passes.pipeline import PIPELINE, optimize
from attndsl.passes.rewrite import Rewriter
from attndsl.passes.rules import Found, Match, apply, simple
from attndsl.records import replace
from attndsl.sizes import Size


def sliding(graph: Graph, tokens: str, outputs: tuple[str, ...], context: int) -> Graph | None:
    """The graph in use, for texts of any length, of which every position sees the last `context`, itself included; None
    where `outputs` depend on where in a text a position is."""
    plain, _ = optimize(graph, passes=(Decide(), *PIPELINE))
    wanted = tuple(info for info in plain.outputs if info.name in (*outputs, *plain.state_names))
    try:
        clock = Clock.of(plain, tokens)
    except NotCausal:
        return None
    if Places(plain, clock).matter([info.value for info in wanted]):
        return None
    rules = tuple(rule for rule in plain.constraints if clock.symbol not in rule.symbols)
    body = replace(plain.body, results=tuple(info.value for info in wanted))
    plain = replace(plain, outputs=wanted, constraints=rules, body=body)
    made, _ = optimize(plain, passes=(WithinContext(clock, context), DeadCode()))
    return made


class WithinContext(Pass):
    """Attention along time sees the last `context` positions, where it may have seen more."""

    clock: Clock
    context: int
    name: ClassVar[str] = "within-context"

    def rewrite(self, rewriter: Rewriter) -> PassReport:
        return self.report(*apply(rewriter, (simple(self.name, (Attention,), self._windowed),)))

    def _windowed(self, algebra: Algebra, node: Node) -> Found:
        op = node.op
        assert isinstance(op, Attention)
        mask, *_ = op.extra(*node.inputs[3:])
        queries = [axis for axis in self.clock.times(mask.type.axes) if axis != op.over] if mask is not None else []
        if mask is None or not self.clock.is_time(op.over) or len(queries) != 1:
            return None
        before = reach(mask, algebra.producers, queries[0], op.over, algebra.rewriter.sizes).before
        known = before.known(algebra.rewriter.sizes) if before is not None else None
        if known is not None and known < self.context:
            return None
        facts = MaskFacts(op.mask.queries, data=op.mask.data)
        if op.mask.causal:
            facts = replace(op.mask, before=Size.of(self.context - 1))

        def rewrite(out: Builder) -> Value:
            distance = out.emit(Sub(), out.emit(Range(queries[0])), out.emit(Range(op.over)))
            near = out.emit(And(), mask, out.emit(Lt(), distance, out.emit(Constant(self.context))))
            inputs = (*node.inputs[:3], near, *node.inputs[4:])
            return out.emit(replace(op, mask=facts), *inputs)

        return Match(f"attention to the last {self.context:,} positions", rewrite)
