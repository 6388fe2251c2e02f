"""Operations outside closed layers: which are worth a box, and what it says."""

from __future__ import annotations

from attndsl.drawing import captions, facts
from attndsl.drawing.canvas import Canvas, Origin
from attndsl.drawing.scene import SceneFrame
from attndsl.graph import INT, Axis, Graph, Node, Region, Value
from attndsl.ops import Attention, Concat, Constant, Dot, Flatten, Parameter, Take, Unflatten


class Operations:
    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas
        self.graph = canvas.graph
        self.uses = _count_uses(canvas.graph)
        self.readers = facts.readers(canvas.graph.body.walk())
        self.constants: dict[Value, object] = {}
        self.made: dict[Value, Node] = {}
        self.inner: dict[Value, tuple[Axis, ...]] = {}  # of what was taken apart, the parts that vary fastest

    def draw(self, node: Node, frame: SceneFrame, *, with_dropout: bool) -> None:
        if isinstance(node.op, Parameter):
            self.canvas.sources[node.output] = (Origin(None, node.output, node.op.address),)
            return
        if isinstance(node.op, Constant):
            self.constants[node.output] = node.op.value
        if node.op.role == "dropout" and not with_dropout:
            self.canvas.hides_dropout = True
            self.canvas.fold(node)
            return
        if node.inputs and all(value in self.constants for value in node.inputs):
            self.constants[node.output] = None
        streams = self.canvas.streams(node)
        finds = node.output.type.dtype == INT and any(v.type.is_float for v in node.inputs)  # where, in a stream
        is_index = not node.output.type.is_float and not finds
        reads_table = isinstance(node.op, Take) and bool(self.canvas.sources.get(node.inputs[0]))
        self.made[node.output] = node
        if (cut := self.patches(node)) and streams:
            sides = " × ".join(self.canvas.size(axis) for axis in cut)
            self.make(node, "operation", (f"patches of {sides}",), frame)
        elif node.op.role == "none" or is_index or not (streams or reads_table):
            self.canvas.fold(node)
        elif node.op.sign and len(streams) == 2:
            self.circle(node, frame)
        elif node.op.sign:
            self.scaled(node, frame)
        else:
            self.operation(node, frame)

    def circle(self, node: Node, frame: SceneFrame) -> None:
        """Two streams meet. A sum of sums is one circle, if nothing else reads the inner sum."""
        kind = node.op.name
        sides = [self.canvas.of(value) for value in node.inputs]
        for value, side in zip(node.inputs, sides, strict=True):
            inner = side[0].box if len(side) == 1 else None
            if kind == "add" and inner and inner.kind == "add" and inner.frame is frame and self.uses[value] == 1:
                others = [s for s in sides if s is not side]
                self.canvas.connect((source for other in others for source in other), inner)
                self.canvas.sources[node.output] = (Origin(inner, node.output),)
                return
        box = self.canvas.box(kind, (node.op.sign,), frame, node.op.name, _address(node), node.at)
        for side in sides:
            self.canvas.connect(side, box)
        self.canvas.sources[node.output] = (Origin(box, node.output),)

    def scaled(self, node: Node, frame: SceneFrame) -> None:
        """A stream and something that is not one: a constant or a parameter."""
        stream = self.canvas.streams(node)[0]
        other = node.inputs[1] if node.inputs[0] is stream else node.inputs[0]
        parameters = self.canvas.of(other)
        constant = self.constants.get(other)
        stays = constant == node.op.identity and (other is node.inputs[1] or node.op.commutative)
        if not parameters and (constant is None or stays):
            self.canvas.fold(node)
            return
        sign = node.op.sign
        what = ", ".join(captions.last(s.address) for s in parameters) if parameters else captions.number(constant)
        text = f"{sign} {what}" if other is node.inputs[1] else f"{what} {sign}"
        self.make(node, "operation", (text,), frame)

    def patches(self, node: Node) -> tuple[Axis, ...]:
        """The sides of the patches that a node makes of a picture: it joins the inner parts of several axes."""
        parts = self.inner.get(node.inputs[0], ()) if node.inputs else ()
        if isinstance(node.op, Unflatten):
            parts = (*parts, node.op.parts[-1])
        if node.op.view and node.op.moves:
            self.inner[node.output] = parts
        cut = tuple(axis for axis in node.op.parts if axis in parts) if isinstance(node.op, Flatten) else ()
        return cut if len(cut) > 1 else ()

    def tokens(self, node: Node, frame: SceneFrame) -> None:
        """What is learned and joined to a stream, such as a class token, is a box beside it."""
        for value in node.inputs:
            learned = self.canvas.of(value)
            if learned and not self.canvas.comes_from_box(value):
                names = dict.fromkeys(captions.last(s.address) for s in learned)
                at = learned[0].address
                box = self.canvas.box("embedding", (", ".join(names), "learned"), frame, at, at, node.at)
                self.canvas.sources[value] = (Origin(box, value),)

    def operation(self, node: Node, frame: SceneFrame) -> None:
        if isinstance(node.op, Concat):
            self.tokens(node, frame)
        parameters = [s.address for value in node.inputs for s in self.canvas.of(value) if not s.box]
        kind = node.op.role
        if isinstance(node.op, Dot) and parameters:
            kind = "linear"
        elif isinstance(node.op, Take) and parameters:
            kind = "embedding"
        lines = captions.operation(node, tuple(captions.short(a, node.scope) for a in parameters))
        if facts.is_gate(node, self.readers):
            kind, lines = "gate", (f"gate {facts.gate_name(node)}".strip(), *lines)
        masks = self.mask_of(node)
        self.make(node, kind, (*lines, f"mask: {', '.join(masks)}") if masks else lines, frame)

    def mask_of(self, node: Node) -> tuple[str, ...]:
        """The names of the masks that go into a softmax."""
        if isinstance(node.op, Attention):
            said = facts.fused_mask(node, self.made.values(), self.canvas.levels)
            return (said,) if said else ()
        found: list[Node] = []
        waiting = [value for value in node.inputs if value.type.dtype == "bool"]
        while waiting:
            maker = self.made.get(waiting.pop())
            if maker is not None and maker not in found:
                found.append(maker)
                waiting += maker.inputs
        return captions.masks(found)

    def make(self, node: Node, kind: str, lines: tuple[str, ...], frame: SceneFrame) -> None:
        """A box for one operation."""
        name = f"{node.scope}.{node.op.name}" if node.scope else node.op.name
        box = self.canvas.box(kind, lines, frame, name, _address(node), node.at)
        for value in node.inputs:
            self.canvas.connect(self.canvas.of(value), box, node.scope)
        self.canvas.sources[node.output] = (Origin(box, node.output),)


def _address(node: Node) -> str:
    """What a spec calls the result of an operation, else the layer in which it stands."""
    names = [name for value in node.outputs for name in value.names]
    return names[-1] if names else node.scope


def _count_uses(graph: Graph) -> dict[Value, int]:
    uses: dict[Value, int] = {}

    def count(region: Region) -> None:
        for node in region.nodes:
            for value in node.inputs:
                uses[value] = uses.get(value, 0) + 1
            for inner in node.regions:
                count(inner)
        for value in region.results:
            uses[value] = uses.get(value, 0) + 1

    count(graph.body)
    return uses
