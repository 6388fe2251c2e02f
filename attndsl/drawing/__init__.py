"""Diagrams of models as papers draw them.

Given a graph, and how deep to look into its layers; gives a `Scene` of boxes, frames and arrows, and from that the text
of a DOT file, which Graphviz makes an SVG, PDF or PNG file of.
"""

from typing import TYPE_CHECKING

from attndsl.lazy import lazily

if TYPE_CHECKING:
    from attndsl.drawing.output import FORMATS, Drawing, draw, picture, render
    from attndsl.drawing.style import Style

__all__ = ["FORMATS", "Drawing", "Style", "draw", "picture", "render"]

__getattr__, __dir__ = lazily(__name__)
