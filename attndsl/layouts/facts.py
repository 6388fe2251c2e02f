"""What of a graph matters to how it is laid out: what gradients flow through, what anybody can make, and how large
things are."""

from __future__ import annotations

from math import prod

from attndsl.graph import Graph, Node, Region, Value
from attndsl.layouts.classes import is_whole_take
from attndsl.ops import Broadcast, Cast, Constant, Given, Parameter, Range, Take
from attndsl.sizes import Size
from attndsl.types import Type

USUAL = 512
"""How long an axis is taken to be that the inputs bind."""

OFTEN = 8
"""How often a loop is taken to run of which it is not known."""


class Facts:
    """`differentiated` are the values that a gradient may flow through, `zeros` those that are 0 everywhere, `weights`
    those that parameters alone decide, `choices` those that pick matrices from a weight, such as experts."""

    def __init__(self, graph: Graph) -> None:
        self.sizes = {**graph.sizes, **dict.fromkeys(graph.free_sizes, USUAL)}
        self.differentiated: set[Value] = {i.value for i in graph.own_inputs if i.value.type.is_float}
        self.zeros: set[Value] = set()
        self.weights: set[Value] = set()
        self.choices: set[Value] = set()
        self._picked: dict[Value, Value] = {}
        self._ranges: set[Value] = set()
        self._all_taken: set[Value] = set()
        self._anywhere: set[Value] = set()
        self._elements: dict[Type, float] = {}
        self._often: dict[Size, float] = {}
        self._region(graph.body)

    def takes_all(self, node: Node) -> bool:
        """Whether a node takes every element of its operand in turn."""
        return node.output in self._all_taken

    def is_made_anywhere(self, node: Node) -> bool:
        """Whether each device can make any part of the result, out of nothing that others have."""
        return not node.regions and node.output in self._anywhere

    def elements(self, type: Type) -> float:
        """About how many elements a value has."""
        if type not in self._elements:
            self._elements[type] = prod(self._known(axis.size, USUAL) for axis in type.axes)
        return self._elements[type]

    def worth(self, size: Size) -> float:
        """About how much a formula comes to."""
        return float(size.exact(self.sizes))

    def often(self, times: Size) -> float:
        """About how often a region runs."""
        if times not in self._often:
            self._often[times] = self._known(times, OFTEN)
        return self._often[times]

    def _known(self, size: Size, otherwise: int) -> float:
        try:
            return max(float(size.exact(self.sizes)), 1.0)
        except (KeyError, ZeroDivisionError):
            return float(otherwise)

    def _region(self, region: Region) -> None:
        for node in region.nodes:
            if node.regions:
                self._loop(node)
                continue
            flows = isinstance(node.op, Parameter) or any(value in self.differentiated for value in node.inputs)
            if flows and node.op.differentiable and node.output.type.is_float:
                self.differentiated.add(node.output)
            op = node.op
            known = all(value in self._anywhere or value in self.weights for value in node.inputs)
            if isinstance(op, Parameter) or (known and any(value in self.weights for value in node.inputs)):
                self.weights.add(node.output)
            if isinstance(op, Range):
                self._ranges.add(node.output)
            if is_whole_take(node, self._ranges):
                self._all_taken.add(node.output)
            elif isinstance(op, Take) and node.inputs[0] in self.weights and node.inputs[1].type.axes:
                self._picked[node.output] = node.inputs[1]
            elif op.moves and node.inputs and node.inputs[0] in self._picked:
                self._picked[node.output] = self._picked[node.inputs[0]]
            elif op.contracts:
                self.choices.update(self._picked[value] for value in node.inputs if value in self._picked)
            if op.draws or op.reads_parameters or isinstance(op, Given):
                continue
            if all(value in self._anywhere for value in node.inputs):
                self._anywhere.add(node.output)
            same = isinstance(op, Broadcast | Cast) and node.inputs[0] in self.zeros
            if same or (isinstance(op, Constant) and op.value == 0):
                self.zeros.add(node.output)

    def _loop(self, node: Node) -> None:
        """What a loop carries, and what it gives, is taken to depend on a parameter."""
        for body in node.regions:
            floats = (v for v in (*body.parameters, *body.results) if v.type.is_float)
            self.differentiated.update(floats)
            self._region(body)
        self.differentiated.update(value for value in node.outputs if value.type.is_float)
