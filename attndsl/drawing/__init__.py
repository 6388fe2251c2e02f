"""Diagrams of models as papers draw them."""

from attndsl.drawing.output import FORMATS, Drawing, draw, picture, render

__all__ = ["FORMATS", "Drawing", "draw", "picture", "render"]
