"""Products with a part of a table for each row, grouped by part.

The pattern is dot(x, take(table, index)) where the axes of the index are x's too: the expert of a mixture that each
token goes through is taken from a table of experts. Axes that only the table has may be renamed and reordered between
the two.

Where the index is kept within the table, and the product made 0 for what is not in it, rows that go with nothing are
left out: the experts that a device has.
"""

from __future__ import annotations

from collections.abc import Iterator

from attndsl.graph import FLOAT, Node, Value
from attndsl.graph.builder import Builder
from attndsl.ops import And, ArgSort, Dot, Ge, GroupedDot, Lt, Op, Rename, SizeOf, Sub, Take, Transpose, Where
from attndsl.ops.comparison import Relation
from attndsl.ops.products import matches
from attndsl.passes.algebra import Algebra
from attndsl.passes.base import Refusal
from attndsl.passes.rules import Match, Put, Rule, RulePass, simple
from attndsl.records import Frozen, replace
from attndsl.types import Axis


class _Candidate(Frozen):
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


def _part(algebra: Algebra, node: Node) -> Put | None:
    """A grouped product that counts where the table has the entry, and is 0 elsewhere."""
    here, value, nothing = node.inputs
    made = algebra.made_by(value, GroupedDot)
    if made is None or algebra.constant(nothing) != 0 or len(algebra.rewriter.uses(value)) > 1:
        return None
    x, table, index = made.inputs
    chosen = algebra.made_by(index, Where)
    if chosen is None or chosen.inputs[0] is not here or algebra.constant(chosen.inputs[2]) != 0:
        return None
    at, op = chosen.inputs[1], made.op
    assert isinstance(op, GroupedDot)
    if at.type.axes != index.type.axes or not _is_range(algebra, here, at, op.group):
        return None
    return Put(replace(op, ordered=_ascends(algebra, at), partial=True), (x, table, at))


def _is_range(algebra: Algebra, here: Value, at: Value, group: Axis) -> bool:
    """Whether it says where 0 <= at < length of the axis."""
    both, bounds = algebra.made_by(here, And), dict[type[Op], Value]()
    for side in both.inputs if both is not None else ():
        node = algebra.made_by(side, Relation)
        if node is None or at not in node.inputs:
            return False
        assert isinstance(node.op, Relation)
        first = node.inputs[0] is at
        relation = node.op if first else node.op.mirrored()
        assert relation is not None
        bounds[type(relation)] = node.inputs[1 if first else 0]
    if bounds.keys() != {Ge, Lt} or algebra.constant(bounds[Ge]) != 0:
        return False
    length, end = group.size.known(algebra.sizes), algebra.made_by(bounds[Lt], SizeOf)
    if length is not None:
        return algebra.constant(bounds[Lt]) == length
    return end is not None and isinstance(end.op, SizeOf) and end.op.size == group.size


def _ascends(algebra: Algebra, index: Value) -> bool:
    """Whether the index is sorted: taken in the order that sorts it. A number that is the same for all may have been
    taken from it."""
    while (shifted := algebra.made_by(index, Rename, Sub)) is not None:
        if any(value.type.axes for value in shifted.inputs[1:]):
            return False
        index = shifted.inputs[0]
    take = algebra.made_by(index, Take)
    if take is None or index.type.rank != 1:
        return False
    match algebra.producers.get(take.inputs[1]):
        case Node(op=ArgSort(descending=False), inputs=(sorted_,)):
            return sorted_ is take.inputs[0]
    return False


class FuseGrouped(RulePass):
    """A `dot` with what is taken from a table for each row becomes one `grouped_dot`, which copies no part of it."""

    name = "fuse-grouped"
    after = ("constant-folding", "common-subexpressions", "canonicalise")
    rules = (Rule("grouped-dot", (Dot,), _candidates, _check), simple("grouped-part", (Where,), _part, exact=False))
