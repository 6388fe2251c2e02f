"""Diagrams of models as papers draw them."""

from attndsl.drawing.output import FORMATS, draw, render

__all__ = ["FORMATS", "draw", "render"]
