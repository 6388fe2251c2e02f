"""The graph as networkx sees it: what flows from where to where, for people who analyse graphs."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from attndsl.graph.text import attribute_text
from attndsl.records import fields

if TYPE_CHECKING:
    import networkx

    from attndsl.graph.core import Graph, Node, Region, Value


def to_networkx(graph: Graph) -> networkx.MultiDiGraph:
    """A directed graph without cycles, numbered from 0 in the order in which things are computed.

    Its nodes are the inputs, the operations, what each body is given and the outputs. `kind` says which of these one
    is: "input", an operation's name, "index" (the number of a round), "carried" (what a body is given besides) or
    "output". `name` is an input's or output's, `attributes` an operation's as text, `layer` the path of the layer that
    it stands in, `line` where to look in the author's file, `body` the number of the repeat or scan around it (None:
    there is none) and `case` which of its bodies. Its edges are values: `operand` is the place that one has among those
    of its reader, `type` its type as text, `names` its addresses. What a body gives back flows to its repeat or scan,
    and what that carries flows to what the body is given.
    """
    return _Flow(graph).result


class _Flow:
    def __init__(self, graph: Graph) -> None:
        import networkx

        self.result = networkx.MultiDiGraph(name=graph.name)
        self.numbers = count()
        self.made: dict[Value, int] = {}
        for info in graph.inputs:
            self.made[info.value] = self.add("input", None, 0, name=info.name)
        self.region(graph.body, None, 0)
        for output in graph.outputs:
            self.read(output.value, self.add("output", None, 0, name=output.name), 0)

    def add(self, kind: str, body: int | None, case: int, **attributes: object) -> int:
        number = next(self.numbers)
        self.result.add_node(number, kind=kind, body=body, case=case, **attributes)
        return number

    def read(self, value: Value, reader: int, operand: int) -> None:
        self.result.add_edge(self.made[value], reader, operand=operand, type=str(value.type), names=value.names)

    def region(self, region: Region, body: int | None, case: int) -> None:
        for node in region.nodes:
            self.node(node, body, case)

    def node(self, node: Node, body: int | None, case: int) -> None:
        shown = {each.name: attribute_text(getattr(node.op, each.name)) for each in fields(node.op)}
        line = node.at.line if node.at is not None else None
        number = self.add(node.op.name, body, case, attributes=shown, layer=node.scope, line=line)
        for operand, value in enumerate(node.inputs):
            self.read(value, number, operand)
        for inner, region in enumerate(node.regions):
            index, *carried = region.parameters
            self.made[index] = self.add("index", number, inner)
            for value, first in zip(carried, node.starts, strict=True):
                self.made[value] = self.add("carried", number, inner)
                self.read(first, self.made[value], 0)
            self.region(region, number, inner)
            for place, value in enumerate(region.results):
                self.read(value, number, len(node.inputs) + place)
        self.made.update(dict.fromkeys(node.outputs, number))
