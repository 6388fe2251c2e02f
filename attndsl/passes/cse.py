"""Common subexpressions: what has been computed is not computed again."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Hashable

from attndsl.graph import Value
from attndsl.passes.base import Pass, PassReport, Rewrite, rewritten
from attndsl.passes.rewrite import EditedBody, Rewriter

Table = ChainMap[Hashable, Value]


class CommonSubexpressions(Pass):
    """Two nodes with the same op and operands are one; the operands of commutative ops count in any order. A body sees
    what the bodies around it computed before it. Every dropout has a site of its own, so two dropouts stay two."""

    name = "common-subexpressions"
    housekeeping = True

    def rewrite(self, rewriter: Rewriter) -> PassReport:
        search = _Search(rewriter)
        search.body(rewriter.body, ChainMap())
        return self.report(search.merged)


class _Search:
    def __init__(self, rewriter: Rewriter) -> None:
        self.rewriter = rewriter
        self.merged: list[Rewrite] = []
        self.numbers: dict[Hashable, int] = {}  # of each value; of each op among those that are known by what they are
        self.number_of: dict[Value, int] = {}

    def body(self, body: EditedBody, seen: Table) -> None:
        for place in body.places():
            node = place.node
            if node is None:
                continue
            if node.regions:
                for inner in place.bodies:
                    self.body(inner, seen.new_child())
                continue
            operands = [self.number(value) for value in node.inputs]
            if node.op.commutative:
                operands.sort()
            value = node.output
            key = (node.op, tuple(operands), tuple([axis.name for axis in value.type.axes]))
            free = node.op.free  # never fetched from an outer body
            if free:
                self.number_of[value] = self.numbers.setdefault(node.op, len(self.numbers))
            found = (seen.maps[0] if free else seen).get(key)
            if self.rewriter.exact and node.inputs and value.type.is_float:
                found = None  # a gradient of inf * (a - b) is not one of inf * a - inf * b
            if found is None or found not in self.rewriter.producers:
                seen[key] = value
                continue
            self.merged.append(rewritten("merged", f"`{node.op.name}` is computed once", node))
            self.rewriter.replace(node, found)

    def number(self, value: Value) -> int:
        found = self.number_of.get(value)
        if found is None:
            found = self.number_of[value] = self.numbers.setdefault(value, len(self.numbers))
        return found
