"""From a graph to a scene: which nodes become boxes, which belong to a closed layer, in which frames they stand.

Bodies of repeats and scans are visited once.
"""

from __future__ import annotations

from collections.abc import Mapping

from attndsl.diagnostics import Span
from attndsl.drawing import captions
from attndsl.drawing.canvas import Canvas, Origin, Sources
from attndsl.drawing.closed import ClosedCall, describe
from attndsl.drawing.levels import Levels
from attndsl.drawing.operations import Operations
from attndsl.drawing.scene import Box, Scene, SceneFrame
from attndsl.drawing.states import DrawnStates
from attndsl.drawing.style import PLAIN, Style
from attndsl.graph import Node, OutputInfo, Region, Value, captured
from attndsl.ops import Parameter, Scan
from attndsl.records import Frozen


class PlacedBody(Frozen, eq=False):
    """Where nodes are being placed: a region, the frame round it, and the path of the scope that it is the body of."""

    region: Region
    frame: SceneFrame
    path: str


class Planner:
    def __init__(self, levels: Levels, sizes: Mapping[str, int] | None = None, style: Style = PLAIN) -> None:
        self.graph = levels.graph
        self.levels = levels
        self.style = style
        self.canvas = Canvas(levels, sizes, style)
        self.operations = Operations(self.canvas)
        self.states = DrawnStates(self.graph)
        self.frames: dict[tuple[PlacedBody, str], SceneFrame] = {}
        self.calls: list[ClosedCall] = []
        self.open_calls: dict[tuple[PlacedBody, str], ClosedCall] = {}
        self.last_call: ClosedCall | None = None
        self.lifted: list[Node] = []
        self.parameters: dict[Value, Node] = {}  # of closed layers
        self.views: dict[tuple[PlacedBody, str], list[Node]] = {}  # of what comes into a layer, before it reads them

    def plan(self) -> Scene:
        body = PlacedBody(self.graph.body, self.canvas.scene.root, "")
        for info in self.graph.own_inputs:
            lines = self.canvas.with_shape(info.name, info.value.type, *captions.optional(info))
            box = self.canvas.box("input", lines, self.canvas.scene.root, f"input {info.name}", info.name, info.span)
            box.optional = info.optional
            self.canvas.sources[info.value] = (Origin(box, info.value),)
        self.nodes(body)
        for at, value in enumerate(body.region.results):
            self.write_state(body.region, at, self.canvas.of(value))
        for output in self.shown_outputs():
            lines = self.canvas.with_shape(output.name, output.value.type)
            box = self.canvas.box(
                "output", lines, self.canvas.scene.root, f"output {output.name}", output.name, output.span
            )
            box.optional = bool(output.needs)
            self.canvas.connect(self.canvas.of(output.value), box)
        for call in self.calls:
            describe(call, self.canvas)
        if self.canvas.hides_dropout:
            self.canvas.scene.notes.append("dropout not drawn")
        return self.canvas.scene

    def shown_outputs(self) -> list[OutputInfo]:
        """Without the loss, what is not a number alone: losses are, and what is counted beside them."""
        outputs = list(self.graph.own_outputs)
        return outputs if self.style.shows("loss") else [o for o in outputs if o.value.type.axes] or outputs

    def nodes(self, body: PlacedBody) -> None:
        for node in body.region.nodes:
            if self.states.takes_out(node):
                self.read_state(node, body)
                continue
            if not node.regions and self.levels.is_inside_another(node.scope, body.path):
                self.lift(node)
                continue
            own = self.levels.path_of_body(node) if node.regions else ""
            frame, layer = self.place(node.scope, body, own)
            if layer is not None:
                self.in_layer(node, layer, frame, body)
            elif node.regions:
                self.body(node, frame)
            else:
                self.operations.draw(node, frame, with_dropout=self.shows_dropout(frame))
                self.end_call()

    def lift(self, node: Node) -> None:
        """What the passes have taken out of a body, since it is the same in every round, is said where it is read."""
        if isinstance(node.op, Parameter):
            self.canvas.sources[node.output] = (Origin(None, node.output, node.op.address),)
        else:
            self.canvas.fold(node, shows=False)
        self.operations.made[node.output] = node
        self.lifted.append(node)

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
            key = (body, path)
            if key not in self.frames:
                self.frames[key] = SceneFrame(self.canvas.name(path), *self.levels.frame_text(path), frame, path)
            frame = self.frames[key]
        return frame, None

    def shows_dropout(self, frame: SceneFrame) -> bool:
        """Papers leave dropout out; it is drawn where layers are drawn open."""
        return self.levels.depth > 0 or any(f.kind == "layer" for f in frame.chain())

    def in_layer(self, node: Node, path: str, frame: SceneFrame, body: PlacedBody) -> None:
        """A node inside a closed layer: what it reads from outside is the layer's input."""
        if self.levels.is_dropout(path) and not self.shows_dropout(frame):
            self.canvas.hides_dropout = True
            self.canvas.fold(node)
            return
        if isinstance(node.op, Parameter):
            self.canvas.sources[node.output] = (Origin(None, node.output, node.op.address),)
            self.parameters[node.output] = node
        is_moved = node.op.role == "none" and not self.levels.only_moves(path)
        if is_moved and not self.reads_own(node, path, body):
            self.canvas.fold(node, shows=False)  # a view of what comes in: whoever reads it reads that
            self.views.setdefault((body, path), []).append(node)
            return
        call = self.call(node, path, frame, body)
        reads = dict.fromkeys(node.inputs)
        for region in node.regions:
            reads.update(dict.fromkeys(captured(region)))
        for value in reads:
            self.canvas.connect(self.canvas.of(value), call.box, call.path)
        shared = [self.parameters[value] for value in node.inputs if value in self.parameters]
        call.nodes += [made for made in shared if made.scope == node.scope and made not in call.nodes]
        call.nodes += [*self.views.pop((body, path), ()), node]
        for region in node.regions:
            for inner in region.walk():
                call.nodes.append(inner)
                if isinstance(inner.op, Parameter):
                    self.canvas.connect((Origin(None, inner.output, inner.op.address),), call.box, path)
        if not isinstance(node.op, Parameter):
            for value in node.outputs:
                self.canvas.sources[value] = (Origin(call.box, value),)

    def reads_own(self, node: Node, path: str, body: PlacedBody) -> bool:
        """Whether a node reads what the layer around it has made (or a parameter of it)."""
        call = self.open_calls.get((body, path))
        sources = [s for value in node.inputs for s in self.canvas.of(value)]
        return any(s.box is None or (call is not None and s.box is call.box) for s in sources)

    def call(self, node: Node, path: str, frame: SceneFrame, body: PlacedBody) -> ClosedCall:
        """The call of the layer at `path` that `node` belongs to. A layer that is applied again gets another box: its
        nodes come after others', and after something has read its first result, or begin anew without reading it. (One
        that does nothing but read it is the same layer several times in a row: one box for all.)"""
        key = (body, path)
        call = self.open_calls.get(key)
        if call is None or (
            call.box in self.canvas.consumed
            if call is not self.last_call
            else call.begins_with(node) and not self.canvas.comes_from(call.box, node)
        ):
            call = ClosedCall(self.canvas.box("block", (), frame, path, path, node.at), path)
            call.box.path = path
            call.lifted = [lifted for lifted in self.lifted if f"{lifted.scope}.".startswith(f"{path}.")]
            self.calls.append(call)
            self.open_calls[key] = call
        self.last_call = call
        return call

    def end_call(self) -> None:
        """The application that nodes were added to is over once an operation has read its result."""
        if self.last_call is not None and self.last_call.box in self.canvas.consumed:
            self.last_call = None

    def body(self, node: Node, frame: SceneFrame) -> None:
        """A repeat or scan: a frame with its body (each distinct one) inside, or with the steps of an unrolled scan."""
        path = self.levels.path_of_body(node)
        scan = node.op if isinstance(node.op, Scan) else None
        unrolled = scan is not None and self.style.unrolled
        title = captions.body_title(node, path, self.graph.sizes, is_shared=self.is_shared(node, path))
        base = SceneFrame(self.canvas.name(path), node.op.name, title, frame, path)
        carried = [self.canvas.of(value) for value in node.inputs]
        emitted: list[Sources] = [()] * (len(node.outputs) - len(carried))
        for at, round in enumerate(
            captions.steps(scan, self.graph.sizes) if scan and unrolled else captions.cases(node)
        ):
            region, inner = node.regions[round.body], base
            if round.title:
                name = self.canvas.name(f"{path} {round.kind} {at if unrolled else round.body}")
                inner = SceneFrame(name, round.kind, round.title, base, path)
            entered = region.parameters[len(region.parameters) - len(carried) :]
            entries = []
            for value, before in zip(entered, carried, strict=True):
                entries.append(self.state(value, inner, node.at) if scan and not unrolled else self.entry(path, inner))
                label = self.name_of(value, inner) if unrolled else ""
                self.canvas.connect(before, entries[-1], label=label, kind=round.enters)
                self.canvas.sources[value] = (Origin(entries[-1], value),)
            self.last_call = None
            self.nodes(PlacedBody(region, inner, path))
            carried = [self.canvas.of(value) for value in region.results[: len(carried)]]
            for number, value in enumerate(region.results[len(carried) :]):
                after = self.canvas.of(value)
                written = self.write_state(region, len(carried) + number, after)
                emitted[number] = () if written else (*emitted[number], *after) if unrolled else after
            for entry, after in zip(entries, carried, strict=True) if scan and not unrolled else ():
                self.canvas.back(after, entry, "next step")
        self.last_call = None
        self.leave(node, [*carried, *emitted], frame, path)

    def is_shared(self, node: Node, path: str) -> bool:
        """Whether a body has parameters, and none of them is its own."""
        if any(info.address.startswith(f"{path}.") for info in self.graph.parameters):
            return False
        made = any(isinstance(inner.op, Parameter) for region in node.regions for inner in region.walk())
        outside = (value for region in node.regions for value in captured(region))
        return made or any(s.address for value in outside for s in self.canvas.of(value))

    def leave(self, node: Node, results: list[Sources], frame: SceneFrame, path: str) -> None:
        """All who read the result of a body read that of the last layer, from one point."""
        for value, after in zip(node.outputs, results, strict=True):
            self.canvas.sources[value] = after
            if any(source.box for source in after):
                way_out = self.canvas.box("fork", (), frame, f"{path} exit")
                self.canvas.connect(tuple(Origin(s.box, value, s.address) for s in after), way_out)
                self.canvas.sources[value] = (Origin(way_out, value),)

    def entry(self, path: str, frame: SceneFrame) -> Box:
        return self.canvas.box("fork", (), frame, f"{path} entry")

    def state(self, value: Value, frame: SceneFrame, at: Span | None) -> Box:
        """What a scan carries from step to step: a box that the next step comes back to."""
        name = self.name_of(value, frame)
        lines = self.canvas.with_shape(name, value.type)
        return self.canvas.box("state", lines, frame, f"{frame.path} state {name}", f"{frame.path}.{name}", at)

    def name_of(self, value: Value, frame: SceneFrame) -> str:
        return captions.short(value.names[0], frame.path) if value.names else "state"

    def read_state(self, node: Node, body: PlacedBody) -> None:
        """A state at entry: a box in the frame of what reads it."""
        self.canvas.sources[node.output] = ()
        name = self.states.read(node)
        if name is None:
            return
        frame, _ = self.place(node.scope, body)
        address = self.states.addresses[name]
        label = ".".join(address.split(".")[-2 if captions.last(address).isdigit() else -1 :])
        box = self.canvas.box(
            "state", self.canvas.with_shape(label, node.output.type), frame, address, address, node.at
        )
        self.states.boxes[name] = box
        self.canvas.sources[node.output] = (Origin(box, node.output),)

    def write_state(self, region: Region, at: int, sources: Sources) -> bool:
        """Whether a result of a body is what a state becomes; draw the way back to its box."""
        name = self.states.written.get((region, at))
        box = self.states.boxes.get(name) if name is not None else None
        if box is not None:
            self.canvas.back(sources, box, "next call")
        return name is not None
