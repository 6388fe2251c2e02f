"""What a diagram consists of, before anything knows how it will be laid out."""

from __future__ import annotations

from collections import defaultdict

from attndsl.diagnostics import Span
from attndsl.drawing.style import PLAIN, Style
from attndsl.records import dataclass, field

BODIES = ("repeat", "scan", "case", "step")
"""Kinds of frames that are round bodies: what stands in them is there for several rounds, or for one of several."""


@dataclass(slots=True, eq=False)
class Box:
    """A thing with a place: a layer's call, an operation, an input, an output, or the point where an arrow forks.

    `kind` is a key of `attndsl.drawing.kinds.LOOKS`; `lines` is its text.
    """

    id: str
    kind: str
    lines: tuple[str, ...]
    frame: SceneFrame
    path: str = ""  # the layer's address, for ties to its parameters
    optional: bool = False
    spine: str = ""  # boxes of one spine stand exactly below each other
    address: str = ""  # of what it stands for: a layer, a state, an input; for what reads an SVG file
    at: Span | None = None  # where it was written, in the author's own file if known
    mark: str = ""  # in a drawing of two models: kept, gone, new or changed


@dataclass(slots=True, eq=False)
class SceneFrame:
    """A border round other things: a repeated body, a scope, or a layer that is drawn open. The outermost has no
    `parent` and no border. `path` is the address of what is in a repeated body, or of the layer that is
    open."""

    id: str
    kind: str
    title: str
    parent: SceneFrame | None = None
    path: str = ""

    def chain(self) -> tuple[SceneFrame, ...]:
        """The frames from the outermost to this one."""
        return (*self.parent.chain(), self) if self.parent is not None else (self,)


@dataclass(slots=True, eq=False)
class Arrow:
    """`kind`: `flow`; `skip` (goes round what another way leads through); `memory` (from outside into a repeated
    body); `mask` (a boolean); `tie` (parameters used again: no direction); `state` (back to a state, for the next step
    or call); `next` (to the next step of an unrolled scan) and `later` (over steps that are not drawn)."""

    tail: Box
    head: Box
    kind: str
    label: str = ""
    is_across: bool = False  # between stacks that stand side by side
    mark: str = ""
    is_carried: bool = False  # what a body is given before its first round, and in each round has made anew

    @property
    def enters(self) -> bool:
        """Whether it brings something into a repeated body that is the same in each round."""
        outside, chain = self.tail.frame.chain(), self.head.frame.chain()
        unrolled = [frame.parent for frame in chain if frame.kind == "step"]
        inside = [f for f in chain if f.kind in ("repeat", "scan") and f not in outside and f not in unrolled]
        return bool(inside) and self.head.kind not in ("fork", "state") and not self.is_carried


@dataclass(slots=True, eq=False)
class Scene:
    title: str
    subtitle: str
    description: str
    root: SceneFrame
    boxes: list[Box] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    ties: list[tuple[str, Box]] = field(default_factory=list)  # a parameter's address, and a box that uses it again
    heads: list[Box] = field(default_factory=list)  # the inputs of stacks that stand side by side, from left to right
    notes: list[str] = field(default_factory=list)
    style: Style = PLAIN

    def ends(self) -> tuple[dict[Box, list[Arrow]], dict[Box, list[Arrow]]]:
        """The arrows into each box, and those out of it."""
        into, out = defaultdict[Box, list[Arrow]](list), defaultdict[Box, list[Arrow]](list)
        for arrow in self.arrows:
            into[arrow.head].append(arrow)
            out[arrow.tail].append(arrow)
        return into, out

    @property
    def frames(self) -> list[SceneFrame]:
        """Every frame that something stands in, each after the frame around it."""
        found: dict[SceneFrame, None] = {}
        for box in self.boxes:
            for frame in box.frame.chain():
                found.setdefault(frame)
        return list(found)
