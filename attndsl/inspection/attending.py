"""Which softmaxes attend: those over an axis of data whose result weighs a sum over that axis.

Nothing depends on names: attention that an author wrote out is found as the standard library's is. A softmax over what
parameters alone decide (the experts of a gate, the words of a vocabulary) is not one.
"""

from __future__ import annotations

from attndsl import ops
from attndsl.graph import Axis, Graph, Node, Value
from attndsl.passes.rewrite import Rewriter

_BETWEEN = (  # what may stand between the softmax and the sum
    *(ops.Dropout, ops.Rename, ops.Transpose, ops.Broadcast, ops.Cast, ops.StopGradient, ops.Mul, ops.Div, ops.Where),
    *(ops.Add, ops.Sub),
)

_Scored = tuple[Value, "Axis | None"]  # a value along an axis; None: whatever its axes are


def attending(graph: Graph) -> dict[Node, tuple[Axis, ...]]:
    """The softmaxes that attend, whatever bodies they stand in, in the order of computation. Each with the axes along
    which it may have queries: those that neither are the keys' nor belong to what is attended to (as a batch does)."""
    weighing = Weighing(graph)
    found: dict[Node, tuple[Axis, ...]] = {}
    for node in graph.body.walk():
        if isinstance(node.op, ops.Softmax) and (weighed := weighing.axes(node)) is not None:
            others = weighed | set(node.op.goes_over)
            found[node] = tuple(axis for axis in node.output.type.axes if axis not in others)
    return found


def mask_of(node: Node) -> Value | None:
    """What says where the scores of a softmax count; None where all do, and for any other node."""
    return node.op.parts(*node.inputs[1:])[0] if isinstance(node.op, ops.Softmax) else None


class Weighing:
    """Says what a graph's softmaxes weigh, and remembers what it found out about the values that they are made of."""

    def __init__(self, graph: Graph) -> None:
        self._facts = Rewriter(graph)
        self._from_data: dict[_Scored, bool] = {}

    def axes(self, node: Node) -> frozenset[Axis] | None:
        """What a softmax weighs (see `_in_sums`), if inputs have a say in what it weighs it by; None for one over
        several axes, none of which is that of the keys."""
        if len(node.op.goes_over) > 1:
            return None
        (over,) = node.op.goes_over
        axes = _in_sums(self._facts, node.output, over)
        return axes if axes is not None and self._is_from_data((node.inputs[0], over)) else None

    def _is_from_data(self, start: _Scored) -> bool:
        """Whether an input has a say in which elements the scores have along an axis: follow the axis back to where it
        comes from, through renames and products. Parameters, ranges and constants come from nowhere."""
        reached: dict[_Scored, _Scored | None] = {start: None}  # with where each was come to from
        waiting = [start]
        while waiting:
            at = waiting.pop()
            known = self._from_data.get(at)
            before = () if known is not None else self._before(*at)
            if known or before is None:
                way: _Scored | None = at
                while way is not None:
                    self._from_data[way] = True
                    way = reached[way]
                return True
            for each in before:
                if each not in reached:
                    reached[each] = at
                    waiting.append(each)
        self._from_data.update(dict.fromkeys(reached, False))
        return False

    def _before(self, value: Value, along: Axis | None) -> list[_Scored] | None:
        """What has a say in the elements of a value along an axis; None where that is an input or a body."""
        node = self._facts.producers.get(value)
        if node is None or node.regions:
            return None
        if isinstance(node.op, ops.Rename) and along == node.op.new:
            along = node.op.old
        carrying = [v for v in node.inputs if along is None or along in v.type.axes]
        if not carrying and not isinstance(node.op, ops.Broadcast):
            carrying, along = list(node.inputs), None  # the axis is made here, of others
        return [(each, along) for each in carrying]


def _in_sums(facts: Rewriter, weights: Value, over: Axis) -> frozenset[Axis] | None:
    """The axes of what the weights are multiplied with in a sum over `over`, by their names at the softmax; None where
    there is no such sum."""
    waiting: list[tuple[Value, dict[Axis, Axis], frozenset[Axis]]] = [(weights, {}, frozenset())]
    seen = {weights}
    while waiting:
        value, before, met = waiting.pop()
        keys = next((new for new, old in before.items() if old == over and new in value.type.axes), over)
        for node in facts.uses(value):
            if node is None or not node.outputs or node.regions:
                continue
            further = frozenset(
                before.get(axis, axis) for other in node.inputs if other is not value for axis in other.type.axes
            )
            summed = isinstance(node.op, (ops.Dot, ops.Sum)) and keys in node.op.goes_over
            if summed and (isinstance(node.op, ops.Dot) or over in met):
                return met | further
            if not isinstance(node.op, _BETWEEN) or node.output in seen:
                continue
            seen.add(node.output)
            renamed = dict(before)
            if isinstance(node.op, ops.Rename):
                renamed[node.op.new] = before.get(node.op.old, node.op.old)
            is_product = isinstance(node.op, ops.Mul)
            waiting.append((node.output, renamed, met | further if is_product else met))
    return None
