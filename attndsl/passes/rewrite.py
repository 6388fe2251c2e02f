"""A graph that is being rewritten. Every pass edits through it, and so sees at any moment what the graph is by now.

Nodes are immutable, so an edit puts another node in the place of one: `emit`, `put`, `replace`, `erase`, `move`. Who
makes and who reads each value is kept up as edits are made, each in time proportional to what it touches. What nothing
reads any more goes at once. A value that is replaced gives its names to its replacement, and a graph that nothing
happened to is given back as the object that it was.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from attndsl.graph import Graph, Node, Region, Type, Value
from attndsl.graph.builder import Builder
from attndsl.ops.base import Op
from attndsl.records import replace

CELL = 1 << 24  # how many values may be emitted in a row before their order is known no more


class NodePlace:
    """Where a node stands: in a body, between two others. The node there changes, the place stays."""

    __slots__ = ("after", "before", "bodies", "body", "node")

    def __init__(self, node: Node | None, body: EditedBody | None) -> None:
        self.node, self.body = node, body
        self.before = self.after = self
        self.bodies: tuple[EditedBody, ...] = ()


class EditedBody:
    """A region being rewritten: its places in a ring that starts and ends at `edge`."""

    __slots__ = ("edge", "owner", "region", "results")

    def __init__(self, region: Region, owner: NodePlace | None) -> None:
        self.region, self.owner = region, owner
        self.results = region.results
        self.edge = NodePlace(None, self)

    def places(self) -> Iterator[NodePlace]:
        """Those that there are now, in order; what is done to the one at hand does not disturb the walk."""
        place = self.edge.after
        while place is not self.edge:
            following = place.after
            yield place
            place = following


class Rewriter:
    """`producers` has the node that makes each value, `order` a number by which values sort as the graph made them
    when `number` was called last, `edits` how many edits there were. Values in `kept` are made to the end, whether
    anything reads them or not. `exact` asks for rewritings only that keep infinities and NaN what they are."""

    def __init__(self, graph: Graph, kept: Collection[Value] = (), *, exact: bool = False) -> None:
        self.graph, self.exact = graph, exact
        self.sizes: Mapping[str, int] = graph.sizes
        self.producers: dict[Value, Node] = {}
        self.order: dict[Value, int] = {}
        self.places: dict[Node, NodePlace] = {}
        self.edits = 0
        self._readers: dict[Value, dict[NodePlace | EditedBody, int]] = {}
        self._inherited: dict[Value, tuple[str, ...]] = {}
        self._emitted: list[Node] = []
        self._unread: list[Value] = []
        self._serial = 0
        self.body = self._read(graph.body, None)
        self._kept = set(kept)

    # ------------------------------------------------------------ what there is

    def needed(self, node: Node) -> bool:
        """Whether something reads what a node makes, or a value that is to be kept is made there or in its bodies."""
        if any(map(self._readers.get, node.outputs)):
            return True
        return bool(self._kept) and self._keeps(self.places[node])

    def _keeps(self, place: NodePlace) -> bool:
        assert place.node is not None
        made = (*place.node.outputs, *(value for body in place.bodies for value in body.region.parameters))
        return not self._kept.isdisjoint(made) or any(
            self._keeps(inner) for body in place.bodies for inner in body.places()
        )

    def uses(self, value: Value) -> list[Node | None]:
        """Who reads a value, as often as it does: the owner of a body that gives it back, None for the model itself."""
        return [node for reader, count in self._readers.get(value, {}).items() for node in [_reader(reader)] * count]

    def now(self, place: NodePlace) -> Node:
        """The node at a place, with its bodies as they are by now."""
        assert place.node is not None
        regions = tuple(
            Region(body.region.parameters, tuple(map(self.now, body.places())), body.results) for body in place.bodies
        )
        return replace(place.node, regions=regions) if regions else place.node

    def readers(self, value: Value) -> list[NodePlace]:
        """The places of the nodes that read a value."""
        return [reader for reader in self._readers.get(value, ()) if isinstance(reader, NodePlace)]

    def used_once(self, value: Value) -> bool:
        readers = self._readers.get(value, {})
        if value in self._kept:
            return False
        return len(readers) == 1 and next(iter(readers.values())) == 1

    def walk(self, body: EditedBody | None = None) -> Iterator[NodePlace]:
        """Every place in order, each before those of its own bodies."""
        for place in (body or self.body).places():
            yield place
            for inner in place.bodies:
                yield from self.walk(inner)

    def elsewhere(self, inside: Iterable[Node], results: Iterable[Value]) -> tuple[Value, Node | None] | None:
        """A value made by one of `inside`, apart from `results`, that something outside reads, and who reads it."""
        nodes, ends = set(inside), set(results)
        for node in inside:
            for value in node.outputs:
                for reader in self._readers.get(value, {}) if value not in ends else ():
                    if _reader(reader) not in nodes:
                        return value, _reader(reader)
        return None

    def number(self) -> None:
        """Make `order` that of now. What is emitted later sorts in front of the node that it is emitted for."""
        self.order, self._serial = {}, 0
        self._number(self.body, 0)

    def _number(self, body: EditedBody, last: int) -> int:
        for value in body.region.parameters:
            last += CELL
            self.order[value] = last
        for place in body.places():
            assert place.node is not None
            for inner in place.bodies:
                last = self._number(inner, last)
            for value in place.node.outputs:
                last += CELL
                self.order[value] = last
        return last

    # ------------------------------------------------------------ edits

    def at(self, node: Node, scope: str | None = None) -> NodeEmitter:
        """What emits nodes in front of `node`, stamped with its scope (or another) and place."""
        return NodeEmitter(self, self.places[node], node.scope if scope is None else scope)

    def insert(self, node: Node, before: NodePlace) -> Value:
        """Put a new node in front of a place; its value."""
        self._insert(node, before)
        return node.output

    def _insert(self, node: Node, before: NodePlace) -> None:
        place = NodePlace(node, before.body)
        place.before, place.after = before.before, before
        before.before.after = before.before = place
        assert before.node is not None
        self._serial += 1
        place_in_order = (self.order.get(before.node.outputs[0], 0) - 1) // CELL * CELL + self._serial
        self.order.update(dict.fromkeys(node.outputs, place_in_order))
        place.bodies = tuple([self._read(inner, place) for inner in node.regions])
        self._settle(place, node)

    def put_all(self, node: Node, nodes: Iterable[Node], values: Iterable[Value]) -> None:
        """Put `nodes` in the place of one; `values` stand for what it makes, in order."""
        place = self.places[node]
        for new in nodes:
            self._insert(new, place)
        for old, value in zip(node.outputs, values, strict=True):
            if old.type != value.type:
                raise AssertionError(f"a pass replaces {old.type} by {value.type}")
            self._rewire(old, value)
        self._unlink(place)
        for new in nodes:
            self._unread += new.outputs
        self._sweep()

    def put(self, node: Node, new: Node) -> None:
        """Put `new` in the place of `node`; it makes the same values (fewer, where nothing reads the others)."""
        place = self.places[node]
        self._settle(place, new)
        self._let_go(place, node)
        self._sweep()

    def replace(self, node: Node, value: Value) -> None:
        """Let `value` stand for what `node` makes. A value that a node just emitted makes is not needed beside it: then
        that node makes the old one."""
        old = node.output
        if old.type != value.type:
            raise AssertionError(f"a pass replaces {old.type} by {value.type}")
        place, maker = self.places[node], self.producers.get(value)
        if maker is not None and maker in self._emitted and not self._readers.get(value):
            new = Node(maker.op, maker.inputs, (old,), maker.regions, maker.scope, maker.span, maker.site)
            there = self.places[maker]
            del self.producers[value]
            self._settle(there, new)
            self._let_go(there, maker)
        else:
            self._rewire(old, value)
        self._emitted = []
        self._unlink(place)
        self._sweep()

    def erase(self, node: Node) -> None:
        """Drop a node that nothing reads, and with it what nothing else needs."""
        self._unlink(self.places[node])
        self._sweep()

    def move(self, node: Node, before: Node) -> None:
        """Move a node in front of another one, in whichever body that is."""
        place, there = self.places[node], self.places[before]
        place.before.after, place.after.before = place.after, place.before
        place.before, place.after, place.body = there.before, there, there.body
        there.before.after = there.before = place
        self.edits += 1

    def give(self, body: EditedBody, results: tuple[Value, ...]) -> None:
        """Change what a body gives back."""
        before, body.results = body.results, results
        for value in results:
            self._add_reader(value, body)
        for value in before:
            self._drop_reader(value, body)
        self.edits += 1
        self._sweep()

    # ------------------------------------------------------------ the finished graph

    def finish(self, *, named: bool = True) -> Graph:
        """The graph as it is by now. Unless `named`, values that have inherited names go without these: it will do to
        verify it."""
        if not self.edits:
            return self.graph
        inherited = self._inherited if named else {}
        names = {value: Value(value.type, given) for value, given in inherited.items() if given != value.names}

        def now(values: tuple[Value, ...]) -> tuple[Value, ...]:
            return tuple([names.get(value, value) for value in values]) if names else values

        def region(body: EditedBody) -> Region:
            nodes = tuple([node(place) for place in body.places()])
            return Region(now(body.region.parameters), nodes, now(body.results))

        def node(place: NodePlace) -> Node:
            old = place.node
            assert old is not None
            inputs, outputs = now(old.inputs), now(old.outputs)
            if not place.bodies and inputs == old.inputs and outputs == old.outputs:
                return old
            regions = tuple(map(region, place.bodies))
            return Node(old.op, inputs, outputs, regions, old.scope, old.span, old.site)

        body = region(self.body)
        inputs, outputs = self.graph.inputs, self.graph.outputs
        return replace(
            self.graph,
            body=body,
            inputs=tuple(replace(info, value=v) for info, v in zip(inputs, body.parameters, strict=True)),
            outputs=tuple(replace(info, value=v) for info, v in zip(outputs, body.results, strict=True)),
        )

    # ------------------------------------------------------------ keeping up

    def _read(self, region: Region, owner: NodePlace | None) -> EditedBody:
        body = EditedBody(region, owner)
        last = body.edge
        for node in region.nodes:
            place = NodePlace(node, body)
            place.before, last.after = last, place
            last = place
            for value in node.inputs:
                self._add_reader(value, place)
            if node.regions:
                place.bodies = tuple([self._read(inner, place) for inner in node.regions])
            self.places[node] = place
            for value in node.outputs:
                self.producers[value] = node
        last.after, body.edge.before = body.edge, last
        for value in region.results:
            self._add_reader(value, body)
        return body

    def _settle(self, place: NodePlace, node: Node) -> None:
        place.node = node
        self.places[node] = place
        for value in node.outputs:
            self.producers[value] = node
        for value in node.inputs:
            self._add_reader(value, place)
        self.edits += 1

    def _let_go(self, place: NodePlace, node: Node) -> None:
        """The node that stood at a place reads nothing any more."""
        del self.places[node]
        for value in node.inputs:
            self._drop_reader(value, place)

    def _unlink(self, place: NodePlace) -> None:
        node = place.node
        assert node is not None
        place.before.after, place.after.before = place.after, place.before
        place.node = None
        self.edits += 1
        for value in node.outputs:
            if self.producers.get(value) is node:
                del self.producers[value]
        for body in place.bodies:
            for inner in reversed(tuple(body.places())):
                if inner.node is not None:
                    self._unlink(inner)
            for value in body.results:
                self._drop_reader(value, body)
        self._let_go(place, node)

    def _add_reader(self, value: Value, reader: NodePlace | EditedBody) -> None:
        readers = self._readers.get(value)
        if readers is None:
            self._readers[value] = {reader: 1}
        else:
            readers[reader] = readers.get(reader, 0) + 1

    def _drop_reader(self, value: Value, reader: NodePlace | EditedBody) -> None:
        readers = self._readers[value]
        readers[reader] -= 1
        if readers[reader]:
            return
        del readers[reader]
        if not readers:
            self._unread.append(value)

    def _sweep(self) -> None:
        """Drop the nodes that came to be unread."""
        while self._unread:
            maker = self.producers.get(self._unread.pop())
            if maker is not None and not self.needed(maker):
                self._unlink(self.places[maker])

    def _rewire(self, old: Value, new: Value) -> None:
        """Everything that reads `old` reads `new`."""
        names = self._inherited.get(new, new.names)
        mine = self._inherited.pop(old, old.names)
        self._inherited[new] = names + tuple(name for name in mine if name not in names)
        for reader, count in self._readers.pop(old, {}).items():
            readers = self._readers.setdefault(new, {})
            readers[reader] = readers.get(reader, 0) + count
            if isinstance(reader, EditedBody):
                reader.results = tuple([new if value is old else value for value in reader.results])
                continue
            node = reader.node
            assert node is not None
            inputs = tuple([new if value is old else value for value in node.inputs])
            del self.places[node]
            now = Node(node.op, inputs, node.outputs, node.regions, node.scope, node.span, node.site)
            reader.node = now
            self.places[now] = reader
            for value in now.outputs:
                self.producers[value] = now
        self.edits += 1


class NodeEmitter(Builder):
    """Emits nodes in front of one that is being rewritten, stamped with its place."""

    def __init__(self, rewriter: Rewriter, place: NodePlace, scope: str) -> None:
        assert place.node is not None
        super().__init__(scope, place.node.span, place.node.site)
        self.rewriter, self.place = rewriter, place
        rewriter._emitted = self.nodes

    def emit(self, op: Op, *inputs: Value, names: tuple[str, ...] = (), type: Type | None = None) -> Value:
        super().emit(op, *inputs, names=names, type=type)
        return self.rewriter.insert(self.nodes[-1], self.place)


def _reader(reader: NodePlace | EditedBody) -> Node | None:
    place = reader if isinstance(reader, NodePlace) else reader.owner
    return place.node if place is not None else None
