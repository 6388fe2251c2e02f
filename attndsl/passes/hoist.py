"""Loop invariants: what is the same in every step of a repeat or scan is computed once, before it."""

from __future__ import annotations

from attndsl.graph import Graph, Node, Region, Value
from attndsl.ops import Constant, Dropout, Parameter, SizeOf, Uniform
from attndsl.passes.base import Pass, Report, Rewrite, rewritten, tally
from attndsl.records import dataclass, replace

FREE = (Constant, SizeOf, Parameter)


@dataclass(frozen=True, slots=True)
class Hoist(Pass):
    """Moves pure nodes whose operands come from outside the body in front of it: masks, tables of positions. Constants
    and parameters stay, unless what moves needs them (then they are made again outside); what is drawn anew at each
    step stays; so do parameters of one step (`h.*.…`) and what is computed from them."""

    name = "hoist"

    def run(self, graph: Graph) -> tuple[Graph, Report]:
        moved: list[Rewrite] = []
        body = _hoisted(graph.body, moved)
        return (graph if body is graph.body else replace(graph, body=body)), Report(self.name, tally(moved))


def _hoisted(region: Region, moved: list[Rewrite]) -> Region:
    nodes: list[Node] = []
    for node in region.nodes:
        if node.regions:
            before, node = _emptied(node, moved)
            nodes += before
        nodes.append(node)
    if len(nodes) == len(region.nodes) and all(a is b for a, b in zip(nodes, region.nodes, strict=True)):
        return region
    return Region(region.parameters, tuple(nodes), region.results)


def _emptied(owner: Node, moved: list[Rewrite]) -> tuple[list[Node], Node]:
    """What can stand before `owner`, and `owner` without it."""
    before: list[Node] = []
    regions = []
    for region in owner.regions:
        inner = _hoisted(region, moved)  # what left the bodies inside this one may leave this one too
        made = {*inner.parameters, *(value for node in inner.nodes for value in node.outputs)}
        free = {node.output: node for node in inner.nodes if isinstance(node.op, FREE) and _same_in_every_step(node)}
        copies: dict[Value, Value] = {}
        left: list[Node] = []
        for node in inner.nodes:
            stays = isinstance(node.op, FREE) or node.regions or not _same_in_every_step(node)
            if stays or any(value in made and value not in free for value in node.inputs):
                left.append(node)
                continue
            for value in node.inputs:
                if value in free and value not in copies:
                    copies[value] = Value(value.type)
                    before.append(replace(free[value], outputs=(copies[value],)))
            inputs = tuple(copies.get(value, value) for value in node.inputs)
            before.append(replace(node, inputs=inputs))
            made.difference_update(node.outputs)
            moved.append(rewritten("hoisted", f"`{node.op.name}` is computed once, before the `{owner.op.name}`", node))
        regions.append(inner if len(left) == len(inner.nodes) else Region(inner.parameters, tuple(left), inner.results))
    if all(new is old for new, old in zip(regions, owner.regions, strict=True)):
        return before, owner
    return before, replace(owner, regions=tuple(regions))


def _same_in_every_step(node: Node) -> bool:
    if isinstance(node.op, Parameter):
        return "*" not in node.op.address
    return node.op.pure and not isinstance(node.op, (Dropout, Uniform))
