"""Memories that are written where they are.

A graph has no effects: `write` gives a memory with further values in it. Where the memory is a state of the model that
nothing else reads, the written file puts them into the tensor that it was given, and gives that back. A repeat whose
layers each write their own part of a state does so as well: the parts are views, and are not stacked again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from attndsl import ops
from attndsl.graph import Graph, Node, Region, Value, captured
from attndsl.ops.base import Op
from attndsl.records import replace
from attndsl.types import Axis, Type


class WriteInPlace(Op):
    """`write`, into the memory itself."""

    name = "torch.write"
    noun = "memory"
    operands = ("memory", "values", "index")
    over: Axis


class SlotIndex(Op):
    """The index of a `write`, with an element for each number that is written: as `scatter` takes it."""

    name = "torch.slot_index"
    noun = "index"
    operands = ("index",)


def slot_index(memory: Type, index: Type, over: Axis) -> Type:
    """The type of a `SlotIndex`: the memory's axes, with those that the index brings in place of `over`."""
    place = memory.axes.index(over)
    new = [axis for axis in index.axes if axis not in memory.axes or axis == over]
    return Type(index.dtype, (*memory.axes[:place], *new, *memory.axes[place + 1 :]))


def in_place(graph: Graph, body: Region) -> Region:
    """The body with memories written in place where that is the same."""
    states = {info.value for info in graph.inputs if info.name in graph.state_names and not info.optional}
    ends: dict[Value, Value] = {}
    nodes = [_changed(node, body, states, ends) for node in body.nodes] if states else body.nodes
    return Region(body.parameters, tuple(nodes), tuple(ends.get(value, value) for value in body.results))


def writes(node: Node) -> bool:
    """Whether a node changes a memory, so that it has to run whatever is asked for."""
    inside = (inner for region in node.regions for inner in region.walk())
    return any(isinstance(each.op, WriteInPlace) for each in (node, *inside))


def _changed(node: Node, body: Region, states: Collection[Value], ends: dict[Value, Value]) -> Node:
    """A node that writes in place; in `ends`, which states its results are that it gives no more."""
    if isinstance(node.op, ops.Write) and node.inputs[0] in states and _readers(body, node.inputs[0]) == [node]:
        return _written(node)
    if not isinstance(node.op, ops.Repeat):
        return node
    carried, found = node.op.carried, dict[int, Value]()
    for at, value in enumerate(node.outputs[carried:], carried):
        state = _state_of(node, at, states)
        only_here = _readers(body, state) == [node] and not _readers(body, value) if state is not None else False
        if state is not None and only_here and state not in found.values():
            found[at] = state
            ends[value] = state
    if not found:
        return node
    kept = [i for i in range(len(node.outputs)) if i not in found]
    regions = tuple(_writing(region, {region.results[i] for i in found}, kept) for region in node.regions)
    stacked = tuple(axis for i, axis in enumerate(node.op.stacked, carried) if i not in found)
    outputs = tuple(node.outputs[i] for i in kept)
    return replace(node, op=replace(node.op, stacked=stacked), outputs=outputs, regions=regions)


def _writing(region: Region, ends: Collection[Value], kept: Sequence[int]) -> Region:
    """A body that writes in place what it gave in `ends`, and gives only the results `kept`."""
    nodes = [_written(n) if not n.regions and n.output in ends else n for n in region.nodes]
    nodes = [n for n in nodes if not (isinstance(n.op, ops.Take) and n.output in ends)]
    return Region(region.parameters, tuple(nodes), tuple(region.results[i] for i in kept))


def _written(node: Node) -> Node:
    return replace(node, op=WriteInPlace(node.op.over)) if isinstance(node.op, ops.Write) else node


def _state_of(node: Node, at: int, states: Collection[Value]) -> Value | None:
    """The state of which each round of a repeat writes its own part, and gives it as its result number `at`."""
    assert isinstance(node.op, ops.Repeat)
    found = {_part(region, region.results[at], node.op.stacked[at - node.op.carried]) for region in node.regions}
    state = found.pop()
    same = not found and state in states and state is not None and state.type == node.outputs[at].type
    return state if same else None


def _part(region: Region, result: Value, loop: Axis) -> Value | None:
    """What `result` is a part of, that the body reads for nothing else than to write it."""
    makers = {value: node for node in region.nodes for value in node.outputs}
    made = makers.get(result)
    take = makers.get(made.inputs[0]) if made is not None and isinstance(made.op, ops.Write) else made
    if take is None or take.op != ops.Take(loop) or take.inputs[1] is not region.parameters[0]:
        return None
    writers = [] if made is take else [made]  # a body of another layer may leave it as it is
    alone = _readers(region, take.output) == writers and _readers(region, take.inputs[0]) == [take]
    return take.inputs[0] if alone else None


def _readers(region: Region, value: Value) -> list[Node]:
    """The nodes of a body that read a value, themselves or in their bodies, once for each time; a result is none."""
    readers = [node for node in region.nodes for given in node.inputs if given is value]
    return readers + [n for n in region.nodes if any(value in captured(inner) for inner in n.regions)]
