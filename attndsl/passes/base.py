"""What a pass is, and what it says about what it did."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from attndsl.diagnostics import Span
from attndsl.graph import Graph, Node
from attndsl.passes.rewrite import Rewriter
from attndsl.records import Frozen

PAST, NEW_TOKENS = "past", "new"
"""Of a graph that reads texts on: the state that says how many tokens of each row have been read, and the input that
says how many of a call's are."""


class Rewrite(Frozen):
    """Something that was rewritten: which rule, how often at this place, and where."""

    rule: str
    detail: str
    scope: str = ""
    at: Span | None = None
    span: Span | None = None
    count: int = 1


class Miss(Frozen):
    """Something that looked as if `rule` would fit and did not. `at` is where the author wrote it, `culprit` the op
    that stands in the way and `where` its place."""

    rule: str
    reason: str
    culprit: str = ""
    scope: str = ""
    at: Span | None = None
    where: Span | None = None


class PassReport(Frozen):
    """What one pass did to one graph; that of `housekeeping` is summed up where it is shown."""

    name: str
    rewrites: tuple[Rewrite, ...] = ()
    misses: tuple[Miss, ...] = ()
    housekeeping: bool = False

    @property
    def count(self) -> int:
        return sum(rewrite.count for rewrite in self.rewrites)


class Pass(Frozen):
    """A rewriting of graphs, whose fields are the pass's options. `after` names the passes that must have run before;
    the pipeline checks it."""

    name: ClassVar[str] = ""
    after: ClassVar[tuple[str, ...]] = ()
    housekeeping: ClassVar[bool] = False

    def rewrite(self, rewriter: Rewriter) -> PassReport:
        """Rewrite a graph, and say what was done."""
        raise NotImplementedError(type(self).__name__)

    def run(self, graph: Graph) -> tuple[Graph, PassReport]:
        """The rewritten graph (the same object if there was nothing to do) and what was done."""
        rewriter = Rewriter(graph)
        report = self.rewrite(rewriter)
        return rewriter.finish(), report

    def report(self, rewrites: Iterable[Rewrite], misses: Iterable[Miss] = ()) -> PassReport:
        """What to say of rewrites and misses; equal rewrites at one place are one with a count."""
        counts: dict[Rewrite, int] = {}
        for rewrite in rewrites:
            counts[rewrite] = counts.get(rewrite, 0) + 1
        counted = tuple(Rewrite(r.rule, r.detail, r.scope, r.at, r.span, n) for r, n in counts.items())
        return PassReport(self.name, counted, tuple(misses), self.housekeeping)


class Refusal(Exception):
    """Raised by a rule whose pattern is there in the main but must not be rewritten: why, and the `culprit` that stands
    in the way. `progress` orders refusals of the same thing: the one that got furthest is what an author wants to
    hear."""

    def __init__(self, reason: str, culprit: Node | None = None, progress: int = 0) -> None:
        super().__init__(reason)
        self.reason, self.culprit, self.progress = reason, culprit, progress

    def miss(self, rule: str, node: Node) -> Miss:
        """The report of this refusal for the pattern about `node`."""
        culprit = self.culprit or node
        return Miss(rule, self.reason, culprit.op.name, node.scope, node.at, culprit.at)


def rewritten(rule: str, detail: str, node: Node) -> Rewrite:
    """The report of a rewrite anchored at `node`."""
    return Rewrite(rule, detail, node.scope, node.at, node.span)
