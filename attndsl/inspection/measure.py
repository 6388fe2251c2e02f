"""Measures a graph: one walk over its nodes, each weighed by how often it runs, bodies visited once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attndsl.addresses import Box, Indices, covered, loops_of, rounds
from attndsl.diagnostics import error
from attndsl.graph import Graph, Node, Region, ScopeInfo, Value
from attndsl.graph.kept import KeptValues
from attndsl.inspection.report import LayerReport, Report, Sharing, StateReport, Totals
from attndsl.inspection.sizes import choose_sizes
from attndsl.ops import Parameter, Repeat, Scan
from attndsl.passes.decide import Decide
from attndsl.records import dataclass, field
from attndsl.sizes import SizeTooLong
from attndsl.types import BYTES, shape_of

Loops = Mapping[str, Indices]  # the repeats around by address, and their rounds in which something runs
BODIES = ("repeat", "scan")
OUTSIDE = "(outside layers)"


def inspect(graph: Graph, sizes: Mapping[str, int] | None = None) -> Report:
    """The layers of `graph` with what each costs at its hyperparameters and the given input sizes: operations of the
    model in use, memory of a step of training.

    Takes the same time at any depth of a repeat. Raises what `choose_sizes` raises.
    """
    choices = choose_sizes(graph, sizes or {})
    values = dict(graph.sizes) | {choice.name: choice.value for choice in choices}
    tree = _Tree(graph, values)
    tree.count_parameters()
    try:
        in_use, in_training = (Decide(training).run(graph)[0] for training in (False, True))
        tree.count_nodes(in_use, flops=True, memory=in_use is in_training)
        if in_use is not in_training:
            tree.count_nodes(in_training, flops=False, memory=True)
    except SizeTooLong as problem:
        raise error("E0209", f"the work of an operation is too long a formula of sizes: {problem}") from None
    shared = _sharing(graph, tree)
    root = tree.root
    totals = Totals(
        parameters=graph.parameter_count,
        parameter_bytes=4 * graph.parameter_count,
        flops=root.total("flops"),
        contraction_flops=root.total("contraction_flops"),
        activation_bytes=root.total("activation_bytes"),
    )
    layers = tuple(child.freeze(values) for child in root.children)
    if root.flops or root.activation_bytes:
        layers += (
            LayerReport("", OUTSIDE, "", False, 1, None, None, None, 0, 0, root.flops, root.activation_bytes),
        )  # fmt: skip
    return Report(
        graph.name, graph.variant, graph.doc, dict(graph.hyperparameters), choices, layers, shared, totals,
        tuple(_states(graph, values)),
    )  # fmt: skip


def _states(graph: Graph, sizes: Mapping[str, int]) -> Iterator[StateReport]:
    for info in graph.states:
        shape, copies = info.type.shape(sizes), rounds(info.layers)
        size = BYTES[info.type.dtype] * info.type.count(sizes) * copies
        yield StateReport(info.address, info.type.dtype, tuple(map(str, info.type.axes)), shape, copies, size)


@dataclass(slots=True, eq=False)
class _Entry:
    """A scope while it is being measured; numbers are its own, without its children's."""

    info: ScopeInfo
    name: str
    boxes: dict[Box, None] = field(default_factory=dict)  # the rounds of the loops in its path in which it exists
    repeats: int | None = None
    parameters: int = 0
    parameters_total: int = 0
    flops: int = 0
    contraction_flops: int = 0
    activation_bytes: int = 0
    result: Value | None = None
    named: bool = False  # whether `result` carries the layer's own address
    children: list[_Entry] = field(default_factory=list)

    def total(self, attribute: str) -> int:
        own: int = getattr(self, attribute)
        return own + sum(child.total(attribute) for child in self.children)

    @property
    def copies(self) -> int:
        """How often it exists, however often it is applied: once for each round of the loops in its path."""
        return max(covered(self.boxes), 1)

    def parameters_of_one(self) -> int:
        """The parameters of one copy; of a repeat, those of one run of its body (of each distinct one)."""
        if self.info.kind == "repeat":
            return self.parameters + sum(child.parameters_of_one() for child in self.children)
        return self.total("parameters_total") // self.copies

    def freeze(self, sizes: Mapping[str, int]) -> LayerReport:
        axes = self.result.type.axes if self.result is not None else None
        return LayerReport(
            path=self.info.path,
            name=self.name,
            kind=self.info.kind,
            labelled=self.info.labelled,
            copies=self.copies,
            output=None if axes is None else tuple(str(axis) for axis in axes),
            shape=None if axes is None else shape_of(axes, sizes),
            dtype=None if self.result is None else self.result.type.dtype,
            parameters=self.parameters_of_one(),
            parameters_total=self.total("parameters_total"),
            flops=self.total("flops"),
            activation_bytes=self.total("activation_bytes"),
            children=tuple(child.freeze(sizes) for child in self.children),
            repeats=self.repeats,
        )


class _Tree:
    """The scopes of a graph as a tree, in the order in which the graph's nodes reach them."""

    def __init__(self, graph: Graph, sizes: Mapping[str, int]) -> None:
        self.graph = graph
        self.sizes = sizes
        self.flops = self.memory = True  # what is being counted
        self.times: dict[Value, int] = {}  # how many tensors a value stands for
        self.root = _Entry(ScopeInfo("", "model"), graph.name)
        self.entries: dict[str, _Entry] = {"": self.root}
        for path in _in_order(graph):
            parent = self.entries[self.owner(_above(path))]
            name = path[len(parent.info.path) :].lstrip(".*") or path
            entry = _Entry(graph.scopes[path], name)
            parent.children.append(entry)
            self.entries[path] = entry

    def owner(self, path: str) -> str:
        """The innermost scope that `path` lies in (itself, if it is one)."""
        while path not in self.entries:
            path = _above(path)
        return path

    def count_parameters(self) -> None:
        for info in self.graph.parameters:
            entry = self.entries[self.owner(_above(info.address))]
            elements = info.type.count(self.sizes)
            entry.parameters += elements
            entry.parameters_total += elements * info.copies

    def count_nodes(self, graph: Graph, *, flops: bool, memory: bool) -> None:
        """Count the nodes of the graph as it is in use, or in training: their operations, or what they keep."""
        self.flops, self.memory = flops, memory
        kept = KeptValues(graph.parameters)
        for info in graph.inputs:
            kept.ignore(info.value)
        self._count(graph.body, self.root, 1, {}, kept)

    def _count(self, region: Region, home: _Entry, times: int, loops: Loops, kept: KeptValues) -> None:
        """Count the nodes of a body that lies in the scope `home`, runs `times`, and in these rounds of the repeats
        around."""
        for node in region.nodes:
            entry = self.entries[self.owner(node.scope)]
            self._visit(entry, node, home, loops)
            if self.flops and not node.regions:
                flops = int(node.op.flops(node.output.type, *(v.type for v in node.inputs)).exact(self.sizes)) * times
                entry.flops += flops
                if node.op.contracts:
                    entry.contraction_flops += flops
            self.times.update(dict.fromkeys(node.outputs, times))
            needed = kept.of(node) if times and self.memory else ()
            for value, size in needed:  # a value from around a body is there once for all its runs
                entry.activation_bytes += value.type.count(self.sizes) * size * self.times[value]
            if node.regions:
                self._enter(node, times, loops, kept)

    def _enter(self, node: Node, times: int, loops: Loops, kept: KeptValues) -> None:
        body = self.entries[self.scope_of_body(node)]
        if body.info.kind in BODIES:
            body.repeats = sum(runs for _, runs in runs_of(node, self.sizes))
            self._exists(body, loops)
            if node.outputs:
                body.result = node.outputs[0]
        for case, (inner, runs) in enumerate(runs_of(node, self.sizes)):
            kept.enter(inner, node)
            self.times.update(dict.fromkeys(inner.parameters, times * runs))
            own = {node.op.path: node.op.rounds(case, self.sizes)} if isinstance(node.op, Repeat) else {}
            self._count(inner, body, times * runs, {**loops, **own}, kept)

    def _exists(self, entry: _Entry, loops: Loops) -> None:
        """Note in which rounds a layer exists, unless this is outside of a loop in its path: what is computed here was
        moved out of it."""
        own = loops_of(entry.info.path)
        if all(loop in loops for loop in own):
            entry.boxes[tuple(loops[loop] for loop in own)] = None

    def scope_of_body(self, node: Node) -> str:
        """The scope that a repeat or scan makes, or the one in which its node stands where it makes none."""
        assert isinstance(node.op, (Repeat, Scan))
        return self.owner(node.op.path)

    def _visit(self, entry: _Entry, node: Node, home: _Entry, loops: Loops) -> None:
        """Note that the layers between `home` and the node exist in these rounds, and what their results are: the value
        that has the layer's address, else the last one made in it."""
        while entry is not self.root and entry is not home:
            self._exists(entry, loops)
            for value in node.outputs:
                named = entry.info.path in value.names
                if named or not entry.named:
                    entry.result, entry.named = value, named
            entry = self.entries[self.owner(_above(entry.info.path))]


def runs_of(node: Node, sizes: Mapping[str, int]) -> Iterator[tuple[Region, int]]:
    """Each body of `node`, and how often it runs in one run of the node."""
    if node.active:
        raise NotImplementedError("nothing says in how many steps a repeat is active that is so in some of them alone")
    for case, region in enumerate(node.regions):
        if isinstance(node.op, Scan):
            yield region, node.op.axis.size.value(sizes)
        elif isinstance(node.op, Repeat):
            yield region, len(node.op.rounds(case, sizes))


def _above(path: str) -> str:
    return path.rpartition(".")[0]


def _in_order(graph: Graph) -> Iterator[str]:
    """The paths of scopes, parents first, in the order in which nodes reach them; those without nodes come last."""
    done: set[str] = set()
    for path in (*(node.scope for node in graph.body.walk()), *graph.scopes):
        parts = path.split(".")
        for end in range(1, len(parts) + 1):
            prefix = ".".join(parts[:end])
            if prefix in graph.scopes and prefix not in done:
                done.add(prefix)
                yield prefix


def _sharing(graph: Graph, tree: _Tree) -> tuple[Sharing, ...]:
    """Parameters that are read outside the layer that owns them."""
    sources: dict[Value, str] = {}
    users: dict[str, dict[str, None]] = {}
    for node in graph.body.walk():
        if isinstance(node.op, Parameter):
            sources[node.output] = node.op.address
        for value in node.inputs:
            address = sources.get(value)
            if address is not None and not _within(node.scope, _above(address)):
                users.setdefault(address, {}).setdefault(tree.owner(node.scope) or "the model itself")
    return tuple(Sharing(address, tuple(users[address])) for address in sorted(users))


def _within(scope: str, owner: str) -> bool:
    return scope == owner or scope.startswith(owner + ".") or not owner
