"""Rows that are sorted, computed one by one and added up where they came from, computed in their places instead.

A mixture sorts the rows of a batch by expert so that each expert is one product of matrices (Gale et al., 2023,
MegaBlocks). Who has a part of the rows needs no others for that, but a sort goes over all of them. Where each row is
computed by itself, and what is made of it is added to the row that it came from, the order is nobody's business.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from attndsl.graph import Graph, Node, Region, Value
from attndsl.graph.builder import Builder
from attndsl.graph.core import captured
from attndsl.ops import ArgSort, Broadcast, Flatten, Mismatch, Mod, ScatterAdd, SizeOf, Sum, Take, Transpose, Unflatten
from attndsl.passes import optimize
from attndsl.passes.dce import DeadCode
from attndsl.records import fields, replace
from attndsl.sizes import ONE, Size
from attndsl.types import Axis

Divided = Callable[[Value], Collection[object]]
"""The axes of a value that a layout wants to divide."""


def in_place(graph: Graph, divided: Divided) -> Graph:
    """The graph without sorts of rows that a layout divides, where these are not needed."""
    body = _without_sorts(graph.body, divided)
    if body is graph.body:
        return graph
    outputs = tuple(replace(info, value=value) for info, value in zip(graph.outputs, body.results, strict=True))
    return optimize(replace(graph, body=body, outputs=outputs), passes=(DeadCode(),))[0]


def _without_sorts(region: Region, divided: Divided) -> Region:
    nodes, results, changed = list[Node](), region.results, False
    for node in region.nodes:
        inner = tuple(_without_sorts(body, divided) for body in node.regions)
        if any(new is not old for new, old in zip(inner, node.regions, strict=True)):
            node, changed = replace(node, regions=inner), True
        nodes.append(node)
    makers = {value: node for node in nodes for value in node.outputs}
    for sort in list(nodes):
        joined = makers.get(sort.inputs[0]) if isinstance(sort.op, ArgSort) else None
        if joined is None or not isinstance(joined.op, Flatten) or (joined.op.axis,) != sort.op.goes_over:
            continue
        if any(axis in joined.op.parts for axis in divided(joined.inputs[0])):
            found = _Unsorted(sort, joined.op, makers).of(nodes, results)
            if found is not None:
                (nodes, results), changed = found, True
                makers = {value: node for node in nodes for value in node.outputs}
    return Region(region.parameters, tuple(nodes), results) if changed else region


class _Unsorted:
    """A rewriting of what follows a sort over `joined.axis`, which is made of all of `joined.parts`: values that have
    the axis, in the order of the sort, have the parts instead (`spread`), in their own."""

    def __init__(self, sort: Node, joined: Flatten, makers: Mapping[Value, Node]) -> None:
        self.sort, self.axis, self.parts, self.makers = sort, joined.axis, joined.parts, makers
        self.rows = joined.parts[-1]
        self.order = sort.output
        self.sources: set[Value] = set()  # the rows that the sorted ones come from
        self.spread: dict[Value, Value] = {}
        self.instead: dict[Value, Value] = {}
        self.builder = Builder()

    def of(self, nodes: list[Node], results: tuple[Value, ...]) -> tuple[list[Node], tuple[Value, ...]] | None:
        """The nodes and results of the region without the sort; None where something needs the order."""
        at = nodes.index(self.sort)
        for node in nodes[at + 1 :]:
            if not self._follows(node):
                return None
        if any(self._is_sorted(value) for value in results):
            return None
        return [*nodes[:at], *self.builder.nodes], tuple([self.instead.get(value, value) for value in results])

    def _is_sorted(self, value: Value) -> bool:
        return value is self.order or value in self.sources or value in self.spread

    def _follows(self, node: Node) -> bool:
        """Write what stands for a node. False where nothing can."""
        inner = [value for body in node.regions for value in captured(body)]
        if any(map(self._is_sorted, inner)) or any(value in self.instead for value in inner):
            return False
        if not any(map(self._is_sorted, node.inputs)):
            inputs = tuple([self.instead.get(value, value) for value in node.inputs])
            self.builder.adopt([node if inputs == node.inputs else replace(node, inputs=inputs)])
            return True
        self.builder.scope, self.builder.span, self.builder.site = node.scope, node.span, node.site
        try:
            return self._written(node)
        except Mismatch:
            return False

    def _written(self, node: Node) -> bool:
        op, emit = node.op, self.builder.emit
        first, second = node.inputs[0], node.inputs[-1]
        if isinstance(op, Mod) and first is self.order and self._counts_rows(second):
            self.sources.add(node.output)
        elif isinstance(op, Take) and second is self.order and op.over == self.axis and not self._is_sorted(first):
            self.spread[node.output] = self._unjoined(first)
        elif isinstance(op, Take) and second in self.sources and op.over == self.rows and not self._is_sorted(first):
            self.spread[node.output] = emit(Broadcast(self._with_parts(node.output.type.axes)), first)
        elif isinstance(op, ScatterAdd) and second in self.sources and first in self.spread:
            if op.over != (self.axis,) or op.target != self.rows:
                return False
            total = emit(Sum(self.parts[:-1]), self.spread[first])
            axes = node.output.type.axes
            total = total if total.type.axes == axes else emit(Transpose(axes), total)
            self.instead[node.output] = Builder.rename(total, node.output.names)
        else:
            return self._row_by_row(node)
        return True

    def _row_by_row(self, node: Node) -> bool:
        """An operation that computes each row from that row."""
        op = node.op
        alone = all(value in self.spread or self.axis not in value.type.axes for value in node.inputs)
        if not alone or node.regions or op.draws or self.axis in op.works_along:
            return False
        if any(value is self.order or value in self.sources for value in node.inputs):
            return False
        given = [self.spread.get(value, self.instead.get(value, value)) for value in node.inputs]
        tuples = {f.name: value for f in fields(op) if isinstance(value := getattr(op, f.name), tuple)}  # type: ignore[arg-type]
        changes = {name: self._with_parts(value) for name, value in tuples.items() if self.axis in value}
        self.spread[node.output] = self.builder.emit(replace(op, **changes) if changes else op, *given)  # type: ignore[type-var]
        return True

    def _counts_rows(self, value: Value) -> bool:
        maker = self.makers.get(value)
        return maker is not None and isinstance(maker.op, SizeOf) and maker.op.size in (
            self.rows.size, Size.of(self.rows.size).maximum(ONE),
        )  # fmt: skip

    def _unjoined(self, value: Value) -> Value:
        """The value with the parts in the place of the axis."""
        maker = self.makers.get(value)
        if maker is not None and maker.op == Flatten(self.parts, self.axis):
            return maker.inputs[0]
        return self.builder.emit(Unflatten(self.axis, self.parts), value)

    def _with_parts(self, axes: Iterable[Axis]) -> tuple[Axis, ...]:
        return tuple(part for axis in axes for part in (self.parts if axis == self.axis else (axis,)))
