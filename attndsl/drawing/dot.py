"""A scene in the DOT language. Attributes come out sorted and names are addresses, so equal scenes give equal bytes."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

from attndsl.drawing.kinds import LOOKS, is_circle
from attndsl.drawing.scene import Arrow, Box, Scene, SceneFrame
from attndsl.drawing.style import PAD

if TYPE_CHECKING:
    from graphviz import Digraph

FONT = "Helvetica"  # whose letters every Graphviz knows the widths of
INK, GREY = "#1a1a1a", "#4a4a4a"
LEGEND_COLUMNS = 4
LABEL_SIZE = 12

MARKS: dict[str, dict[str, str]] = {
    "kept": {"fillcolor": "#f7f7f7", "color": "#b8b8b8", "fontcolor": "#6b6b6b", "penwidth": "1"},
    "gone": {"fillcolor": "#ffffff", "color": "#a01818", "fontcolor": "#a01818", "penwidth": "1.4", "class": "gone"},
    "new": {"color": "#0b5d1e", "penwidth": "4"},
    "changed": {"color": "#0b4f79", "penwidth": "4"},
}
"""What became of a box or an arrow in a drawing of two models; SVG strikes out the text of what is gone."""

ARROWS: dict[str, dict[str, str]] = {
    "flow": {"weight": "20"},
    "skip": {"weight": "1"},  # with none, its curve bends inwards between the boxes that it goes round
    "memory": {"weight": "3", "color": "#0b4f79", "penwidth": "2"},
    "mask": {"weight": "1", "style": "dotted", "penwidth": "1.6"},
    "state": {"constraint": "false", "style": "dashed"},
    "next": {"constraint": "false"},
    "later": {"constraint": "false", "style": "dotted", "penwidth": "1.6"},
    "tie": {"weight": "1", "style": "dashed", "dir": "none", "color": "#8f3f10", "fontcolor": "#8f3f10"},
}


def to_dot(scene: Scene) -> Digraph:
    """The scene as a graph of the `graphviz` package; `.source` is its text."""
    import graphviz

    looked = _Looked(scene)
    style = scene.style
    dot = graphviz.Digraph(
        scene.title,
        graph_attr={
            "fontname": FONT, "fontsize": "22", "fontcolor": INK, "labelloc": "t", "nodesep": "0.4",
            "label": scene.title if style.shows("title") else "", "pad": f"{PAD / 72:g}",
            "ranksep": "0.34" if looked.has_labels else "0.5", "rankdir": "LR" if style.is_sideways else "TB",
            "splines": "spline", "bgcolor": "white", "outputorder": "edgesfirst",
        },
        node_attr={
            "fontname": FONT, "fontsize": "14", "fontcolor": INK, "margin": "0.16,0.08", "height": "0.5",
            "width": "1.2" if style.is_sideways else "1.9",
        },
        edge_attr={
            "fontname": FONT, "fontsize": str(LABEL_SIZE), "fontcolor": GREY, "color": GREY, "arrowsize": "0.75",
        },
    )  # fmt: skip
    with dot.subgraph(name="cluster page") as page:
        subtitle = scene.subtitle if style.shows("title") else ""
        page.attr(label=subtitle, fontsize="13", fontcolor=GREY, penwidth="0", labelloc="t", margin="12")
        _frame(page, looked, scene.root)
        if style.shows("legend"):
            _legend(page, scene)
    return dot


class _Looked:
    """A scene, and what its text asks of it again and again. Main ways come first in `arrows`: what comes first stands
    further to the left."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.into, self.out = scene.ends()
        self.on_spine = Counter(box.spine for box in scene.boxes)
        self.reads_sequence = any(a.kind == "memory" and not a.is_across and a.label for a in scene.arrows)
        self.inside: dict[SceneFrame, dict[Box | SceneFrame, None]] = {}  # what is directly in each frame, in order
        for box in scene.boxes:
            for outer, inner in pairwise(box.frame.chain()):
                self.inside.setdefault(outer, {})[inner] = None
            self.inside.setdefault(box.frame, {})[box] = None
        ranks = {kind: rank for rank, kind in enumerate(ARROWS)}
        self.arrows: dict[SceneFrame, list[Arrow]] = {}  # by the innermost frame round both ends
        for arrow in sorted(scene.arrows, key=lambda arrow: ranks[arrow.kind]):
            tail, head = arrow.tail.frame.chain(), arrow.head.frame.chain()
            shared = sum(one is other for one, other in zip(tail, head, strict=False))
            self.arrows.setdefault(tail[shared - 1], []).append(arrow)
        self.attributes = {arrow: _marked_arrow(_arrow(arrow, self), arrow.mark) for arrow in scene.arrows}

    @property
    def has_labels(self) -> bool:
        """Whether labels take part in the layout, which then has more room between its rows."""
        return any("label" in attributes for attributes in self.attributes.values())


# ---------------------------------------------------------------- boxes and frames


def _frame(dot: Digraph, looked: _Looked, frame: SceneFrame) -> None:
    """The boxes and frames directly inside `frame`, in the order of the graph."""
    for inner in looked.inside.get(frame, ()):
        if isinstance(inner, Box):
            dot.node(inner.id, **_marked(_box(inner), inner.mark), **({"group": inner.spine} if inner.spine else {}))
            continue
        with dot.subgraph(name=f"cluster {inner.id}") as sub:
            sub.attr(**_border(inner))
            _frame(sub, looked, inner)
    heads = looked.scene.heads
    if frame is looked.scene.root and len(heads) > 1:
        with dot.subgraph(graph_attr={"rank": "same"}) as row:
            for left, right in pairwise(heads):
                row.edge(left.id, right.id, style="invis")
    for arrow in looked.arrows.get(frame, ()):
        dot.edge(arrow.tail.id, arrow.head.id, **looked.attributes[arrow])


def _border(frame: SceneFrame) -> dict[str, str]:
    """How a frame is drawn. The title of one that is repeated stands in its upper right corner."""
    shared = {
        "label": frame.title, "fontname": FONT, "fontcolor": INK, "margin": "16", "labeljust": "r", "labelloc": "t",
        "penwidth": "1",
    }  # fmt: skip
    if frame.kind in ("repeat", "scan", "again"):
        return shared | {"fontsize": "19", "style": "rounded,filled", "fillcolor": "#f4f4f4", "color": "#6b6b6b"}
    if frame.kind in ("case", "step"):
        return shared | {"fontsize": "13", "style": "rounded,dashed", "color": "#8a8a8a"}
    if frame.kind == "layer":
        return shared | {"fontsize": "14", "style": "rounded,filled", "fillcolor": "#fffdf5", "color": "#7a4b00"}
    return shared | {"fontsize": "17", "style": "rounded", "color": "#a0a0a0", "labeljust": "l"}


def _box(box: Box) -> dict[str, str]:
    if box.kind == "fork":
        return {"label": "", "shape": "point", "width": "0.06", "height": "0.06", "color": GREY}
    if is_circle(box.kind):
        return {
            "label": box.lines[0], "shape": "circle", "style": "filled", "fillcolor": "#ffffff", "color": INK,
            "width": "0.34", "height": "0.34", "fixedsize": "true", "fontsize": "20", "margin": "0",
        }  # fmt: skip
    attributes = _look(box.kind)
    attributes["label"] = "\n".join(box.lines)
    if box.optional:
        attributes["style"] += ",dashed"
    return attributes


def _marked(attributes: dict[str, str], mark: str) -> dict[str, str]:
    found = attributes | MARKS.get(mark, {})
    if mark == "gone" and "style" in found:
        found["style"] += ",dashed"
    return found


def _look(kind: str) -> dict[str, str]:
    look = LOOKS[kind]
    attributes = {
        "shape": look.shape, "style": look.style, "fillcolor": look.fill, "color": look.border,
        "penwidth": f"{look.thickness:g}", "peripheries": str(look.rings),
    }  # fmt: skip
    if kind == "operation":
        attributes |= {"width": "0.9", "height": "0.36", "fontsize": "13"}
    return attributes


# ---------------------------------------------------------------- arrows


def _arrow(arrow: Arrow, looked: _Looked) -> dict[str, str]:
    attributes = dict(ARROWS[arrow.kind])
    if arrow.kind == "flow" and (not arrow.tail.spine or arrow.tail.spine != arrow.head.spine):
        attributes["weight"] = "6" if arrow.tail.spine else "3"  # stay close to where the way forks off
    if arrow.head.kind == "fork" and arrow.kind in ("flow", "memory"):
        attributes["dir"] = "none"
    if arrow.kind == "tie" and arrow.tail.path == arrow.head.path:
        attributes["constraint"] = "false"  # calls of one layer: neither comes first
    if arrow.is_across:
        attributes["constraint"] = "false"  # the stacks stand side by side
    if arrow.kind == "skip" and not looked.scene.style.is_sideways:  # where Graphviz does not get along with ports
        attributes |= {"headport": "ne", "tailport": "e" if arrow.tail.kind == "fork" else "se"}
    if not arrow.label or arrow.tail.kind == "input" or arrow.kind == "skip":
        return attributes
    if arrow.kind == "flow" and not _is_news(arrow, looked):
        return attributes
    if arrow.tail.kind == "fork":
        return attributes  # said on the way to the fork
    if arrow.is_across:
        return attributes | {"taillabel": arrow.label, "labelangle": "5", "labeldistance": "13"}
    if attributes.get("weight") == ARROWS["flow"]["weight"] and _is_alone(arrow, looked):
        leaves = len(arrow.tail.frame.chain()) > len(arrow.head.frame.chain())
        return attributes | _beside(arrow.label, "head" if leaves else "tail")
    return attributes | {"label": f"  {arrow.label} "}


def _marked_arrow(attributes: dict[str, str], mark: str) -> dict[str, str]:
    match mark:
        case "new" | "changed":
            return attributes | {"color": MARKS["new"]["color"], "penwidth": "3"}
        case "gone":
            return attributes | {"color": MARKS["gone"]["color"], "style": "dashed", "weight": "0"}
        case "kept":
            return attributes | {"color": "#a8a8a8", "fontcolor": "#6b6b6b"}
    return attributes


def _is_alone(arrow: Arrow, looked: _Looked) -> bool:
    """Whether no other arrow but a skip leaves its tail or enters its head, and the frame is wide enough, so that there
    is room beside it."""
    if arrow.tail.frame is arrow.head.frame and arrow.tail.frame.kind == "layer" and len(arrow.label) > 13:
        return False
    if looked.on_spine[arrow.tail.spine] < 5:
        return False  # a short spine may have others close by
    if arrow.tail.frame is not arrow.head.frame and not looked.scene.heads:
        return False  # a border is near; without other stacks, nothing bends an arrow for its label
    if looked.reads_sequence:
        return False  # what is read from a sequence bends the spines
    near = (*looked.out[arrow.tail], *looked.into[arrow.head])
    return not any(other is not arrow and other.kind in ("flow", "memory") for other in near)


def _beside(text: str, end: str) -> dict[str, str]:
    """Text to the right of a straight downward arrow, near one of its ends. (An ordinary label takes part in the
    layout, and bends the arrow where something else is near.)"""
    across, along = 0.25 * LABEL_SIZE * len(text) + 7, 11
    turn = math.degrees(math.atan2(across, along))  # from the arrow's line, seen from that end, anticlockwise
    return {
        f"{end}label": text,
        "labelangle": f"{turn if end == 'tail' else -turn:.1f}",
        "labeldistance": f"{math.hypot(across, along) / 10:.2f}",
    }


def _is_news(arrow: Arrow, looked: _Looked) -> bool:
    """Whether the shape on an arrow has to be said: not where it left the box as it came in, within one frame."""
    if arrow.tail.kind == "input" or arrow.head.kind == "output":
        return False  # said there
    if arrow.tail.kind == "fork":
        return False
    if arrow.tail.frame is not arrow.head.frame:
        return True
    return {before.label for before in looked.into[arrow.tail] if before.kind == "flow"} != {arrow.label}


# ---------------------------------------------------------------- legend


def _legend(dot: Digraph, scene: Scene) -> None:
    """What the colours, borders and lines mean, below everything else."""
    kinds = [k for k in LOOKS if k not in ("input", "output") and any(box.kind == k for box in scene.boxes)]
    lines = list(scene.notes)
    if any(a.kind == "tie" for a in scene.arrows):
        lines.insert(0, "dashed line: the same parameters")
    if any(a.kind == "mask" for a in scene.arrows):
        lines.insert(0, "dotted arrow: mask")
    if any(a.kind == "memory" for a in scene.arrows):
        lines.insert(0, "thick arrow: read by every repetition")
    if any(frame.kind == "step" for frame in scene.frames):
        lines.insert(0, "all steps use the same parameters")
    if any(a.kind == "later" for a in scene.arrows):
        lines.insert(0, "dotted: over steps that are not drawn")
    if not kinds and not lines:
        return
    heads = {a.tail for a in scene.arrows if a.kind != "tie"}
    lowest = [box for box in scene.boxes if box not in heads]
    small = {"fontsize": "12", "width": "1.3", "height": "0.32", "margin": "0.08,0.04"}
    dot.node("legend", "", shape="point", style="invis", width="0.01", height="0.01")
    columns = 2 if scene.style.is_narrow else LEGEND_COLUMNS
    text = "\n".join(textwrap.wrap(" · ".join(lines), 22 * columns))
    with dot.subgraph(name="cluster legend") as legend:
        legend.attr(
            label=text, fontsize="12", fontcolor=GREY, color="#c8c8c8", penwidth="1", style="rounded", labelloc="b",
            margin="10",
        )  # fmt: skip
        columns = min(len(kinds), -(-len(kinds) // columns) if scene.style.is_sideways else columns)
        above = ["legend"] * columns
        for at in range(0, len(kinds), columns or 1):
            for column in range(columns):
                kind = kinds[at + column] if at + column < len(kinds) else ""
                name = f"legend {kind or at + column}"
                if kind:
                    legend.node(name, LOOKS[kind].word, group=f"legend {column}", **(_look(kind) | small))
                else:  # an empty place keeps the columns straight
                    legend.node(name, "", group=f"legend {column}", style="invis", shape="box", **small)
                dot.edge(above[column], name, style="invis")
                above[column] = name
        with legend.subgraph(graph_attr={"rank": "same"}) as row:  # from left to right
            for left, right in pairwise(kinds[:columns]):
                row.edge(f"legend {left}", f"legend {right}", style="invis")
    for box in lowest if not scene.style.is_sideways else ():  # there it stands beside the diagram, and takes no width
        dot.edge(box.id, "legend", style="invis")
