"""Writes what is computed or not by what is known before: `if valid is None: valid = …` for an input that a call leaves
out, `if self.training: … else: …`; with everything inside that only this needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Union

from attndsl import ops
from attndsl.backends.pytorch.expressions import CHOICE, Expr
from attndsl.backends.pytorch.lines import Line
from attndsl.graph import Node, Region, Value, captured

if TYPE_CHECKING:
    from attndsl.backends.pytorch.functions import Writer

Owner = Union[Node, bool]
"""What alone needs a node: the default of a `given` node, or what is computed in training (True) or in use (False)."""


def owners(region: Region, root: Callable[[Value], Value], kept: Collection[Value]) -> dict[Node, Owner]:
    """The nodes of a body that are not needed always, each with what needs it. `root` is the value whose variable a
    value shares; what is in `kept` is needed whatever reads it."""
    readers: dict[Value, set[Owner | None]] = {root(value): {None} for value in (*region.results, *kept)}
    found: dict[Node, Owner] = {}
    for node in reversed(region.nodes):
        of_outputs = set().union(*(readers.get(root(value), set()) for value in node.outputs))
        owner = next(iter(of_outputs)) if len(of_outputs) == 1 else None
        if isinstance(node.op, ops.Given) or node.op.free:
            owner = None
        if owner is not None:
            found[node] = owner
        reads = (*node.inputs, *(value for inner in node.regions for value in captured(inner)))
        for at, value in enumerate(reads):
            reader = owner
            if isinstance(node.op, ops.Given):
                reader = node
            elif isinstance(node.op, ops.InTraining) and not isinstance(owner, Node):
                reader = at == 0
            readers.setdefault(root(value), set()).add(reader)
    return dict(reversed(found.items()))


def write_given(writer: Writer, node: Node, own: list[Node]) -> None:
    """The statement for a `given` node. The argument's name stands for the result from there on."""
    given, default = map(writer.file.variables.root, node.inputs)
    name = writer.read(given).text
    writer.settle([given])
    writer.cite(node)
    writer.add(f"if {name} is None:", node)
    writer.indent += 1
    writer.run(own, node)
    writer.assign(name, default, node)
    writer.indent -= 1
    writer.release([given])
    writer.values[node.output] = Expr(name)
    writer.holders[name] = node.output


def write_in_training(writer: Writer, own: Sequence[Node], chosen: Sequence[Node]) -> None:
    """The statement for several `in_training` nodes, none of which reads another's result. `own` are the nodes before
    them that are computed in training alone or in use alone."""
    held, blocks, texts = dict(writer.holders), dict[bool, list[Line]](), dict[bool, list[str]]()
    lines = writer.lines
    writer.cite(*chosen)
    for side in (True, False):
        writer.lines = blocks[side] = []
        writer.indent += 1
        writer.run([node for node in own if writer.owners[node] is side], side)
        texts[side] = [writer.take(node.inputs[0 if side else 1], CHOICE + 1) for node in chosen]
        writer.indent -= 1
        alive = {name: value for name, value in writer.holders.items() if writer.left[value] > 0}
        writer.holders = {**held, **alive}
    writer.lines = lines
    names = [writer.name_for(node.output, node) for node in chosen]
    for name, node in zip(names, chosen, strict=True):
        writer.values[node.output] = Expr(name)
    if not any(line.says_something for block in blocks.values() for line in block) and len(chosen) == 1:
        same = texts[True] == texts[False]
        text = texts[True][0] if same else f"{texts[True][0]} if self.training else {texts[False][0]}"
        writer.add(f"{names[0]} = {text}", chosen[0])
        return
    word = "if self.training:"
    for side in (True, False):
        begin, writer.lines = lines, blocks[side]
        writer.indent += 1
        _assign(writer, names, texts[side], chosen)
        writer.indent -= 1
        block, writer.lines = writer.lines, begin
        if any(line.says_something for line in block):
            writer.add(word if side or word == "else:" else "if not self.training:", chosen[0] if chosen else own[0])
            writer.lines += block
            word = "else:"


def _assign(writer: Writer, names: Sequence[str], texts: Sequence[str], nodes: Sequence[Node]) -> None:
    """The statements that give variables what the nodes are: in one, where a variable is in what a later one is
    given."""
    pairs = [(name, text, node) for name, text, node in zip(names, texts, nodes, strict=True) if name != text]
    used = {word for _, text, _ in pairs[1:] for word in re.findall(r"\w+", text)}
    if used.isdisjoint(name for name, _, _ in pairs[:-1]):
        for name, text, node in pairs:
            writer.add(f"{name} = {text}", node)
    else:
        writer.add(f"{', '.join(name for name, _, _ in pairs)} = {', '.join(text for _, text, _ in pairs)}", nodes[0])
