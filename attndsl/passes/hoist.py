"""Loop invariants: what is the same in every step of a repeat or scan is computed once, before it."""

from __future__ import annotations

from attndsl.graph import Node, Value
from attndsl.ops import Op, Parameter, Repeat
from attndsl.passes.base import Pass, PassReport, Rewrite, rewritten
from attndsl.passes.rewrite import EditedBody, NodePlace, Rewriter


class Hoist(Pass):
    """Moves pure nodes whose operands come from outside the body in front of it: masks, tables of positions. Constants
    and parameters stay, unless what moves needs them (then they are made again outside); what is drawn anew at each
    step stays; so do parameters of one step (`h.*.…`) and what is computed from them, and what may raise an error
    where there may be no step."""

    name = "hoist"
    housekeeping = True

    def rewrite(self, rewriter: Rewriter) -> PassReport:
        return self.report(hoist(rewriter))


def hoist(rewriter: Rewriter, kinds: tuple[type[Op], ...] = (Op,)) -> list[Rewrite]:
    """Move nodes of the kinds `kinds` out of the bodies that they are the same in, and say which."""
    moved: list[Rewrite] = []
    _hoist(rewriter, rewriter.body, kinds, moved)
    return moved


def _hoist(rewriter: Rewriter, body: EditedBody, kinds: tuple[type[Op], ...], moved: list[Rewrite]) -> None:
    for place in body.places():
        for inner in place.bodies:
            _hoist(rewriter, inner, kinds, moved)  # what left the bodies inside this one may leave this one too
            _empty(rewriter, inner, place, kinds, moved)


def _empty(
    rewriter: Rewriter, body: EditedBody, owner: NodePlace, kinds: tuple[type[Op], ...], moved: list[Rewrite]
) -> None:
    """Move what can stand before `owner` out of its `body`."""
    inside = set(body.region.parameters)
    free: dict[Value, Node] = {}
    copies: dict[Value, Value] = {}
    assert owner.node is not None
    runs = _runs(rewriter, owner.node)
    for place in body.places():
        node = place.node
        assert node is not None
        if node.op.free and _same_in_every_step(node):
            free[node.output] = node
            continue
        movable = isinstance(node.op, kinds) and not place.bodies and _same_in_every_step(node)
        movable = movable and (runs or not may_fail(node))
        if not movable or any(value in inside for value in node.inputs):
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


def _runs(rewriter: Rewriter, loop: Node) -> bool:
    """Whether each body of a repeat is sure to run."""
    if not isinstance(loop.op, Repeat) or loop.active or (rounds := loop.op.count.known(rewriter.sizes)) is None:
        return False
    cases = {0} if loop.op.cases is None else set(loop.op.cases)
    return rounds > 0 and len(cases) == len(loop.regions)


def may_fail(node: Node) -> bool:
    """Whether a node may raise an error."""
    return node.op.fails and not (node.op.pointwise and any(value.type.is_float for value in node.inputs))


def _same_in_every_step(node: Node) -> bool:
    if isinstance(node.op, Parameter):
        return "*" not in node.op.address
    return not node.op.draws
