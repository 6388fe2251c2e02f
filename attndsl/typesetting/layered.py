"""What a model computes, as equations: those of the model itself, and one definition for each form of a block.

A call of a block is a function; its definition is written once for all calls that compute the same. A value has an
equation of its own where an author named it, or where several others read it; everything else stands where it is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from attndsl.graph import Graph, Node, Region, Value, captured
from attndsl.ops import Parameter, Range, Rename
from attndsl.records import Frozen, dataclass, field

LOOPS = ("repeat", "scan")


class CalledLayer(Frozen, eq=False):
    """A run of nodes that belong to one layer: what they read of others, and what others read of them."""

    path: str
    nodes: tuple[Node, ...]
    inputs: tuple[Value, ...]
    results: tuple[Value, ...]


@dataclass(slots=True, eq=False)
class Layered:
    """A graph, with which node makes each value, who reads it, and the layer that each node stands in."""

    graph: Graph
    makers: dict[Value, Node] = field(default_factory=dict)
    readers: dict[Value, set[Node | None]] = field(default_factory=dict)

    @staticmethod
    def of(graph: Graph) -> Layered:
        model = Layered(graph)
        model._read(graph.body, None)
        return model

    def _read(self, region: Region, around: Node | None) -> None:
        for node in region.nodes:
            self.makers.update(dict.fromkeys(node.outputs, node))
            for value in node.inputs:
                self.readers.setdefault(value, set()).add(node)
            for inner in node.regions:
                self._read(inner, node)
        for value in region.results:
            self.readers.setdefault(value, set()).add(around)

    def is_free(self, value: Value) -> bool:
        """Whether it is written anew wherever it is read: it is known by what it is."""
        node = self.makers.get(value)
        return node is not None and not node.inputs and not node.regions and not node.op.draws

    def is_given(self, value: Value, path: str) -> bool:
        """Whether a layer is given a value that others make; what is known by what it is, it writes itself."""
        if not self.is_free(value):
            return True
        node = self.makers[value]
        inside = not path or self.owner(node.scope) == path or node.scope.startswith(f"{path}.")
        return isinstance(node.op, (Parameter, Range)) and not inside

    def kind(self, path: str) -> str:
        """The block that a layer is a call of; a `scope`, and a round of an unrolled loop, go by their names."""
        kind = self.graph.scopes[path].kind
        named = (part for part in reversed(path.split(".")) if not part.isdigit() and part != "*")
        return next(named, path) if kind == "scope" else kind

    def has_parameters(self, path: str) -> bool:
        """Whether there are parameters or states in a layer, so that it differs from others of its kind."""
        addresses = [*(info.address for info in self.graph.parameters), *(info.address for info in self.graph.states)]
        return any(address.startswith(f"{path}.") for address in addresses)

    def renamed(self, values: Iterable[Value]) -> set[Value]:
        """These, and what they are but for the names of axes."""
        found = set(values)
        for value in list(found):
            while value in self.makers and isinstance(self.makers[value].op, Rename):
                (value,) = self.makers[value].inputs
                found.add(value)
        return found

    def owner(self, scope: str) -> str:
        """The innermost layer that a node of this scope lies in."""
        while scope and scope not in self.graph.scopes:
            scope = scope.rpartition(".")[0]
        return scope

    def layer(self, node: Node, home: str) -> str | None:
        """The outermost layer around a node of those that `home` is not in; None where it stands in `home` itself, or
        in a loop there."""
        path, found = self.owner(node.scope), None
        while path and path != home and not home.startswith(f"{path}."):
            if self.graph.scopes[path].kind not in LOOPS:
                found = path
            path = self.owner(path.rpartition(".")[0])
        return found

    def steps(self, nodes: Sequence[Node], home: str) -> Iterator[Node | CalledLayer]:
        """What happens in `home`, in order: its own nodes, and calls of layers. Nodes of one layer that follow one
        another are one call. A block that is no more than one operator is that operator."""
        runs: list[tuple[str | None, list[Node]]] = []
        for node in nodes:
            if node.outputs and self.is_free(node.outputs[0]):
                continue
            path = self.layer(node, home)
            if path is not None and runs and runs[-1][0] == path:
                runs[-1][1].append(node)
            else:
                runs.append((path, [node]))
        for path, run in runs:
            if path is None or (len(run) == 1 and not run[0].regions and not self.has_parameters(path)):
                yield run[0]
            else:
                yield self.call(path, run)

    def call(self, path: str, nodes: Sequence[Node]) -> CalledLayer:
        """These nodes as a call. Its operands come in the order in which something is computed of them; that an axis
        gets another name, or another place, is nothing that is computed."""
        own = set(_all(nodes))
        made = {value for node in nodes for value in node.outputs}
        results = [value for node in nodes for value in node.outputs if self.readers.get(value, set()) - own]
        results = results or list(nodes[-1].outputs)
        sources: dict[Value, Value] = {}
        read: dict[Value, None] = {}
        moved: dict[Value, None] = {}
        for node in nodes:
            inner = (value for region in node.regions for value in captured(region))
            values = [sources.get(value, value) for value in (*node.inputs, *inner)]
            given = [value for value in values if value not in made and self.is_given(value, path)]
            if node.op.moves and len(values) == 1:
                sources[node.output] = values[0]
                moved.update(dict.fromkeys(given))
            else:
                read.update(dict.fromkeys(given))
        return CalledLayer(path, tuple(nodes), tuple({**read, **moved}), tuple(results))


def _all(nodes: Iterable[Node]) -> Iterator[Node]:
    for node in nodes:
        yield node
        for region in node.regions:
            yield from region.walk()
