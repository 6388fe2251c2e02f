"""What kind of layer a box stands for, told from what the layer computes, and how each kind looks.

The palette is a lightened form of Okabe and Ito's (2008), which people with any common form of colour blindness can
tell apart; each kind has a border of its own as well, and a box's text names what it is.
"""

from __future__ import annotations

from collections.abc import Iterable

from attndsl.graph import Node, Value
from attndsl.records import dataclass


@dataclass(frozen=True, slots=True)
class Look:
    """How boxes of a kind are drawn. `word` is what the legend says."""

    word: str
    fill: str
    border: str = "#4a4a4a"
    style: str = "rounded,filled"
    shape: str = "box"
    thickness: float = 1.0
    rings: int = 1


LOOKS: dict[str, Look] = {
    "input": Look("input", "#ffffff", shape="ellipse", style="filled"),
    "output": Look("output", "#ffffff", shape="ellipse", style="filled", rings=2),
    "embedding": Look("embedding", "#f9d9c8", "#8f3f10", rings=2),
    "position": Look("position", "#f6dcea", "#7d3560", style="rounded,filled,dashed"),
    "attention": Look("attention", "#fbd68a", "#7a4b00", thickness=2.4),
    "norm": Look("normalisation", "#fbf5b8", "#7a7000"),
    "feed-forward": Look("feed-forward", "#c9e4f6", "#0b4f79", thickness=2.4),
    "linear": Look("linear", "#dfeefa", "#0b4f79"),
    "convolution": Look("convolution", "#cfeaf0", "#0b5c6b", rings=2),
    "recurrent": Look("recurrent", "#e3d9f2", "#4b2f7a", thickness=2.4),
    "activation": Look("activation", "#cdebdd", "#00593f"),
    "dropout": Look("dropout", "#ffffff", "#6b6b6b", style="rounded,filled,dashed"),
    "loss": Look("loss", "#e6e6e6", "#333333", rings=2),
    "block": Look("block", "#ececec", "#4a4a4a"),
    "operation": Look("operation", "#ffffff", "#4a4a4a", style="filled"),
}

CIRCLES = {"add": "+", "sub": "−", "mul": "×", "div": "÷"}  # two streams meeting

_NONLINEAR = {"tanh", "sigmoid", "erf", "exp", "maximum", "gelu", "silu", "softmax", "abs", "minimum", "max"}
_CHOICE = {"where", "gt", "ge", "lt", "le", "constant", "broadcast", "mul", "cast"}  # a ramp with a knee, such as relu
_MOVES = {"rename", "unflatten", "flatten", "transpose", "broadcast", "slice", "select", "cast", "concat", "mul"}


def kind_of_layer(nodes: Iterable[Node], children: Iterable[str] = ()) -> str:
    """The kind of a layer that consists of `nodes` (its inner layers' included). `children` are the kinds of the layers
    directly in it: one that has an attention layer among others is a block of its own."""
    inner = [kind for kind in children if kind not in ("dropout", "activation", "norm", "position", "block")]
    if "attention" in inner or ("recurrent" in inner and len(inner) > 1):
        return "block"
    nodes = list(nodes)
    names = {node.op.name for node in nodes}
    own = _parameters(nodes)
    products = [any(value in own for value in node.inputs) for node in nodes if node.op.name == "dot"]
    with_parameter = sum(products)
    if "attention" in names or ("softmax" in names and len(products) > with_parameter):
        return "attention"
    if "windows" in names and products:
        return "convolution"
    if "scan" in names or ({"sigmoid", "tanh"} <= names and with_parameter):
        return "recurrent"
    if names & {"log_softmax", "log_sum_exp"}:
        return "loss"
    if with_parameter:
        return "feed-forward" if with_parameter > 1 else "linear"
    if any(node.op.name == "take" and node.inputs[0] in own for node in nodes):
        return "embedding"
    if names & {"layer_norm", "rms_norm"} or (names & {"rsqrt", "sqrt"} and names & {"mean", "sum"}):
        return "norm"
    if "dropout" in names:
        return "dropout"
    if names & {"sin", "cos"}:
        return "position"
    if own:
        return "position" if names <= _MOVES | {"parameter", "add", "take", "constant", "range"} else "block"
    return "activation" if names & _NONLINEAR or {"where"} <= names <= _CHOICE else "block"


def _parameters(nodes: list[Node]) -> set[Value]:
    """The values among `nodes` that are parameters, or parameters moved or scaled."""
    found: set[Value] = set()
    for node in nodes:
        if node.op.name == "parameter" or (node.op.name in _MOVES and node.inputs and node.inputs[0] in found):
            found.update(node.outputs)
    return found
