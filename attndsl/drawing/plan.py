"""From a graph to a scene: which nodes become boxes, which melt into their consumers, which arrows run between them.

Every value has sources: the boxes (or parameters) that it comes from. A node that is not worth a box hands its
operands' sources on; a node inside a closed layer belongs to that layer's box. Bodies of repeats are visited once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attndsl.diagnostics import Span
from attndsl.drawing import captions, facts
from attndsl.drawing.kinds import LOOKS
from attndsl.drawing.levels import Levels
from attndsl.drawing.scene import Arrow, Box, Scene, SceneFrame
from attndsl.drawing.states import DrawnStates
from attndsl.drawing.style import PLAIN, Style
from attndsl.graph import INT, Axis, Graph, Node, OutputInfo, Region, Type, Value, captured
from attndsl.ops import Attention, Concat, Constant, Dot, Flatten, Parameter, Scan, Take, Unflatten
from attndsl.records import dataclass, field


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from: a box, as `value` left it, or (without a box) the parameter at `address`."""

    box: Box | None
    value: Value
    address: str = ""


Sources = tuple[Origin, ...]


@dataclass(slots=True, eq=False)
class ClosedCall:
    """One application of a layer that is drawn closed."""

    box: Box
    path: str
    nodes: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class PlacedBody:
    """Where nodes are being placed: a region, the frame round it, and the path of the scope that it is the body of."""

    region: Region
    frame: SceneFrame
    path: str


class Planner:
    def __init__(
        self, graph: Graph, levels: Levels, sizes: Mapping[str, int] | None = None, style: Style = PLAIN
    ) -> None:
        self.graph = graph
        self.style = style
        self.sizes = sizes
        self.levels = levels
        root = SceneFrame("root", "root", "")
        self.scene = Scene(captions.title(graph), captions.subtitle(graph), "", root)
        self.sources: dict[Value, Sources] = {}
        self.uses = _count_uses(graph)
        self.calls: list[ClosedCall] = []
        self.open_calls: dict[tuple[Region, str], ClosedCall] = {}
        self.last_call: ClosedCall | None = None
        self.views: dict[tuple[Region, str], list[Node]] = {}  # of what comes into a layer, before it reads them
        self.consumed: set[Box] = set()
        self.reached: set[Box] = set()
        self.arrows: set[tuple[Box, Box, str]] = set()
        self.frames: dict[tuple[Region, str], SceneFrame] = {}
        self.constants: dict[Value, object] = {}
        self.taken: dict[str, int] = {}
        self.made: dict[Value, Node] = {}  # by operations outside closed layers
        self.read: dict[Box, list[str]] = {}  # parameters that are not a layer's own
        self.inner: dict[Value, tuple[Axis, ...]] = {}  # of what was taken apart, the parts that vary fastest
        self.hidden_dropout = False
        self.states = DrawnStates(graph)

    def plan(self) -> Scene:
        body = PlacedBody(self.graph.body, self.scene.root, "")
        for info in self.graph.own_inputs:
            lines = self.with_shape(info.name, info.value.type, *captions.optional(info))
            box = self.box("input", lines, self.scene.root, f"input {info.name}", info.name, info.span)
            box.optional = info.optional
            self.sources[info.value] = (Origin(box, info.value),)
        self.nodes(body)
        for at, value in enumerate(body.region.results):
            self.write_state(body.region, at, self.sources.get(value, ()))
        for output in self.shown_outputs():
            lines = self.with_shape(output.name, output.value.type)
            box = self.box("output", lines, self.scene.root, f"output {output.name}", output.name, output.span)
            box.optional = bool(output.needs)
            self.connect(self.sources.get(output.value, ()), box)
        for call in self.calls:
            self.describe(call)
        if self.hidden_dropout:
            self.scene.notes.append("dropout not drawn")
        return self.scene

    def shown_outputs(self) -> list[OutputInfo]:
        """Without the loss, what is not a number alone: losses are, and what is counted beside them."""
        outputs = list(self.graph.own_outputs)
        return outputs if self.style.shows("loss") else [o for o in outputs if o.value.type.axes] or outputs

    def shape(self, type: Type) -> str:
        return captions.shape(type, self.sizes) if self.style.shows("shapes") else ""

    def with_shape(self, name: str, type: Type, *more: str) -> tuple[str, ...]:
        return tuple(line for line in (name, self.shape(type), *more) if line)

    # ------------------------------------------------------------ nodes

    def nodes(self, body: PlacedBody) -> None:
        for node in body.region.nodes:
            if self.states.takes_out(node):
                self.read_state(node, body)
                continue
            own = self.levels.path_of_body(node) if node.regions else ""
            frame, layer = self.place(node.scope, body, own)
            if layer is not None:
                self.in_layer(node, layer, frame, body)
            elif node.regions:
                self.body(node, frame)
            else:
                self.loose(node, frame)

    def place(self, scope: str, body: PlacedBody, own: str = "") -> tuple[SceneFrame, str | None]:
        """The frame that a node of `scope` stands in, and the closed layer that it belongs to, if any. `own` is the
        scope that the node itself makes a frame for."""
        frame = body.frame
        for path in self.levels.chain(scope):
            if body.path == path or body.path.startswith(path + "."):
                continue  # around the body itself
            if path == own:
                break
            if self.levels.is_transparent(path):
                return frame, None
            if not self.levels.is_open(path):
                return frame, path
            key = (body.region, path)
            if key not in self.frames:
                self.frames[key] = SceneFrame(self.name(path), *self.levels.frame_text(path), frame, path)
            frame = self.frames[key]
        return frame, None

    def shows_dropout(self, frame: SceneFrame) -> bool:
        """Papers leave dropout out; it is drawn where layers are drawn open."""
        return self.levels.depth > 0 or any(f.kind == "layer" for f in frame.chain())

    def in_layer(self, node: Node, path: str, frame: SceneFrame, body: PlacedBody) -> None:
        """A node inside a closed layer: what it reads from outside is the layer's input."""
        if self.levels.is_dropout(path) and not self.shows_dropout(frame):
            self.hidden_dropout = True
            self.fold(node)
            return
        if isinstance(node.op, Parameter):
            self.sources[node.output] = (Origin(None, node.output, node.op.address),)
        is_moved = node.op.role == "none" and not self.levels.only_moves(path)
        if is_moved and not self.reads_own(node, path, body):
            self.fold(node, shows=False)  # a view of what comes in: whoever reads it reads that
            self.views.setdefault((body.region, path), []).append(node)
            return
        call = self.call(node, path, frame, body)
        reads = dict.fromkeys(node.inputs)
        for region in node.regions:
            reads.update(dict.fromkeys(captured(region)))
        for value in reads:
            self.connect(self.sources.get(value, ()), call.box, call.path)
        call.nodes += [*self.views.pop((body.region, path), ()), node]
        for region in node.regions:
            for inner in region.walk():
                call.nodes.append(inner)
                if isinstance(inner.op, Parameter):
                    self.connect((Origin(None, inner.output, inner.op.address),), call.box, path)
        if not isinstance(node.op, Parameter):
            for value in node.outputs:
                self.sources[value] = (Origin(call.box, value),)

    def reads_own(self, node: Node, path: str, body: PlacedBody) -> bool:
        """Whether a node reads what the layer around it has made (or a parameter of it)."""
        call = self.open_calls.get((body.region, path))
        sources = [s for value in node.inputs for s in self.sources.get(value, ())]
        return any(s.box is None or (call is not None and s.box is call.box) for s in sources)

    def call(self, node: Node, path: str, frame: SceneFrame, body: PlacedBody) -> ClosedCall:
        """The call of the layer at `path` that `node` belongs to. A layer that is applied again gets another box: its
        nodes come after others', and after something has read its first result."""
        key = (body.region, path)
        call = self.open_calls.get(key)
        if call is None or (call is not self.last_call and call.box in self.consumed):
            call = ClosedCall(self.box("block", (), frame, path, path, node.at), path)
            call.box.path = path
            self.calls.append(call)
            self.open_calls[key] = call
        self.last_call = call
        return call

    def body(self, node: Node, frame: SceneFrame) -> None:
        """A repeat or scan: a frame with its body (each distinct one) inside."""
        path = self.levels.path_of_body(node)
        base = SceneFrame(self.name(path), node.op.name, captions.body_title(node, path, self.graph.sizes), frame, path)
        carried = [self.sources.get(value, ()) for value in node.inputs]
        emitted: list[Sources] = [()] * (len(node.outputs) - len(carried))
        for number, case in captions.cases(node):
            inner = SceneFrame(self.name(f"{path} case {number}"), "case", case, base, path) if case else base
            region = node.regions[number]
            steps = region.parameters[len(region.parameters) - len(carried) :]
            forks = []
            for value, before in zip(steps, carried, strict=True):
                fork = self.box("fork", (), inner, f"{path} entry")
                self.connect(before, fork)
                self.sources[value] = (Origin(fork, value),)
                forks.append(fork)
            self.last_call = None
            self.nodes(PlacedBody(region, inner, path))
            carried = [self.sources.get(value, ()) for value in region.results[: len(carried)]]
            emitted = [self.sources.get(value, ()) for value in region.results[len(carried) :]]
            for at, after in enumerate(emitted):
                if self.write_state(region, len(carried) + at, after):
                    emitted[at] = ()
            if isinstance(node.op, Scan):
                for fork, after in zip(forks, carried, strict=True):
                    self.scene.arrows += [Arrow(s.box, fork, "state", "next step") for s in after if s.box]
        self.last_call = None
        for value, after in zip(node.outputs, [*carried, *emitted], strict=True):
            if not any(s.box for s in after):
                self.sources[value] = after
                continue
            way_out = self.box("fork", (), frame, f"{path} exit")  # all who read the result read that of the last layer
            self.connect(tuple(Origin(s.box, value, s.address) for s in after), way_out)
            self.sources[value] = (Origin(way_out, value),)

    def read_state(self, node: Node, body: PlacedBody) -> None:
        """A state at entry: a box in the frame of what reads it."""
        self.sources[node.output] = ()
        name = self.states.read(node)
        if name is None:
            return
        frame, _ = self.place(node.scope, body)
        address = self.states.addresses[name]
        label = ".".join(address.split(".")[-2 if captions.last(address).isdigit() else -1 :])
        box = self.box("state", self.with_shape(label, node.output.type), frame, address, address, node.at)
        self.states.boxes[name] = box
        self.sources[node.output] = (Origin(box, node.output),)

    def write_state(self, region: Region, at: int, sources: Sources) -> bool:
        """Whether a result of a body is what a state becomes; draw the way back to its box."""
        name = self.states.written.get((region, at))
        box = self.states.boxes.get(name) if name is not None else None
        for source in sources if box is not None else ():
            if source.box is not None and source.box is not box:
                self.scene.arrows.append(Arrow(source.box, box, "state", "next call"))  # type: ignore[arg-type]
        return name is not None

    # ------------------------------------------------------------ operations outside closed layers

    def loose(self, node: Node, frame: SceneFrame) -> None:
        if isinstance(node.op, Parameter):
            self.sources[node.output] = (Origin(None, node.output, node.op.address),)
            return
        if isinstance(node.op, Constant):
            self.constants[node.output] = node.op.value
        if node.op.role == "dropout" and not self.shows_dropout(frame):
            self.hidden_dropout = True
            self.fold(node)
            return
        if node.inputs and all(value in self.constants for value in node.inputs):
            self.constants[node.output] = None
        streams = [value for value in node.inputs if any(s.box for s in self.sources.get(value, ()))]
        finds = node.output.type.dtype == INT and any(v.type.is_float for v in node.inputs)  # where, in a stream
        is_index = not node.output.type.is_float and not finds
        reads_table = isinstance(node.op, Take) and bool(self.sources.get(node.inputs[0]))
        self.made[node.output] = node
        if (cut := self.patches(node)) and streams:
            sides = " × ".join(self.size(axis) for axis in cut)
            self.make(node, "operation", (f"patches of {sides}",), frame)
        elif node.op.role == "none" or is_index or not (streams or reads_table):
            self.fold(node)
        elif node.op.sign and len(streams) == 2:
            self.circle(node, frame)
        elif node.op.sign:
            self.scaled(node, frame)
        else:
            self.operation(node, frame)

    def fold(self, node: Node, *, shows: bool = True) -> None:
        """No box: whoever reads the result reads what it was made from, in its new shape if it `shows`."""
        found: dict[tuple[Box | None, str], Origin] = {}
        for value in node.inputs:
            for source in self.sources.get(value, ()):
                found.setdefault((source.box, source.address), source)
        moved = shows and node.op.view and node.op.moves
        self.sources[node.output] = tuple(
            Origin(s.box, node.output if moved else s.value, s.address) for s in found.values()
        )

    def circle(self, node: Node, frame: SceneFrame) -> None:
        """Two streams meet. A sum of sums is one circle, if nothing else reads the inner sum."""
        kind = node.op.name
        sides = [self.sources.get(value, ()) for value in node.inputs]
        for value, side in zip(node.inputs, sides, strict=True):
            inner = side[0].box if len(side) == 1 else None
            if kind == "add" and inner and inner.kind == "add" and inner.frame is frame and self.uses[value] == 1:
                others = [s for s in sides if s is not side]
                self.connect((source for other in others for source in other), inner)
                self.sources[node.output] = (Origin(inner, node.output),)
                return
        box = self.box(kind, (node.op.sign,), frame, node.op.name, _address(node), node.at)
        for side in sides:
            self.connect(side, box)
        self.end_call()
        self.sources[node.output] = (Origin(box, node.output),)

    def scaled(self, node: Node, frame: SceneFrame) -> None:
        """A stream and something that is not one: a constant or a parameter."""
        stream = next(v for v in node.inputs if any(s.box for s in self.sources.get(v, ())))
        other = node.inputs[1] if node.inputs[0] is stream else node.inputs[0]
        parameters = self.sources.get(other, ())
        constant = self.constants.get(other)
        stays = constant == node.op.identity and (other is node.inputs[1] or node.op.commutative)
        if not parameters and (constant is None or stays):
            self.fold(node)
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

    def size(self, axis: Axis) -> str:
        known = axis.size.symbols <= self.graph.sizes.keys()
        return str(axis.size.value(self.graph.sizes)) if known else str(axis.size)

    def tokens(self, node: Node, frame: SceneFrame) -> None:
        """What is learned and joined to a stream, such as a class token, is a box beside it."""
        for value in node.inputs:
            learned = self.sources.get(value, ())
            if learned and not any(s.box for s in learned):
                names = dict.fromkeys(captions.last(s.address) for s in learned)
                at = learned[0].address
                box = self.box("embedding", (", ".join(names), "learned"), frame, at, at, node.at)
                self.sources[value] = (Origin(box, value),)

    def operation(self, node: Node, frame: SceneFrame) -> None:
        if isinstance(node.op, Concat):
            self.tokens(node, frame)
        parameters = [s.address for value in node.inputs for s in self.sources.get(value, ()) if not s.box]
        kind = node.op.role
        if isinstance(node.op, Dot) and parameters:
            kind = "linear"
        elif isinstance(node.op, Take) and parameters:
            kind = "embedding"
        lines = captions.operation(node, tuple(captions.short(a, node.scope) for a in parameters))
        masks = self.mask_of(node)
        self.make(node, kind, (*lines, f"mask: {', '.join(masks)}") if masks else lines, frame)

    def mask_of(self, node: Node) -> tuple[str, ...]:
        """The names of the masks that go into a softmax. Of fused attention it is said what the mask does: the passes
        share nodes between masks, so that where they were written says little."""
        if isinstance(node.op, Attention) and node.op.masked and not node.op.mask.data:
            seen = facts.reach([node], self.levels)
            if node.op.mask.causal or node.op.mask.window is not None or seen:
                return ("causal",) if node.op.mask.causal else (f"window · {seen}" if node.op.mask.window else seen,)
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
        box = self.box(kind, lines, frame, name, _address(node), node.at)
        for value in node.inputs:
            self.connect(self.sources.get(value, ()), box, node.scope)
        self.end_call()
        self.sources[node.output] = (Origin(box, node.output),)

    def end_call(self) -> None:
        """The application that nodes were added to is over once an operation has read its result."""
        if self.last_call is not None and self.last_call.box in self.consumed:
            self.last_call = None

    # ------------------------------------------------------------ boxes and arrows

    def name(self, base: str) -> str:
        """`base`, numbered from its second use."""
        self.taken[base] = self.taken.get(base, 0) + 1
        return base if self.taken[base] == 1 else f"{base} #{self.taken[base]}"

    def box(
        self,
        kind: str,
        lines: tuple[str, ...],
        frame: SceneFrame,
        base: str,
        address: str = "",
        at: Span | None = None,
    ) -> Box:
        box = Box(self.name(base), kind, lines, frame, address=address, at=at)
        self.scene.boxes.append(box)
        return box

    def connect(self, sources: Iterable[Origin], head: Box, path: str = "") -> None:
        """Arrows from `sources` to `head`; a parameter of a layer other than the one at `path` gives a tie."""
        for source in sources:
            if source.box is head:
                continue
            if source.box is None:
                owner = source.address.rpartition(".")[0]
                if not source.address.startswith(f"{path}."):
                    self.read.setdefault(head, []).append(source.address)
                if owner and not f"{owner}.".startswith(f"{path}."):
                    self.scene.ties.append((source.address, head))
                continue
            self.consumed.add(source.box)
            self.reached.add(head)
            kind = "mask" if source.value.type.dtype == "bool" else "flow"
            arrow = Arrow(source.box, head, kind, self.shape(source.value.type))
            if kind == "flow" and arrow.enters:
                arrow.kind = "memory"
            if (source.box, head, arrow.kind) not in self.arrows:
                self.arrows.add((source.box, head, arrow.kind))
                self.scene.arrows.append(arrow)

    def describe(self, call: ClosedCall) -> None:
        """Kind and text of a layer's box, now that all its nodes are known."""
        info = self.graph.scopes[call.path]
        is_bias = info.kind in captions.biases(call.nodes)  # a layer made of nothing else
        kind = self.levels.recognised.kind(call.nodes, self.levels.kinds_in(call.path))
        mixture = self.levels.recognised.mixtures.get(call.path)
        call.box.kind = "position" if is_bias else "experts" if mixture is not None else kind
        is_input_free = call.box not in self.reached
        if is_input_free and call.box.kind in ("activation", "block"):
            call.box.kind = "position"  # depends on nothing but parameters and sizes
        block = info.kind.replace("_", " ")
        word = LOOKS[call.box.kind].word
        what = block if call.box.kind == "block" or captions.evokes(info.kind, call.box.kind) else f"{block} ({word})"
        heads = captions.heads(call.nodes, self.graph.sizes) if call.box.kind == "attention" else ()
        many = () if mixture is None else (captions.several(mixture, self.graph.sizes),)
        details = " · ".join((what, *heads, *many))
        masks, biases = captions.masks(call.nodes), captions.biases(call.nodes)
        positions = () if info.kind in biases else (*biases, *self.levels.positions_in(call.path))
        parameters = self.read.get(call.box, []) if is_input_free else []
        label = captions.last(call.path)
        more, seen = self.special(call), facts.reach(call.nodes, self.levels)
        call.box.lines = (
            *((label,) if info.labelled and label != details else ()), details, *more,
            *((f"mask: {', '.join(masks)}{f' · {seen}' * bool(seen)}",) if masks else ()),
            *((f"position: {', '.join(positions)}",) if positions else ()),
            *((f"with {', '.join(dict.fromkeys(map(captions.last, parameters)))}",) if parameters else ()),
        )  # fmt: skip

    def special(self, call: ClosedCall) -> tuple[str, ...]:
        """What is special of a layer of its kind."""
        match call.box.kind:
            case "attention":
                return facts.attention(call.nodes, call.path, self.levels)
            case "feed-forward" | "experts":
                return facts.feed_forward(call.nodes, call.path, self.levels)
        return ()


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
