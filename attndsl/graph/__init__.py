"""The graph that everything after the checker reads."""

from attndsl.graph.core import (
    Bound,
    Graph,
    Initializer,
    InputInfo,
    Node,
    OutputInfo,
    ParameterInfo,
    Region,
    ScopeInfo,
    Value,
    captured,
)
from attndsl.types import BOOL, DTYPES, FLOAT, INT, Axis, Type, align

__all__ = [
    "BOOL",
    "DTYPES",
    "FLOAT",
    "INT",
    "Axis",
    "Bound",
    "Graph",
    "Initializer",
    "InputInfo",
    "Node",
    "OutputInfo",
    "ParameterInfo",
    "Region",
    "ScopeInfo",
    "Type",
    "Value",
    "align",
    "captured",
]
