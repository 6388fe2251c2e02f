"""Loop invariants: what is the same in every step of a repeat or scan is computed once, before it."""

from __future__ import annotations

from attndsl.graph import Node, Value
from attndsl.ops import Parameter
from attndsl.passes.base import Pass, PassReport, Rewrite, rewritten
from attndsl.passes.rewrite import EditedBody, NodePlace, Rewriter
from attndsl.records import dataclass


@dataclass(frozen=True, slots=True)
class Hoist(Pass):
    """Moves pure nodes whose operands come from outside the body in front of it: masks, tables of positions. Constants
    and parameters stay, unless what moves needs them (then they are made again outside); what is drawn anew at each
    step stays; so do parameters of one step (`h.*.…`) and what is computed from them."""

    name = "hoist"
    housekeeping = True

    def rewrite(self, rewriter: Rewriter) -> PassReport:
        moved: list[Rewrite] = []
        _hoist(rewriter, rewriter.body, moved)
        return self.report(moved)


def _hoist(rewriter: Rewriter, body: EditedBody, moved: list[Rewrite]) -> None:
    for place in body.places():
        for inner in place.bodies:
            _hoist(rewriter, inner, moved)  # what left the bodies inside this one may leave this one too
            _empty(rewriter, inner, place, moved)


def _empty(rewriter: Rewriter, body: EditedBody, owner: NodePlace, moved: list[Rewrite]) -> None:
    """Move what can stand before `owner` out of its `body`."""
    inside = set(body.region.parameters)
    free: dict[Value, Node] = {}
    copies: dict[Value, Value] = {}
    assert owner.node is not None
    for place in body.places():
        node = place.node
        assert node is not None
        if node.op.free and _same_in_every_step(node):
            free[node.output] = node
            continue
        if place.bodies or not _same_in_every_step(node) or any(value in inside for value in node.inputs):
            inside.update(node.outputs)
            continue
        for value in node.inputs:
            if value in free and value not in copies:
                made = free[value]
                copies[value] = rewriter.insert(_copy(made, made.inputs, Value(value.type)), owner)
        inputs = tuple(copies.get(value, value) for value in node.inputs)
        rewriter.move(node, owner.node)
        rewriter.put(node, Node(node.op, inputs, node.outputs, (), node.scope, node.span, node.site))
        moved.append(
            rewritten("hoisted", f"`{node.op.name}` is computed once, before the `{owner.node.op.name}`", node)
        )


def _copy(node: Node, inputs: tuple[Value, ...], output: Value) -> Node:
    return Node(node.op, inputs, (output,), (), node.scope, node.span, node.site)


def _same_in_every_step(node: Node) -> bool:
    if isinstance(node.op, Parameter):
        return "*" not in node.op.address
    return not node.op.draws
