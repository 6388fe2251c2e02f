"""A repeat in stages, and whether it can be."""

from __future__ import annotations

from collections.abc import Sequence

from attndsl.diagnostics import AttnError, Label, error
from attndsl.graph import Graph, Node, Value
from attndsl.layouts.classes import AxisClasses
from attndsl.layouts.core import NO_STAGES, PlacementRule, batch_axes
from attndsl.ops import Repeat
from attndsl.records import Frozen
from attndsl.types import Axis


def no_stages(rule: PlacementRule, node: Node | None, message: str, help: str, code: str = NO_STAGES) -> AttnError:
    """The error that a repeat cannot be divided as a rule says, because of this node."""
    label = Label(rule.span, f"`{rule}`") if rule.span else ()
    return error(code, message, node.at if node is not None else None, other=label, help=help)


class StagedLoop(Frozen):
    """A repeat in stages along the dimension `on`: how many `layers` each has, in how many `microbatches` they take a
    batch."""

    path: str
    on: str
    stages: int
    layers: int
    microbatches: int

    @staticmethod
    def of(graph: Graph, node: Node, rule: PlacementRule, stages: int) -> StagedLoop:
        """Raises E1005 where the rounds cannot be divided into so many stages that are alike."""
        op = node.op
        assert isinstance(op, Repeat)
        count, what = op.count.value(graph.sizes), f"`repeat {op.label}`"
        if count % stages or count == 0:
            symbols = sorted(op.count.symbols)
            fitting = [str(n) for n in range(2, count + 1) if count % n == 0][:8]
            way = f"{', '.join(fitting)} stages would divide it" if fitting else "leave it whole"
            way += f", or make it a multiple of {stages}: `--set {symbols[0]}=…`" if symbols else ""
            layers = f"the {count} layers" if count > 1 else "the one layer"
            raise no_stages(rule, node, f"{layers} of {what} cannot be divided into {stages} stages", way)
        own, cases = count // stages, op.cases or ()
        for i, case in enumerate(cases):
            if case != cases[i % own]:
                message = (
                    f"layers {i % own} and {i} of {what} are not computed alike, and stand at one place of two stages"
                )
                way = "choose stages whose layers are alike, or put what differs outside of the repeat"
                raise no_stages(rule, node, message, way)
        return StagedLoop(op.path, rule.dimension, stages, own, rule.microbatches or stages)

    @property
    def steps(self) -> int:
        return self.microbatches + self.stages - 1

    @property
    def bubble(self) -> float:
        """The share of the steps in which a device has no microbatch."""
        return (self.stages - 1) / self.steps


def batch_place(graph: Graph, node: Node, classes: AxisClasses) -> tuple[Value, Axis] | None:
    """A place among what a repeat carries that counts the rows of a batch."""
    places = [(value, axis) for value in node.inputs for axis in value.type.axes]
    for first in batch_axes(graph):
        for place in places:
            if classes.find(place) == classes.find(first):
                return place
    return None


def values_of(nodes: Sequence[Node]) -> set[Value]:
    """All values that these nodes make, those of their bodies with them."""
    found: set[Value] = set()
    for node in nodes:
        found.update(node.outputs)
        for region in node.regions:
            found.update(region.parameters)
            found |= values_of(region.nodes)
    return found
