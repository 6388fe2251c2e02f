"""Rebuilds a graph node by node; every pass rewrites through it.

Nodes that nothing happens to stay the very same objects, and so do their values: a pass that finds nothing to do gives
back the graph that it got. A value that is replaced gives its names to its replacement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from attndsl.graph import Graph, Node, Region, Value
from attndsl.graph.builder import Builder
from attndsl.ops.base import Op
from attndsl.records import replace

Visit = Callable[[Node, "Rewriter"], "Sequence[Value] | None"]


class Rewriter:
    """One walk over a graph. `visit(node, rewriter)` is called for each node, operands replaced already, before its
    bodies are walked, and returns None to keep it, or what stands for its outputs: values that `rewriter.emit` made or
    that were there before. An empty answer drops the node."""

    def __init__(self, graph: Graph, visit: Visit) -> None:
        self.graph = graph
        self.visit = visit
        self.builders: list[Builder] = []
        self.replaced: dict[Value, Value] = {}
        self.inherited: dict[Value, tuple[str, ...]] = {}

    def run(self) -> Graph:
        body = self._region(self.graph.body)
        if body is self.graph.body:
            return self.graph
        outputs = tuple(replace(info, value=self.now(info.value)) for info in self.graph.outputs)
        return _named(replace(self.graph, body=body, outputs=outputs), self.inherited)

    # ------------------------------------------------------------ for visitors

    @property
    def builder(self) -> Builder:
        """The body being built."""
        return self.builders[-1]

    def now(self, value: Value) -> Value:
        """What stands for a value of the old graph."""
        return self.replaced.get(value, value)

    def emit(self, op: Op, *inputs: Value) -> Value:
        """A new node in the body being built, stamped with the place of the node being visited."""
        return self.builder.emit(op, *inputs)

    def stamp(self, scope: str) -> None:
        """Give what is emitted from here on, for the node being visited, another scope."""
        self.builder.scope = scope

    # ------------------------------------------------------------ the walk

    def _region(self, region: Region) -> Region:
        builder = Builder()
        self.builders.append(builder)
        for node in region.nodes:
            self._node(node)
        self.builders.pop()
        nodes = tuple(builder.nodes)
        results = tuple(map(self.now, region.results))
        unchanged = len(nodes) == len(region.nodes) and all(a is b for a, b in zip(nodes, region.nodes, strict=True))
        return region if unchanged and results == region.results else Region(region.parameters, nodes, results)

    def _node(self, node: Node) -> None:
        inputs = tuple(map(self.now, node.inputs))
        current = node if inputs == node.inputs else replace(node, inputs=inputs)
        builder = self.builder
        builder.scope, builder.span, builder.site = node.scope, node.span, node.site
        answer = self.visit(current, self)
        if answer is not None:
            for old, new in zip(node.outputs, answer, strict=bool(answer)):
                self._replace(old, new)
            return
        regions = tuple(map(self._region, current.regions))
        if any(new is not old for new, old in zip(regions, current.regions, strict=True)):
            current = replace(current, regions=regions)
        builder.nodes.append(current)

    def _replace(self, old: Value, new: Value) -> None:
        if old is new:
            return
        if old.type != new.type:
            raise AssertionError(f"a pass replaces {old.type} by {new.type}")
        self.replaced[old] = new
        names = self.inherited.get(new, new.names)
        self.inherited[new] = names + tuple(name for name in old.names if name not in names)


def _named(graph: Graph, names: Mapping[Value, tuple[str, ...]]) -> Graph:
    """The graph with the names of some values changed."""
    renamed = {value: Value(value.type, given) for value, given in names.items() if given != value.names}
    if not renamed:
        return graph

    def now(values: Iterable[Value]) -> tuple[Value, ...]:
        return tuple(renamed.get(value, value) for value in values)

    def region(old: Region) -> Region:
        return Region(now(old.parameters), tuple(map(node, old.nodes)), now(old.results))

    def node(old: Node) -> Node:
        inputs, outputs, regions = now(old.inputs), now(old.outputs), tuple(map(region, old.regions))
        if inputs == old.inputs and outputs == old.outputs and not regions:
            return old
        return replace(old, inputs=inputs, outputs=outputs, regions=regions)

    return replace(
        graph,
        inputs=tuple(replace(info, value=renamed.get(info.value, info.value)) for info in graph.inputs),
        outputs=tuple(replace(info, value=renamed.get(info.value, info.value)) for info in graph.outputs),
        body=region(graph.body),
    )


def common_scope(nodes: Iterable[Node]) -> str:
    """The path of the innermost layer around all of `nodes`."""
    paths = [node.scope.split(".") for node in nodes]
    shared: list[str] = []
    for steps in zip(*paths, strict=False):
        if len(set(steps)) > 1:
            break
        shared.append(steps[0])
    return ".".join(shared)


class Facts:
    """Who makes each value, who reads it, and in which order things stand; over all bodies at once."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.producers: dict[Value, Node] = {}
        self.readers: dict[Value, list[Node | None]] = {}  # None: it is an output of the graph
        self.order: dict[Value, int] = {}
        self._region(graph.body, None)

    def _region(self, region: Region, owner: Node | None) -> None:
        for value in region.parameters:
            self.order[value] = len(self.order)
        for node in region.nodes:
            for value in node.inputs:
                self.readers.setdefault(value, []).append(node)
            for inner in node.regions:
                self._region(inner, node)
            for value in node.outputs:
                self.producers[value] = node
                self.order[value] = len(self.order)
        for value in region.results:
            self.readers.setdefault(value, []).append(owner)

    def uses(self, value: Value) -> list[Node | None]:
        return self.readers.get(value, [])

    def elsewhere(self, inside: Iterable[Node], results: Iterable[Value]) -> tuple[Value, Node | None] | None:
        """A value made by one of `inside`, apart from `results`, that something outside reads, and who reads it."""
        nodes, ends = tuple(inside), set(results)
        for node in nodes:
            for value in node.outputs:
                for reader in self.uses(value) if value not in ends else ():
                    if reader not in nodes:
                        return value, reader
        return None


def walk_back(
    value: Value, producers: Mapping[Value, Node], through: tuple[type[Op], ...], depth: int
) -> Iterator[Value]:
    """`value` and what it is made of, nearest first, through nodes of the kinds `through` and no deeper than
    `depth`."""
    level, seen = [value], {value}
    for _ in range(depth + 1):
        yield from level
        following: list[Value] = []
        for near in level:
            node = producers.get(near)
            if node is not None and isinstance(node.op, through):
                following += [v for v in dict.fromkeys(node.inputs) if v not in seen]
                seen.update(node.inputs)
        level = list(dict.fromkeys(following))
