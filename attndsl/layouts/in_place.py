"""Rows that are sorted, computed one by one and added up where they came from, computed in their places instead.

A mixture sorts the rows of a batch by expert so that each expert is one product of matrices (Gale et al., 2023,
MegaBlocks). Who has a part of the rows needs no others for that, but a sort goes over all of them. Where each row is
computed by itself, and what is made of it is added to the row that it came from, the order is nobody's business.

Nor need the rows of a batch and its positions be made one axis where each element is computed by itself and the axis is
taken apart again: of such an axis a device could only have whole rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial

from attndsl.graph import Graph, Node, Region, Value
from attndsl.graph.builder import Builder
from attndsl.graph.core import captured
from attndsl.ops import ArgSort, Broadcast, Flatten, Mismatch, Mod, ScatterAdd, SizeOf, Sum, Take, Transpose, Unflatten
from attndsl.passes import optimize
from attndsl.passes.dce import DeadCode
from attndsl.records import fields, replace
from attndsl.sizes import ONE, Size
from attndsl.types import Axis

Divided = Callable[[Value], Mapping[Axis, tuple[str, ...]]]
"""The axes of a value that a layout wants to divide, each with the dimensions of the mesh."""

Rewritten = tuple[list[Node], tuple[Value, ...]]
"""The nodes of a region, and its results."""


def in_place(graph: Graph, divided: Divided) -> Graph:
    """The graph without sorts of rows that a layout divides, and without joining of axes that it does, where these are
    not needed."""
    for without in (_without_sorts, _without_joins):
        body = _everywhere(graph.body, partial(without, divided))
        if body is not graph.body:
            outputs = tuple(replace(i, value=value) for i, value in zip(graph.outputs, body.results, strict=True))
            graph = optimize(replace(graph, body=body, outputs=outputs), passes=(DeadCode(),))[0]
    return graph


def _everywhere(region: Region, rewrite: Callable[[list[Node], tuple[Value, ...]], Rewritten | None]) -> Region:
    """The region after a rewriting of it and of those in it; itself where there is none."""
    nodes, changed = list[Node](), False
    for node in region.nodes:
        inner = tuple(_everywhere(body, rewrite) for body in node.regions)
        if any(new is not old for new, old in zip(inner, node.regions, strict=True)):
            node, changed = replace(node, regions=inner), True
        nodes.append(node)
    found = rewrite(nodes, region.results)
    if found is None and not changed:
        return region
    nodes, results = found or (nodes, region.results)
    return Region(region.parameters, tuple(nodes), results)


def _without_sorts(divided: Divided, nodes: list[Node], results: tuple[Value, ...]) -> Rewritten | None:
    rewritten, makers = None, {value: node for node in nodes for value in node.outputs}
    for sort in nodes:
        joined = makers.get(sort.inputs[0]) if isinstance(sort.op, ArgSort) else None
        if joined is None or not isinstance(joined.op, Flatten) or (joined.op.axis,) != sort.op.goes_over:
            continue
        value, parts = joined.inputs[0], joined.op.parts
        first = any(axis in parts for axis in divided(value))
        others = frozenset[str]().union(*(_dimensions(value, part, makers, divided) for part in parts))
        if first or others:
            unsorted = _Unsorted(sort, joined.op, makers, frozenset() if first else others, divided)
            rewritten = unsorted.of(*(rewritten or (nodes, results))) or rewritten
            makers = {value: node for node in (rewritten or (nodes,))[0] for value in node.outputs}
    return rewritten


def _dimensions(value: Value, axis: Axis, makers: Mapping[Value, Node], divided: Divided) -> frozenset[str]:
    """The dimensions over which a layout divides an axis of a value, or one of those that it was made of."""
    if axis in divided(value):
        return frozenset(divided(value)[axis])
    match makers.get(value):
        case Node(op=Flatten(parts, whole), inputs=(inner,)) if whole == axis:
            return frozenset[str]().union(*(_dimensions(inner, part, makers, divided) for part in parts))
        case Node(op=Flatten() | Transpose(), inputs=(inner,)) if axis in inner.type.axes:
            return _dimensions(inner, axis, makers, divided)
    return frozenset()


def _without_joins(divided: Divided, nodes: list[Node], results: tuple[Value, ...]) -> Rewritten | None:
    rewritten = None
    for op in dict.fromkeys(node.op for node in nodes if isinstance(node.op, Flatten)):
        now = rewritten or (nodes, results)
        joined = [divided(node.inputs[0]) for node in now[0] if node.op == op]
        others = frozenset(name for places in joined for part in op.parts[1:] for name in places.get(part, ()))
        if others:
            rewritten = _Unjoined(op.axis, op.parts, others, divided).of(*now) or rewritten
    return rewritten


class _Spreading:
    """A rewriting of the nodes of a region: values that have `axis` have `parts` in its place instead (`spread`), and
    others stand for what is no longer computed (`instead`). Over the `dimensions` nothing else may be divided on the
    way: else the parts would have to be whole there, and are better made so at once."""

    def __init__(self, axis: Axis, parts: tuple[Axis, ...], dimensions: Collection[str], divided: Divided) -> None:
        self.axis, self.parts = axis, parts
        self.dimensions, self.divided = dimensions, divided
        self.spread: dict[Value, Value] = {}
        self.instead: dict[Value, Value] = {}
        self.builder = Builder()

    def of(self, nodes: Iterable[Node], results: tuple[Value, ...]) -> Rewritten | None:
        """The nodes and results without the axis; None where something needs it."""
        if not all(map(self._follows, nodes)) or any(map(self._is_changed, results)):
            return None
        return list(self.builder.nodes), tuple([self.instead.get(value, value) for value in results])

    def _is_changed(self, value: Value) -> bool:
        return value in self.spread

    def _begins(self, node: Node) -> bool:
        """Whether it is a node of which something else is to be written though its operands are as they were."""
        return False

    def _follows(self, node: Node) -> bool:
        """Write what stands for a node. False where nothing can."""
        inner = [value for body in node.regions for value in captured(body)]
        if any(map(self._is_changed, inner)) or any(value in self.instead for value in inner):
            return False
        if not self._begins(node) and not any(map(self._is_changed, node.inputs)):
            inputs = tuple([self.instead.get(value, value) for value in node.inputs])
            self.builder.adopt([node if inputs == node.inputs else replace(node, inputs=inputs)])
            return True
        self.builder.scope, self.builder.span, self.builder.site = node.scope, node.span, node.site
        try:
            return self._written(node)
        except Mismatch:
            return False

    def _written(self, node: Node) -> bool:
        return self._row_by_row(node)

    def _row_by_row(self, node: Node) -> bool:
        """An operation that computes each row from that row."""
        op = node.op
        alone = all(value in self.spread or self.axis not in value.type.axes for value in node.inputs)
        if not alone or node.regions or op.draws or self.axis in op.works_along:
            return False
        if any(self._is_changed(value) and value not in self.spread for value in node.inputs):
            return False
        if any(map(self._is_divided_otherwise, (*node.inputs, *node.outputs))):
            return False
        given = [self.spread.get(value, self.instead.get(value, value)) for value in node.inputs]
        tuples = {f.name: value for f in fields(op) if isinstance(value := getattr(op, f.name), tuple)}
        changes = {name: self._with_parts(value) for name, value in tuples.items() if self.axis in value}
        self.spread[node.output] = self.builder.emit(replace(op, **changes) if changes else op, *given)
        return True

    def _is_divided_otherwise(self, value: Value) -> bool:
        places = self.divided(value).items() if self.dimensions else ()
        own = (self.axis, *self.parts)
        return any(axis not in own and any(map(self.dimensions.__contains__, on)) for axis, on in places)

    def _with_parts(self, axes: Iterable[Axis]) -> tuple[Axis, ...]:
        return tuple(part for axis in axes for part in (self.parts if axis == self.axis else (axis,)))


class _Unjoined(_Spreading):
    """Of what follows the joining of the parts, up to where they are taken apart again."""

    def _begins(self, node: Node) -> bool:
        return node.op == Flatten(self.parts, self.axis)

    def _written(self, node: Node) -> bool:
        (first, *_), op = node.inputs, node.op
        if self._begins(node) and first not in self.spread:
            self.spread[node.output] = self.instead.get(first, first)
        elif op == Unflatten(self.axis, self.parts):
            self.instead[node.output] = Builder.rename(self.spread[first], node.output.names)
        else:
            return self._row_by_row(node)
        return True


class _Unsorted(_Spreading):
    """Of what follows a sort over `joined.axis`, which is made of all of `joined.parts`: what has the axis is in the
    order of the sort, and in its own then."""

    def __init__(
        self,
        sort: Node,
        joined: Flatten,
        makers: Mapping[Value, Node],
        dimensions: Collection[str],
        divided: Divided,
    ) -> None:
        super().__init__(joined.axis, joined.parts, dimensions, divided)
        self.sort, self.makers = sort, makers
        self.rows = joined.parts[-1]
        self.order = sort.output
        self.sources: set[Value] = set()  # the rows that the sorted ones come from

    def of(self, nodes: Iterable[Node], results: tuple[Value, ...]) -> Rewritten | None:
        nodes = list(nodes)
        at = nodes.index(self.sort)
        found = super().of(nodes[at + 1 :], results)
        return None if found is None else ([*nodes[:at], *found[0]], found[1])

    def _is_changed(self, value: Value) -> bool:
        return value is self.order or value in self.sources or value in self.spread

    def _written(self, node: Node) -> bool:
        op, emit = node.op, self.builder.emit
        first, second = node.inputs[0], node.inputs[-1]
        if isinstance(op, Mod) and first is self.order and self._counts_rows(second):
            self.sources.add(node.output)
        elif isinstance(op, Take) and second is self.order and op.over == self.axis and not self._is_changed(first):
            self.spread[node.output] = self._unjoined(first)
        elif isinstance(op, Take) and second in self.sources and op.over == self.rows and not self._is_changed(first):
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
