"""Activations that follow a linear layer, as a part of it: where nothing asks for a gradient, oneDNN computes them
while it writes the product."""

from __future__ import annotations

from collections.abc import Set

from attndsl import ops
from attndsl.backends.pytorch.rules import only_use
from attndsl.backends.pytorch.special import LayerCall, Linear, Relu
from attndsl.graph import Node, Value
from attndsl.ops.base import Op
from attndsl.passes.algebra import Algebra
from attndsl.passes.rules import Found, Put, Rule, simple
from attndsl.records import replace


def activation(op: Op) -> str:
    """What the written files call an activation (`ACTIVATIONS` in `helpers.py`); empty for what is none of them."""
    match op:
        case ops.Gelu(approximate=approximate):
            return "gelu_tanh" if approximate else "gelu"
        case ops.Silu():
            return "silu"
        case Relu():
            return "relu"
    return ""


def epilogues(wide: Set[Value]) -> tuple[Rule, ...]:
    """The rule that joins both. What is in `wide` is computed in float32 at least, and a layer computes in its own
    precision."""

    def joined(algebra: Algebra, node: Node) -> Found:
        made = only_use(algebra, node.inputs[0], Linear, LayerCall)
        if made is None or not wide.isdisjoint((*made.outputs, *node.inputs, *node.outputs)):
            return None
        match made.op:
            case Linear(act="") | LayerCall(kind="Linear", act=""):
                return Put(replace(made.op, act=activation(node.op)), made.inputs, inferred=False, scope=made.scope)
        return None

    return (simple("activation", (ops.Gelu, ops.Silu, Relu), joined),)
