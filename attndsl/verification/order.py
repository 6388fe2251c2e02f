"""Whether what a model says of a text depends on where in a row the text begins: decided by the graph, before anything
is run.

Positions that count otherwise than by their distances do (`passes.incremental.places`), and so does what begins with
the first position: a scan, a running sum, a window of a convolution. What is told where there is nothing but padding
may leave that out: a scan keeps its states there, a running sum adds zeros.
"""

from __future__ import annotations

from collections.abc import Collection

from attndsl.graph import Graph, Node, Region, Value
from attndsl.ops import (
    Attention,
    Cast,
    Constant,
    CumSum,
    Dot,
    Flip,
    Given,
    LogSoftmax,
    LogSumExp,
    Mul,
    Not,
    Range,
    Repeat,
    Scan,
    Softmax,
    Take,
    Where,
)
from attndsl.ops.movement import Moved
from attndsl.ops.reductions import Reduction
from attndsl.passes import optimize
from attndsl.passes.decide import Decide
from attndsl.passes.incremental.clock import Clock
from attndsl.passes.incremental.places import Places
from attndsl.passes.pipeline import RECOGNISED
from attndsl.types import Axis

IN_ANY_ORDER = (Moved, Flip, Reduction, Softmax, LogSoftmax, LogSumExp, Dot, Attention, Range, Repeat)
"""Operators for which it does not matter at which place along time a position stands (`Places` is asked about those
that count them)."""


def in_use(graph: Graph, outputs: Collection[str]) -> Graph:
    """What these outputs are computed with when the model is used, its operators recognised."""
    return optimize(graph.giving(outputs), passes=(Decide(), *RECOGNISED))[0]


def counts_from_the_first(graph: Graph, name: str, outputs: Collection[str], *, flags: bool) -> str:
    """Why these outputs depend on where in its row a text begins, with the line; empty where they do not. The axes of
    the input `name` are rows and time, and with `flags` it is false where there is no text."""
    plain = in_use(graph, outputs)
    clock = Clock.of(plain, name)
    given = next(info.value for info in plain.inputs if info.name == name)
    along = _Along(plain, clock, given if flags else None)
    for node in plain.body.walk():
        if reason := along.reason(node):
            return f"{reason}{at(node)}"
    places = Places(plain, clock)
    if not places.matter([info.value for info in plain.outputs if info.name in outputs]):
        return ""
    counted = next(node for node in plain.body.walk() if not places.moved.isdisjoint(node.outputs))
    return f"positions are counted from the first on{at(counted)}"


def takes_rows_together(graph: Graph, rows: str, outputs: Collection[str]) -> str:
    """Where a model takes the rows of a batch together for these outputs, if it does."""
    for node in in_use(graph, outputs).body.walk():
        over = (node.op.axis,) if isinstance(node.op, Scan) else node.op.goes_over
        along = [axis for axis in over if str(axis.size) == rows]
        if along:
            return f"`{node.op.name}` takes rows together, along `{along[0].name}`{at(node)}"
    return ""


def at(node: Node) -> str:
    """The line of a node, in brackets."""
    return f" ({node.at.source.name}:{node.at.line})" if node.at is not None else ""


class _Along:
    """What the nodes of a graph do along time. `flags` is false where there is no text."""

    def __init__(self, graph: Graph, clock: Clock, flags: Value | None) -> None:
        self.clock, self.flags = clock, flags
        self.makers = {value: node for node in graph.body.walk() for value in node.outputs}
        scans = [node for node in graph.body.walk() if isinstance(node.op, Scan)]
        self.steps = {body.parameters[0] for node in scans for body in node.regions}

    def reason(self, node: Node) -> str:
        """Why a node makes something else of a text that begins later."""
        op = node.op
        if isinstance(op, Scan):
            begins = self.clock.is_time(op.axis) and not self._stays(op, node.regions[0])
            return f"a scan along `{op.axis.name}` begins with the first position" if begins else ""
        if isinstance(op, IN_ANY_ORDER) or (isinstance(op, Take) and node.inputs[1] in self.steps):
            return ""
        named = [each for each in self.clock.along(op) if isinstance(each, Axis) and self.clock.is_time(each)]
        if not named or (isinstance(op, CumSum) and self._vanishes(node.inputs[0])):
            return ""
        return f"`{op.name}` along `{named[0].name}` begins with the first position"

    def _stays(self, op: Scan, body: Region) -> bool:
        """Whether a scan's states stay as they are where there is no text."""
        carried = zip(body.results, body.parameters[1:], range(op.carried), strict=False)
        return all(self._kept(result, state) for result, state, _ in carried)

    def _kept(self, result: Value, state: Value) -> bool:
        node = self.makers.get(result)
        return node is not None and isinstance(node.op, Where) and state in node.inputs and self._told(node.inputs[0])

    def _told(self, value: Value) -> bool:
        """Whether a condition is made of the flags alone."""
        if value is self.flags or value in self.steps:
            return True
        node = self.makers.get(value)
        if node is None or not isinstance(node.op, (Moved, Flip, Given, Not, Take)):
            return False
        read = node.inputs[:1] if isinstance(node.op, Given) else node.inputs
        return all(map(self._told, read))

    def _vanishes(self, value: Value) -> bool:
        """Whether a number is 0 where there is no text."""
        if value is self.flags:
            return True
        node = self.makers.get(value)
        if node is None:
            return False
        if isinstance(node.op, Mul):
            return any(map(self._vanishes, node.inputs))
        if isinstance(node.op, Where):
            other = self.makers.get(node.inputs[2])
            zero = other is not None and isinstance(other.op, Constant) and other.op.value == 0
            return zero and self._told(node.inputs[0])
        return isinstance(node.op, (Moved, Flip, Given, Cast)) and self._vanishes(node.inputs[0])
