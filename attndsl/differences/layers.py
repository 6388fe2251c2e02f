"""A graph as its layers: what each computes by itself, whatever it is called, and which others it reads."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from attndsl.differences.positions import positions
from attndsl.graph import Graph, Node, Region, Value
from attndsl.graph.text import attribute_text, op_text, type_text
from attndsl.inspection.attending import attending, mask_of
from attndsl.masks.facts import Mask, mask_facts
from attndsl.ops import OPS, Op, Parameter, Repeat, Scan
from attndsl.records import Frozen, dataclass, field, fields

ENTERS = "what enters "
BODY = "the model's body"
_ADDRESSES = ("site", "path", "address")
_SITE = re.compile(rf'(?:, |(?<=\())(?:{"|".join(_ADDRESSES)})="[^"]*"')


class Operation(Frozen):
    """An op by its name, with its attributes as text."""

    name: str
    attributes: tuple[tuple[str, str], ...]

    @property
    def moves(self) -> bool:
        """Whether it is no more than how what is computed with is laid out or written down."""
        return OPS[self.name].role == "none"


@dataclass(slots=True)
class ComparedLayer:
    """A layer: all that is computed in it and in no layer inside it. `path` is "" for what is in none."""

    path: str
    kind: str
    nodes: list[Node] = field(default_factory=list)
    computes: Counter[str] = field(default_factory=Counter)
    """Each operation with what it is computed from inside the layer, and how often: no order, no names."""
    operations: Counter[Operation] = field(default_factory=Counter)
    """The same without operands."""
    reads: Counter[str] = field(default_factory=Counter)
    """The layers and inputs that its operations read."""
    masks: tuple[str, ...] = ()
    positions: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()
    """The blocks that it is made with and that have no name of their own in it, such as activations."""
    output: str = ""

    @property
    def above(self) -> str:
        return self.path.rpartition(".")[0].removesuffix(".*")

    @property
    def name(self) -> str:
        return self.path.removesuffix(".*").rpartition(".")[2]


def parts_of(graph: Graph, say: Callable[[str], str]) -> dict[str, ComparedLayer]:
    """The layers of a graph by their paths, in the order in which they are first computed. `say` puts the names of
    sizes into texts as they are to be compared."""
    return _Reading(graph, say).parts


class _Reading:
    def __init__(self, graph: Graph, say: Callable[[str], str]) -> None:
        self.graph = graph
        self.say = say
        self.owners = {p.address.rpartition(".")[0] for p in graph.parameters}
        self.parts: dict[str, ComparedLayer] = {"": ComparedLayer("", "model")}
        self.makers: dict[Value, Node] = {n: node for node in graph.body.walk() for n in node.outputs}
        self.inputs: Mapping[Value, str] = {info.value: f"input {info.name}" for info in graph.inputs}
        self.carried: dict[Value, str] = {}
        self.hashes: dict[Value, str] = {}
        self.masking = _masking(graph.body)
        self.attending = attending(graph)
        for node in graph.body.walk():
            self.part(node.scope).nodes.append(node)
        self.region(graph.body, "")
        for part in self.parts.values():
            self.describe(part)

    def part(self, scope: str) -> ComparedLayer:
        path = self.owner(scope)
        if path not in self.parts:
            info = self.graph.scopes.get(path)
            self.parts[path] = ComparedLayer(path, info.kind if info is not None else "scope")
        return self.parts[path]

    def owner(self, scope: str) -> str:
        """The layer that an author would name: the innermost with a label, parameters or rounds of its own."""
        while scope:
            info = self.graph.scopes.get(scope)
            named = info is not None and (info.labelled or info.kind in ("repeat", "scan", "scope"))
            if named or scope in self.owners:
                return scope
            scope = scope.rpartition(".")[0]
        return ""

    def region(self, region: Region, owner: str) -> None:
        for value in region.parameters:
            if value not in self.inputs:
                self.carried[value] = owner
        for node in region.nodes:
            self.node(node)

    def node(self, node: Node) -> None:
        mine = self.owner(node.scope)
        part = self.parts[mine]
        if isinstance(node.op, Parameter):
            name = node.op.address.removeprefix(f"{mine}.") if mine else node.op.address
            own = not mine or node.op.address.startswith(f"{mine}.")
            self.hashes[node.output] = f"parameter {name}" if own else f"parameter of {self.type(node.output)}"
            if not own:
                part.reads[node.op.address.rpartition(".")[0]] += 1
            return
        if node in self.masking:
            return  # told as a formula
        operands = [self.operand(value, part) for value in node.inputs]
        body = self.owner(self.body_of(node))
        for region in node.regions:
            self.region(region, body)
        # What draws random numbers, or has a body, says the address of its layer.
        said = self.say(_SITE.sub("", op_text(node.op, operands)))
        for number, value in enumerate(node.outputs):
            self.hashes[value] = _short(f"{said} {number}")
        part.computes[said] += 1
        part.operations[self.operation(node.op)] += 1
        for region in node.regions:
            inside = self.parts.setdefault(body, ComparedLayer(body, "scope"))
            for value in region.results:
                inside.computes[f"gives {self.operand(value, inside)}"] += 1

    def operation(self, op: Op) -> Operation:
        told = {it.name: getattr(op, it.name) for it in fields(op) if it.name not in _ADDRESSES}
        return Operation(op.name, tuple((name, self.say(attribute_text(value))) for name, value in told.items()))

    def body_of(self, node: Node) -> str:
        return node.op.path if isinstance(node.op, Repeat | Scan) else node.scope

    def operand(self, value: Value, part: ComparedLayer) -> str:
        maker = self.makers.get(value)
        if maker in self.masking:
            return "mask"
        if maker is not None and self.owner(maker.scope) == part.path:
            return self.hashes.get(value, "…")
        if maker is not None and isinstance(maker.op, Parameter):
            return self.hashes.get(value, "parameter")
        source = self.inputs.get(value) or (self.owner(maker.scope) if maker is not None else None)
        if source is None:
            source = f"{ENTERS}{self.carried.get(value) or BODY}"
        part.reads[source or BODY] += 1
        return self.type(value)

    def type(self, value: Value) -> str:
        return self.say(type_text(value.type))

    def describe(self, part: ComparedLayer) -> None:
        masks: dict[str, None] = {}
        for node in part.nodes:
            if (mask := mask_of(node)) is not None:
                queries, keys = self.attending.get(node, ()), node.op.goes_over[0]
                formula, _ = mask_facts([Mask(mask)], self.makers, queries, keys)
                masks[self.say(str(formula))] = None
        part.masks = tuple(masks)
        inside = [
            info.kind for path, info in self.graph.scopes.items() if path != part.path and self.owner(path) == part.path
        ]
        part.blocks = tuple(sorted(inside))
        part.positions = tuple(map(self.say, positions(part.nodes, self.makers, self.attending)))
        if part.nodes and part.nodes[-1].outputs:
            part.output = type_text(part.nodes[-1].outputs[0].type)


def _masking(body: Region) -> set[Node]:
    """The operations that nothing but masks is made of, and those whose results nobody reads."""
    makers = {value: node for node in body.walk() for value in node.outputs}
    readers = Counter(body.results)
    for node in body.walk():
        readers.update(node.inputs)
        for region in node.regions:
            readers.update(region.results)
    unread = [node for node in body.walk() if not any(readers[value] for value in node.outputs)]
    waiting = [mask for node in body.walk() if (mask := mask_of(node)) is not None]
    found: set[Node] = set()
    while waiting or unread:
        if not unread:
            value = waiting.pop()
            readers[value] -= 1
            maker = makers.get(value)
            if maker is None or any(readers[output] for output in maker.outputs):
                continue
            unread.append(maker)
        node = unread.pop()
        if node not in found and not node.regions and not isinstance(node.op, Parameter):
            found.add(node)
            waiting += node.inputs
    return found


def _short(text: str) -> str:
    """A name for a value that says how it is computed."""
    import zlib

    return f"{zlib.crc32(text.encode()):08x}{zlib.adler32(text.encode()):08x}"


def children(parts: Mapping[str, ComparedLayer], path: str) -> Iterator[ComparedLayer]:
    for part in parts.values():
        if part.path and part.above == path:
            yield part
