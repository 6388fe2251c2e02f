"""An operation on parts of its operands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attndsl.graph import Node, Value
from attndsl.graph.builder import Builder
from attndsl.layouts.channels import Channel
from attndsl.layouts.emitting import DeviceEmitter
from attndsl.layouts.lowering import LocalNode, lowered
from attndsl.layouts.placements import Owned, Placement
from attndsl.ops import Op
from attndsl.records import fields
from attndsl.types import Axis


def on_parts(
    node: Node,
    inputs: tuple[Value, ...],
    chosen: Sequence[Channel],
    placement: Placement,
    emitter: DeviceEmitter,
    *,
    differentiated: bool,
) -> Value:
    """The part of a node's result that lies as `placement` says, given parts of its operands; `chosen` has for each
    dimension how it is computed."""
    own = tuple([(number, channel.own) for number, channel in enumerate(chosen) if channel.own is not None])
    op = localized(node.op, _parts(node, chosen, placement))
    owned = any(isinstance(channel.result, Owned) for channel in chosen)
    local = lowered(LocalNode(emitter, node, op, inputs, own, differentiated, owned))
    return emitter.laid_out(local, placement.local(node.output.type))


def called(local: Value, value: Value) -> Value:
    """The local value, under the names of the whole one unless it is another's too."""
    return Builder.rename(local, value.names) if value.names and not local.names else local


def _parts(node: Node, chosen: Sequence[Channel], placement: Placement) -> dict[Axis, Axis]:
    """The axes of a node's operands and result that are divided, with the device's part. What an attribute says of an
    axis it says of the first operand's, if that has it."""
    found = placement.parts
    for i in reversed(range(len(node.inputs))):
        own = Placement(placement.mesh, tuple(channel.operands[i] for channel in chosen)).parts
        found |= own
        if i == 0:
            for axis in node.inputs[0].type.axes:
                if axis not in own:
                    found.pop(axis, None) if axis in node.op.goes_over else None
    return found


def localized(op: Op, parts: Mapping[Axis, Axis]) -> Op:
    """The op with parts in the place of axes."""
    if not parts:
        return op
    changes = {f.name: _with_parts(getattr(op, f.name), parts) for f in fields(op)}
    return type(op)(**changes) if changes else op


def _with_parts(attribute: object, parts: Mapping[Axis, Axis]) -> object:
    if isinstance(attribute, Axis):
        return parts.get(attribute, attribute)
    if isinstance(attribute, tuple):
        return tuple([_with_parts(each, parts) for each in attribute])
    return attribute
