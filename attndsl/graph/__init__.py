"""The graph that everything after the checker reads: nodes that apply ops to typed values, in regions.

Given ops, values and what a model declares; gives a `Graph`, which is immutable and knows no backend, its text and the
way back from it (`text`, `reader`), and the rules that all who read a graph rely on (`verify`).
"""

from attndsl.graph.core import (
    Bound,
    Graph,
    InputInfo,
    Node,
    OutputInfo,
    ParameterInfo,
    Region,
    ScopeInfo,
    StateInfo,
    Value,
    captured,
)
from attndsl.graph.initial import Initializer
from attndsl.types import BOOL, DTYPES, FLOAT, FLOAT32, INT, Axis, Type, align

__all__ = [
    "BOOL",
    "DTYPES",
    "FLOAT",
    "FLOAT32",
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
    "StateInfo",
    "Type",
    "Value",
    "align",
    "captured",
]
