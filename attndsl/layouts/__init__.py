"""How a model is laid out over devices: which of its axes lie on which dimension of a mesh. Given a graph and a layout,
this room gives the graph of one device, where each value lies, and what the devices send each other."""

from attndsl.layouts.core import AxisPattern, Layout, Mesh, PlacementRule
from attndsl.layouts.declared import choose_layout, choose_mesh, default_layout, read_layout

__all__ = [
    "AxisPattern",
    "Layout",
    "Mesh",
    "PlacementRule",
    "choose_layout",
    "choose_mesh",
    "default_layout",
    "read_layout",
]
