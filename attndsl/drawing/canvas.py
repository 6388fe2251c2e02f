"""What is drawn so far: boxes, arrows, and where every value comes from.

Every value has sources: the boxes (or parameters) that it comes from. A node that is not worth a box hands its
operands' sources on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attndsl.diagnostics import Span
from attndsl.drawing import captions
from attndsl.drawing.levels import Levels
from attndsl.drawing.scene import Arrow, Box, Scene, SceneFrame
from attndsl.drawing.style import Style
from attndsl.graph import BOOL, Axis, Node, Type, Value
from attndsl.records import Frozen


class Origin(Frozen):
    """Where a value comes from: a box, as `value` left it, or (without a box) the parameter at `address`."""

    box: Box | None
    value: Value
    address: str = ""


Sources = tuple[Origin, ...]


class Canvas:
    """A scene in the making. `sizes`: numbers for the shapes, where they are to be said so."""

    def __init__(self, levels: Levels, sizes: Mapping[str, int] | None, style: Style) -> None:
        self.levels = levels
        self.graph = levels.graph
        self.sizes = sizes
        self.style = style
        root = SceneFrame("root", "root", "")
        self.scene = Scene(
            captions.title(self.graph), captions.subtitle(self.graph, 40 if style.is_narrow else 70), "", root
        )
        self.sources: dict[Value, Sources] = {}
        self.consumed: set[Box] = set()
        self.reached: set[Box] = set()
        self.read: dict[Box, list[str]] = {}  # parameters that are not a layer's own
        self.hides_dropout = False
        self._arrows: set[tuple[Box, Box, str]] = set()
        self._taken: dict[str, int] = {}

    def shape(self, type: Type) -> str:
        return captions.shape(type, self.sizes) if self.style.shows("shapes") else ""

    def with_shape(self, name: str, type: Type, *more: str) -> tuple[str, ...]:
        return tuple(line for line in (name, self.shape(type), *more) if line)

    def size(self, axis: Axis) -> str:
        known = axis.size.symbols <= self.graph.sizes.keys()
        return str(axis.size.value(self.graph.sizes)) if known else str(axis.size)

    def of(self, value: Value) -> Sources:
        """Where a value comes from."""
        return self.sources.get(value, ())

    def streams(self, node: Node) -> list[Value]:
        """The operands that come from boxes."""
        return [value for value in node.inputs if self.comes_from_box(value)]

    def comes_from_box(self, value: Value) -> bool:
        return any(source.box for source in self.of(value))

    def comes_from(self, box: Box, node: Node) -> bool:
        return any(source.box is box for value in node.inputs for source in self.of(value))

    def name(self, base: str) -> str:
        """`base`, numbered from its second use."""
        self._taken[base] = self._taken.get(base, 0) + 1
        return base if self._taken[base] == 1 else f"{base} #{self._taken[base]}"

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

    def connect(
        self, sources: Iterable[Origin], head: Box, path: str = "", label: str = "", kind: str = "flow"
    ) -> None:
        """Arrows of a `kind` from `sources` to `head`, with shapes unless a `label` is given; a parameter of a layer
        other than the one at `path` gives a tie."""
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
            arrow = Arrow(source.box, head, kind, label or self.shape(source.value.type))
            if kind == "flow" and source.value.type.dtype == BOOL:
                arrow.kind = "mask"
            elif kind == "flow" and arrow.enters:
                arrow.kind = "memory"
            if (source.box, head, arrow.kind) not in self._arrows:
                self._arrows.add((source.box, head, arrow.kind))
                self.scene.arrows.append(arrow)

    def back(self, sources: Iterable[Origin], state: Box, when: str) -> None:
        """The way back to a state, from what it becomes."""
        for source in sources:
            if source.box is not None and source.box is not state:
                self.scene.arrows.append(Arrow(source.box, state, "state", when))

    def fold(self, node: Node, *, shows: bool = True) -> None:
        """No box: whoever reads the result reads what it was made from, in its new shape if it `shows`."""
        found: dict[tuple[Box | None, str], Origin] = {}
        for value in node.inputs:
            for source in self.of(value):
                found.setdefault((source.box, source.address), source)
        moved = shows and node.op.view and node.op.moves
        self.sources[node.output] = tuple(
            Origin(s.box, node.output if moved else s.value, s.address) for s in found.values()
        )
