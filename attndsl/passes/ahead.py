"""Products in the steps of a scan that what it carries takes no part in, such as those of an LSTM's input with its
weights: one for all steps, before the scan, in the place of one in each."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from attndsl.graph import Node, Value
from attndsl.graph.builder import Builder
from attndsl.ops import Scan, Take, Transpose
from attndsl.passes.all_steps import AllSteps
from attndsl.passes.base import PAST, Pass, PassReport, Refusal, Rewrite, rewritten
from attndsl.passes.linear import moving
from attndsl.passes.rewrite import NodePlace, Rewriter


class ComputeAhead(Pass):
    """Computes what steps have in common but for the place that they read, where there is a product in it, for all
    steps at once. A step takes its part of that."""

    name = "compute-ahead"

    def rewrite(self, rewriter: Rewriter) -> PassReport:
        return self.report(compute_ahead(rewriter))


def compute_ahead(rewriter: Rewriter, taps: Collection[Value] = ()) -> list[Rewrite]:
    """Do so, and say what was; scans in which a value of `taps` is made stay as they are."""
    if PAST in rewriter.graph.state_names:  # it is mostly given one step
        return []
    done: list[Rewrite] = []
    for place in list(rewriter.walk()):
        if place.node is not None and isinstance(place.node.op, Scan):
            node = rewriter.now(place)
            inside = {value for inner in node.regions[0].walk() for value in inner.outputs}
            if inside.isdisjoint(taps):
                done += _ahead(rewriter, place, node)
    return done


def _ahead(rewriter: Rewriter, place: NodePlace, scan: Node) -> Iterator[Rewrite]:
    out = Builder(scan.scope, scan.span, scan.site)
    steps, (region,) = AllSteps(out, scan, in_front=True), scan.regions
    moves, makers = moving(scan), steps.makers
    waiting = [value for inner in region.nodes if not moves.isdisjoint(inner.outputs) for value in inner.inputs]
    waiting += region.results
    seen, made = set(moves), dict[Value, Value]()
    products = set[Value]()  # what a product leads to
    for inner in region.nodes:
        if inner.op.contracts or not products.isdisjoint(inner.inputs):
            products.update(inner.outputs)
    while waiting:
        value = waiting.pop()
        if value in seen or value not in makers:
            continue
        seen.add(value)
        if value not in products:
            continue
        try:
            if _grows(makers[value]):
                raise Refusal("it is larger than what it is made of")
            whole = steps.of(value)
        except Refusal:
            waiting += makers[value].inputs
            continue
        if value in steps.varying:
            axes = (steps.axis, *value.type.axes)
            made[value] = whole if whole.type.axes == axes else out.emit(Transpose(axes), whole)
    for node in out.nodes:
        rewriter.insert(node, place)
    for value, whole in made.items():
        old = makers[value]
        taken = Node(Take(steps.axis), (whole, steps.index), (value,), (), old.scope, old.span, old.site)
        rewriter.put(rewriter.producers[value], taken)
        yield rewritten("scan", f"`{old.op.name}` is computed for all steps at once, before them", old)


def _grows(node: Node) -> bool:
    """Whether a result has more axes than any operand, and is no product: it is made in each step for memory's sake."""
    return not node.op.contracts and all(value.type.rank < node.output.type.rank for value in node.inputs)
