"""What the fusions share: trying a matcher at every node, and reporting what fused and what nearly did."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from attndsl.graph import Graph, Node, Value
from attndsl.graph.builder import Builder
from attndsl.ops import Broadcast, Op
from attndsl.passes.algebra import Algebra
from attndsl.passes.base import Refusal, Report, Rewrite, tally
from attndsl.passes.rewrite import Facts, Rewriter, common_scope
from attndsl.records import dataclass


@dataclass(frozen=True, slots=True)
class Match:
    """A group of nodes that one op stands for. `core` is the node that the pattern is about (a norm's root, an
    attention's softmax), by which what nearly matched is known; `nodes` those replaced, the last one first. `build`
    emits the op and gives its result, which is transposed to the layout that the group had."""

    rule: str
    core: Node
    nodes: tuple[Node, ...]
    detail: str
    build: Callable[[Rewriter], Value]


@dataclass(frozen=True, slots=True)
class NearMiss:
    rule: str
    core: Node
    refusal: Refusal


Matcher = Callable[[Algebra, Node], "Match | NearMiss | None"]


def fuse(graph: Graph, name: str, anchors: tuple[type[Op], ...], match: Matcher) -> tuple[Graph, Report]:
    """Try `match` at every node of the kinds `anchors`, the last first, so that the largest group wins; nodes inside a
    group that has matched already anchor no other. Then rewrite at the anchors."""
    facts = Facts(graph)
    algebra = Algebra(facts)
    found: dict[Value, Match] = {}
    inside: set[Node] = set()
    misses: dict[tuple[str, Node], NearMiss] = {}
    for node in reversed(tuple(graph.body.walk())):
        if node in inside or not isinstance(node.op, anchors):
            continue
        result = match(algebra, node)
        if isinstance(result, Match):
            found[node.output] = result
            inside.update(result.nodes)
        elif result is not None:
            before = misses.get((result.rule, result.core))
            if before is None or result.refusal.progress > before.refusal.progress:
                misses[result.rule, result.core] = result
    fused_cores = {result.core for result in found.values()}
    done: list[Rewrite] = []

    def visit(node: Node, rewriter: Rewriter) -> tuple[Value, ...] | None:
        result = found.get(node.outputs[0]) if node.outputs else None
        if result is None:
            return None
        rewriter.stamp(common_scope(result.nodes))
        value = result.build(rewriter)
        if value.type != node.output.type:
            value = rewriter.emit(Broadcast(node.output.type.axes), value)
        done.append(Rewrite(result.rule, result.detail, rewriter.builder.scope, node.at, node.span))
        return (value,)

    rewritten_graph = Rewriter(graph, visit).run()
    order = {node: i for i, node in enumerate(graph.body.walk())}
    near = sorted((m for m in misses.values() if m.core not in fused_cores), key=lambda m: order[m.core])
    return rewritten_graph, Report(name, tally(done), tuple(m.refusal.miss(m.rule, m.core) for m in near))


def group(algebra: Algebra, root: Node, leaves: Iterable[Value], through: tuple[type[Op], ...]) -> tuple[Node, ...]:
    """The nodes from `root` back to `leaves`, through nodes of the kinds `through`; `root` first."""
    ends, found, waiting = set(leaves), dict[Node, None](), [root]
    while waiting:
        node = waiting.pop()
        if node in found:
            continue
        found[node] = None
        for value in node.inputs:
            maker = algebra.made_by(value, *through)
            if value not in ends and maker is not None and algebra.constant(value) is None:
                waiting.append(maker)
    return tuple(found)


class Rehearsal:
    """Stands in for a rewriter, to see what type a rewrite would have before the decision to make it."""

    def __init__(self) -> None:
        self.builder = Builder()

    def now(self, value: Value) -> Value:
        return value

    def emit(self, op: Op, *inputs: Value) -> Value:
        return self.builder.emit(op, *inputs)


def axis_names(axes: Iterable[object]) -> str:
    return f"[{', '.join(getattr(axis, 'name', str(axis)) for axis in axes)}]"


__all__ = ["Match", "Matcher", "NearMiss", "Rehearsal", "axis_names", "fuse", "group"]
