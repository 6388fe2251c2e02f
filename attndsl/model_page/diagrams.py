"""The diagrams of a page: of one model, with these or those layers open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from attndsl.drawing.levels import plain
from attndsl.drawing.output import drawn, scene_of
from attndsl.drawing.scene import Scene
from attndsl.drawing.style import PLAIN, Style
from attndsl.graph import Graph
from attndsl.model_page.contents import LinesNow
from attndsl.records import replace

View = dict[str, Any]
Opened = tuple[str, ...]

DEEPEST = 99  # levels of layers
MOST = 2500
"""Boxes of all diagrams that a page brings with it, about 5 MB: those of the outer layers, where there are more."""


class Diagrams:
    """Draws the model of a spec. A view is a diagram with what its script needs to know of its boxes; sets of open
    layers are named by their addresses, sorted (`key`)."""

    def __init__(self, graph: Graph, sizes: Mapping[str, int], style: Style = PLAIN) -> None:
        self.graph = graph
        self.sizes = sizes
        self.style = replace(style, without=style.without | {"title"})  # the page has one of its own
        self._scenes: dict[Opened, Scene] = {}
        self._drawn: dict[Opened, View] = {}

    def view(self, opened: Iterable[str], lines: LinesNow) -> View:
        """The diagram with these layers open (and those around them); names that are of no layer count for nothing.

        `svg` is its text; `boxes` and `frames` say by the titles of the groups in it which layer each is, its line, and
        whether it opens; `numbers` gives by the title of a box or an arrow what the shapes there are at the sizes of
        the page. Raises E0901, E0906.
        """
        key = self.known(opened)
        scene = self._scene(key)
        if key not in self._drawn:
            self._drawn[key] = {
                "open": key, "svg": drawn(scene, "svg").decode(), "numbers": self._numbers(key, scene),
            }  # fmt: skip
        return self._drawn[key] | {
            "boxes": {
                box.id: {"path": box.path, "line": lines.of(box), "lines": box.lines}
                for box in scene.boxes
                if box.kind != "fork"
            },
            "frames": {
                f"cluster {frame.id}": {
                    "path": frame.path, "line": lines.of_layer(frame.path), "closes": frame.kind == "layer",
                }
                for frame in scene.frames
                if frame.path
            },
        }  # fmt: skip

    def known(self, opened: Iterable[str]) -> Opened:
        """Those of the names that are layers' own, sorted."""
        return tuple(sorted({path for path in opened if path in self.graph.scopes}))

    def begin(self, depth: int | None = None, expand: Sequence[str] = ()) -> Opened:
        """What is open where the diagram is drawn to a `depth`, or with `expand` open."""
        return _open_in(scene_of(self.graph, depth=depth, expand=expand, style=self.style))

    def everything(self) -> Opened:
        """What is open where each layer that has layers in it is."""
        return self.begin(DEEPEST)

    def one_by_one(self) -> Iterator[Opened]:
        """Nothing open, and each layer by itself, with those around it: all that one click after the other leads to, as
        far as `MOST` of them go."""
        waiting: list[Opened] = [()]
        seen: set[Opened] = set()
        left = MOST
        while waiting and left > 0:
            opened = waiting.pop(0)
            if opened in seen:
                continue
            seen.add(opened)
            yield opened
            scene = self._scene(opened)
            left -= len(scene.boxes)
            inside = {path: None for box in scene.boxes if (path := box.path) and _lies_in(path, opened)}
            waiting += [tuple(sorted((*_around(opened, path), path))) for path in inside]

    def _scene(self, opened: Opened) -> Scene:
        if opened not in self._scenes:
            self._scenes[opened] = scene_of(self.graph, expand=opened, style=self.style)
        return self._scenes[opened]

    def _numbers(self, opened: Opened, scene: Scene) -> dict[str, dict[str, str]]:
        """What is said otherwise where the same scene is drawn at the page's sizes, by where it is said."""
        found: dict[str, dict[str, str]] = {}
        if not self.sizes:
            return found
        other = scene_of(self.graph, expand=opened, sizes=self.sizes, style=self.style)
        for box, sized in zip(scene.boxes, other.boxes, strict=True):
            for text, number in zip(box.lines, sized.lines, strict=True):
                if text != number:
                    found.setdefault(box.id, {})[text] = number
        for arrow, sized_arrow in zip(scene.arrows, other.arrows, strict=True):
            if arrow.label != sized_arrow.label and arrow.kind != "skip":  # which says nothing
                found.setdefault(f"{arrow.tail.id}->{arrow.head.id}", {})[arrow.label] = sized_arrow.label
        return found


def key(opened: Iterable[str]) -> str:
    """A set of open layers as one word, by which a page finds a view."""
    return " ".join(sorted(opened))


def _open_in(scene: Scene) -> Opened:
    return tuple(sorted({frame.path for frame in scene.frames if frame.kind == "layer"}))


def _around(opened: Opened, path: str) -> Opened:
    return tuple(outer for outer in opened if plain(path).startswith(f"{plain(outer)}."))


def _lies_in(path: str, opened: Opened) -> bool:
    """Whether a layer can be opened by itself next: nothing is open, or all that is lies around it."""
    return len(_around(opened, path)) == len(opened)
