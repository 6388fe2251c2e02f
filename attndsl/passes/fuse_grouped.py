"""Products with a part of a table for each row, grouped by part.

The pattern is dot(x, take(table, index)) where the axes of the index are x's too: the expert of a mixture that each
token goes through is taken from a table of experts. Axes that only the table has may be renamed and reordered between
the two.
"""

from __future__ import annotations

from collections.abc import Iterator

from attndsl.graph import FLOAT, Node, Value
from attndsl.graph.builder import Builder
from attndsl.ops import ArgSort, Dot, GroupedDot, Rename, Take, Transpose
from attndsl.ops.products import matches
from attndsl.passes.algebra import Algebra
from attndsl.passes.base import Refusal
from attndsl.passes.rules import Match, Rule, RulePass
from attndsl.records import dataclass


@dataclass(frozen=True, slots=True)
class _Candidate:
    """The operand that is taken: the `take`, what lies between it and the product, and the other operand."""

    take: Node
    between: tuple[Node, ...]
    x: Value


def _candidates(algebra: Algebra, dot: Node) -> Iterator[_Candidate]:
    for x, value in (dot.inputs, dot.inputs[::-1]):
        between: list[Node] = []
        while (node := algebra.made_by(value, Rename, Transpose)) is not None:
            between.append(node)
            value = node.inputs[0]
        take = algebra.made_by(value, Take)
        if take is not None:
            yield _Candidate(take, tuple(between), x)


def _check(algebra: Algebra, dot: Node, found: _Candidate) -> Match | None:
    table, index = found.take.inputs
    assert isinstance(dot.op, Dot)
    assert isinstance(found.take.op, Take)
    renamed = [node.op for node in reversed(found.between) if isinstance(node.op, Rename)]
    if dot.output.type.dtype != FLOAT or any(rename.old in index.type.axes for rename in renamed):
        return None
    type = table.type
    for rename in renamed:
        type = rename.infer(type)
    reason = matches(dot.op, found.x.type, found.take.op, type, index.type)
    if reason:
        raise Refusal(f"the product is not grouped: {reason}", found.take, 1)
    if reason == "":
        return None
    op = GroupedDot(dot.op.over, found.take.op.over, _ascends(algebra, index))

    def rewrite(out: Builder) -> Value:
        whole = table
        for rename in renamed:
            whole = out.emit(rename, whole)
        return out.emit(op, found.x, whole, index)

    return Match(f"`dot` with a part of a table for each row, grouped along {op.group.name}", rewrite)


def _ascends(algebra: Algebra, index: Value) -> bool:
    """Whether the index is sorted: taken in the order that sorts it."""
    while (renamed := algebra.made_by(index, Rename)) is not None:
        (index,) = renamed.inputs
    take = algebra.made_by(index, Take)
    if take is None or index.type.rank != 1:
        return False
    match algebra.producers.get(take.inputs[1]):
        case Node(op=ArgSort(descending=False), inputs=(sorted_,)):
            return sorted_ is take.inputs[0]
    return False


@dataclass(frozen=True, slots=True)
class FuseGrouped(RulePass):
    """A `dot` with what is taken from a table for each row becomes one `grouped_dot`, which copies no part of it."""

    name = "fuse-grouped"
    after = ("constant-folding", "common-subexpressions", "canonicalise")
    rules = (Rule("grouped-dot", (Dot,), _candidates, _check),)
