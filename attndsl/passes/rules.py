"""The one engine that rewrites by rules: a pass is a table of them.

A rule is tried at every node of its kinds. Its `pattern` says cheaply what might be rewritten here (candidates); its
`check` decides, and gives a `Match` or raises a `Refusal` with a reason and the node that stands in the way, which
`compile --explain` shows; the match's `rewrite` emits what stands for the node. A rule that either fits or has nothing
to say needs no two steps: `simple` makes it from a function.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import Any, ClassVar

from attndsl.graph import Node, Value
from attndsl.graph.builder import Builder
from attndsl.ops import Broadcast, Op, Transpose
from attndsl.passes.algebra import Algebra
from attndsl.passes.base import Miss, Pass, PassReport, Refusal, Rewrite
from attndsl.passes.rewrite import NodePlace, Rewriter
from attndsl.records import Frozen


class Match(Frozen):
    """What a rule found at a node, and how to write it otherwise. `rewrite` emits nodes and gives the value that stands
    for the node's; where its layout is another, it is brought into the node's. `nodes` are those that it does the work
    of: while they are there for others, they anchor no match of their own, and the layer around all of them is where
    the new nodes stand."""

    detail: str
    rewrite: Callable[[Builder], Value]
    nodes: tuple[Node, ...] = ()


class Put(Frozen):
    """A node that stands for another: the op and its operands. The type is the other's; `inferred` says that it is to
    be what the op infers as well, and nothing is done otherwise."""

    op: Op
    inputs: tuple[Value, ...]
    inferred: bool = True
    scope: str | None = None


class Rule(Frozen):
    """`name` is what reports call it. `core` is the node that a candidate is about (a norm's root, an attention's
    softmax; else the one at which the rule is tried): what has become of it is not a near miss, and of the refusals
    about one the furthest is reported. `quiet` rules are not reported (they change no more than an order). A rule that
    is not `exact` may make something else of infinities and NaN."""

    name: str
    anchors: tuple[type[Op], ...]
    pattern: Callable[[Algebra, Node], Iterable[Any]]
    check: Callable[[Algebra, Node, Any], Found]
    core: Callable[[Any], Node] | None = None
    quiet: bool = False
    exact: bool = True

    def about(self, candidate: Any, node: Node) -> Node:
        return node if self.core is None else self.core(candidate)


Found = Match | Put | Value | None  # what stands for a node; None: the rule has nothing to say about it


def simple(
    name: str,
    anchors: tuple[type[Op], ...],
    find: Callable[[Algebra, Node], Found],
    *,
    quiet: bool = False,
    exact: bool = True,
) -> Rule:
    """A rule whose pattern is its check: `find` gives the value, or the op and operands, that stand for the node."""
    return Rule(
        name, anchors, lambda _, node: (node,), lambda algebra, node, _: find(algebra, node), quiet=quiet, exact=exact
    )


class RulePass(Pass):
    """A pass that is a table of rules, applied until none fits any more. `backward`: the last node first, so that of
    several groups that end in one another the largest is found; else the first node first, so that a rule sees what its
    node's operands have become."""

    rules: ClassVar[tuple[Rule, ...]] = ()
    backward: ClassVar[bool] = False

    def rewrite(self, rewriter: Rewriter) -> PassReport:
        return self.report(*apply(rewriter, self.rules, backward=self.backward))


def apply(rewriter: Rewriter, rules: Collection[Rule], *, backward: bool = False) -> tuple[list[Rewrite], list[Miss]]:
    """Rewrite by `rules` until none fits any more, and say what was done and what nearly. `AssertionError` where rules
    undo one another."""
    rewriter.number()
    return _Driver(rewriter, rules, backward).run()


class _Driver:
    def __init__(self, rewriter: Rewriter, rules: Collection[Rule], backward: bool) -> None:
        self.rewriter = rewriter
        self.algebra = Algebra(rewriter)
        self.rules = [rule for rule in rules if rule.exact or not rewriter.exact]
        self.table: dict[type[Op], tuple[Rule, ...]] = {}
        self.backward = backward
        self.done: list[Rewrite] = []
        self.claimed: set[Value] = set()
        self.fused: set[tuple[str, Value]] = set()
        self.refused: dict[tuple[str, Value], tuple[int, Miss]] = {}
        places = list(rewriter.walk())
        self.waiting = deque(reversed(places) if backward else places)
        self.queued = set(self.waiting)
        self.left = 1000 + 16 * len(places)

    def run(self) -> tuple[list[Rewrite], list[Miss]]:
        while self.waiting:
            place = self.waiting.popleft()
            self.queued.discard(place)
            if place.node is not None:
                self._visit(place, place.node)
        near = [key for key in self.refused if key not in self.fused]
        near.sort(key=lambda key: self.rewriter.order[key[1]])
        return self.done, [self.refused[key][1] for key in near]

    def _visit(self, place: NodePlace, node: Node) -> None:
        rules = self._rules_for(type(node.op))
        if not rules or node.regions or node.output in self.claimed:
            return
        for rule in rules:
            for candidate in rule.pattern(self.algebra, node):
                try:
                    found = rule.check(self.algebra, node, candidate)
                except Refusal as refusal:
                    self._refuse(rule, refusal, rule.about(candidate, node))
                    continue
                if found is not None and self._rewrite(rule, place, node, found):
                    self.fused.add((rule.name, rule.about(candidate, node).output))
                    return

    def _rules_for(self, kind: type[Op]) -> tuple[Rule, ...]:
        found = self.table.get(kind)
        if found is None:
            found = self.table[kind] = tuple(rule for rule in self.rules if issubclass(kind, rule.anchors))
        return found

    # ------------------------------------------------------------ what a rule answered

    def _rewrite(self, rule: Rule, place: NodePlace, node: Node, found: Match | Put | Value) -> bool:
        readers = self.rewriter.readers(node.output)
        if isinstance(found, Put):
            if found.inferred and found.op.infer(*[value.type for value in found.inputs]) != node.output.type:
                return False
            scope = node.scope if found.scope is None else found.scope
            new = Node(found.op, found.inputs, node.outputs, (), scope, node.span, node.site)
            self._said(rule, f"`{node.op.name}` becomes `{found.op.name}`", node, node.scope)
            self.rewriter.put(node, new)
            self._again([place])
        elif isinstance(found, Value):
            if found.type != node.output.type:
                return False
            self._said(rule, f"`{node.op.name}` does nothing here", node, node.scope)
            self.rewriter.replace(node, found)
        else:
            self._fuse(rule, node, found)
        if self.backward:
            self._again(readers)
        self.left -= 1
        if self.left < 0:
            raise AssertionError(f"the rules undo one another, `{rule.name}` last, at `{node.op.name}`")
        return True

    def _fuse(self, rule: Rule, node: Node, match: Match) -> None:
        scope = common_scope(match.nodes) if match.nodes else node.scope
        self.claimed.update(inner.output for inner in match.nodes if inner is not node)
        self._said(rule, match.detail, node, scope)
        out = self.rewriter.at(node, scope)
        value = match.rewrite(out)
        if value.type != node.output.type:
            axes = node.output.type.axes
            value = out.emit(Transpose(axes) if set(axes) == set(value.type.axes) else Broadcast(axes), value)
        self.rewriter.replace(node, value)
        self._again([self.rewriter.places[new] for new in out.nodes if new in self.rewriter.places])

    def _again(self, places: Iterable[NodePlace]) -> None:
        for place in reversed(tuple(places)):
            if place not in self.queued:
                self.queued.add(place)
                self.waiting.appendleft(place)

    # ------------------------------------------------------------ what is said

    def _said(self, rule: Rule, detail: str, node: Node, scope: str) -> None:
        if not rule.quiet:
            self.done.append(Rewrite(rule.name, detail, scope, node.at, node.span))

    def _refuse(self, rule: Rule, refusal: Refusal, core: Node) -> None:
        key = rule.name, core.output
        before = self.refused.get(key)
        if before is None or refusal.progress > before[0]:
            self.refused[key] = refusal.progress, refusal.miss(rule.name, core)


def common_scope(nodes: Iterable[Node]) -> str:
    """The path of the innermost layer around all of `nodes`."""
    paths = [node.scope.split(".") for node in nodes]
    shared: list[str] = []
    for steps in zip(*paths, strict=False):
        if len(set(steps)) > 1:
            break
        shared.append(steps[0])
    return ".".join(shared)
