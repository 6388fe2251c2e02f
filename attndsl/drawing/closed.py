"""What a closed layer's box says, once all its nodes are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from attndsl.diagnostics import Span
from attndsl.drawing import captions, facts
from attndsl.drawing.canvas import Canvas
from attndsl.drawing.kinds import LOOKS
from attndsl.drawing.levels import Levels
from attndsl.drawing.scene import Box, SceneFrame
from attndsl.graph import Node
from attndsl.ops import Op
from attndsl.records import dataclass, field


@dataclass(slots=True, eq=False)
class ClosedCall:
    """One application of a layer that is drawn closed, or several in a row."""

    box: Box
    path: str
    nodes: list[Node] = field(default_factory=list)
    lifted: list[Node] = field(default_factory=list)  # out of the body that the call stands in

    def begins_with(self, node: Node) -> bool:
        """Whether the application has begun with the like of a node. (In a loop that is written out, scopes differ.)"""
        first = next(self._working(), None)
        return first is not None and _alike(first) == _alike(node)

    @property
    def times(self) -> int:
        """How many times in a row the layer is applied."""
        working = list(self._working())
        counts = Counter(map(_alike, working))
        return min(counts[_alike(working[0])], counts[_alike(working[-1])]) if working else 1

    def _working(self) -> Iterator[Node]:
        """The nodes that do more than look at what comes in another way."""
        return (node for node in self.nodes if node.inputs and node.op.role != "none")


def _alike(node: Node) -> tuple[str, Op, Span | None]:
    return node.scope, node.op, node.span


def describe(call: ClosedCall, canvas: Canvas) -> None:
    """The kind and the text of a layer's box."""
    graph, recognised = canvas.graph, canvas.levels.recognised
    info = graph.scopes[call.path]
    is_bias = info.kind in captions.biases(call.nodes)  # a layer made of nothing else
    kind = recognised.kind(call.nodes, canvas.levels.kinds_in(call.path))
    mixture = recognised.mixtures.get(call.path)
    call.box.kind = "position" if is_bias else "experts" if mixture is not None else kind
    is_input_free = call.box not in canvas.reached
    if is_input_free and call.box.kind in ("activation", "block"):
        call.box.kind = "position"  # depends on nothing but parameters and sizes
    block = info.kind.replace("_", " ")
    word = LOOKS[call.box.kind].word
    what = block if call.box.kind == "block" or captions.evokes(info.kind, call.box.kind) else f"{block} ({word})"
    heads = captions.heads(call.nodes, graph.sizes) if call.box.kind == "attention" else ()
    many = () if mixture is None else (captions.several(mixture, graph.sizes, facts.chosen(call.nodes)),)
    details = " · ".join((what, *heads, *many))
    everything = [*call.lifted, *call.nodes]
    masks, biases = facts.masks(everything, canvas.levels), captions.biases(everything)
    positions = () if info.kind in biases else (*biases, *canvas.levels.positions_in(call.path))
    parameters = canvas.read.get(call.box, []) if is_input_free else []
    label = captions.last(call.path)
    if (times := call.times) > 1:
        title = captions.shared_title(times)
        call.box.frame = SceneFrame(canvas.name(f"{call.path} again"), "again", title, call.box.frame)
    more = _special(call, canvas.levels)
    call.box.lines = (
        *((label,) if info.labelled and label != details else ()), details, *more,
        *((f"mask: {masks}",) if masks else ()),
        *((f"position: {', '.join(positions)}",) if positions else ()),
        *((f"with {', '.join(dict.fromkeys(map(captions.last, parameters)))}",) if parameters else ()),
    )  # fmt: skip


def _special(call: ClosedCall, levels: Levels) -> tuple[str, ...]:
    """What is special of a layer of its kind."""
    match call.box.kind:
        case "attention":
            return facts.attention(call.nodes, call.path, levels)
        case "feed-forward" | "experts":
            return facts.feed_forward(call.nodes, call.path, levels)
        case "recurrent":
            return facts.recurrent(call.nodes)
    return ()
