"""Repeats and scans: a loop over an `nn.ModuleList` whose modules have a class of their own, or a loop in place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from attndsl import ops
from attndsl.addresses import Indices
from attndsl.backends.pytorch.expressions import Expr, function
from attndsl.backends.pytorch.names import identifier
from attndsl.backends.pytorch.specialize import any_op
from attndsl.graph import FLOAT, INT, Node, Region, Type, Value
from attndsl.ops.control import stacked_at

if TYPE_CHECKING:
    from attndsl.backends.pytorch.functions import Writer


def write_loop(writer: Writer, node: Node) -> None:
    """The statements of a node with bodies."""
    held = writer.held(node)
    writer.settle(held)
    writer.cite(node)
    if isinstance(node.op, ops.Repeat) and node.op.count.value(writer.file.graph.sizes) == 0:
        _write_nothing(writer, node)
    elif isinstance(node.op, ops.Repeat) and writer.file.claim(writer, node):
        _write_calls(writer, node)
    else:
        _write_in_place(writer, node)
    writer.release(held[: len(held) - len(node.inputs)], times=2)


def _write_nothing(writer: Writer, node: Node) -> None:
    """No rounds: what is carried stays, and stacks are empty."""
    count = any_op(node).carried
    starts = [writer.tensor(value) for value in node.inputs]
    writer.release(node.inputs, times=2)
    for value, start in zip(node.outputs, starts, strict=False):
        _assign(writer, [(value, start)])
    for value in node.outputs[count:]:
        shape = ", ".join(writer.size(axis.size).text for axis in value.type.axes)
        dtype = {FLOAT: writer.dtype, INT: lambda: "torch.int64"}.get(value.type.dtype, lambda: "torch.bool")()
        _assign(writer, [(value, function("torch.zeros", shape, f"dtype={dtype}", f"device={writer.device()}"))])


def _assign(writer: Writer, pairs: Sequence[tuple[Value, Expr]], inside: Sequence[Value] = ()) -> list[str]:
    """Variables for values, given what they are; in one statement, since one may be in what another is given. `inside`
    are the values that they are in a body, whose names will do too."""
    also = [writer.file.variables.names(value) for value in inside] or [()] * len(pairs)
    names = [writer.name_for(value, None, other) for (value, _), other in zip(pairs, also, strict=True)]
    different = [(name, given.text) for name, (_, given) in zip(names, pairs, strict=True) if name != given.text]
    if different:
        writer.add(f"{', '.join(name for name, _ in different)} = {', '.join(text for _, text in different)}")
    for name, (value, _) in zip(names, pairs, strict=True):
        writer.values[value] = Expr(name)
    return names


def _start(writer: Writer, node: Node) -> tuple[list[str], list[str]]:
    """The variables that are carried, with their first values, and the lists that take what is emitted."""
    count = any_op(node).carried
    starts = [writer.tensor(value) for value in node.inputs]
    writer.release(node.inputs, times=2)
    for value in node.outputs:
        writer.left[value] += 1  # needed until the loop is over, whoever reads it then
    names = _assign(writer, list(zip(node.outputs[:count], starts, strict=True)), node.regions[0].parameters[1:])
    lists = []
    for value in node.outputs[count:]:
        name = writer.name_for(value, None, own=True)
        lists.append(name)
        writer.add(f"{name} = []")
    return names, lists


@contextmanager
def _if_asked(writer: Writer, stack: Value) -> Iterator[None]:
    """What is written inside happens only where the outputs that need `stack` are asked for."""
    test = writer.asked.get(stack)
    if test is not None:
        writer.add(f"if {test}:")
        writer.indent += 1
    yield
    if test is not None:
        writer.indent -= 1


def _finish(writer: Writer, node: Node, lists: Sequence[str], *, reverse: bool = False) -> None:
    count = any_op(node).carried
    for name, value in zip(lists, node.outputs[count:], strict=True):
        if reverse:
            writer.add(f"{name}.reverse()")
        at = stacked_at(Type(value.type.dtype, value.type.axes[1:]))
        axes = ", ".join(axis.name for axis in value.type.axes)
        with _if_asked(writer, value):
            writer.add(f"{name} = torch.stack({name}{f', dim={at}' if at else ''})", node, f"[{axes}]")
        writer.values[value] = Expr(name)
    for value in node.outputs:
        writer.left[value] -= 1


# ------------------------------------------------------------------------------------------------ modules with a class


def _write_calls(writer: Writer, node: Node) -> None:
    path = any_op(node).path
    outer = [v for v in writer.held(node)[: -len(node.inputs) or None] if v not in writer.file.hosts]
    block = writer.file.block(writer, node, path, outer)
    further = [writer.tensor(value).text for value in outer]
    further += [writer.parameter(address) for address in block.foreign]
    further += [writer.size(size).text for size in block.sizes]
    names, lists = _start(writer, node)
    layers = writer.layer(path)
    item = writer.fresh(block.variable)
    index = [writer.fresh("i")] if block.indexed else []
    call = function(item, *index, *names, *further).text
    if block.indexed:
        count = writer.size(any_op(node).count).text
        places = f"torch.arange({count}, device={writer.device()}).unbind()"
        writer.add(f"for {index[0]}, {item} in zip({places}, {layers}):", node)
    else:
        writer.add(f"for {item} in {layers}:", node)
    writer.indent += 1
    emitted = [writer.fresh(f"{name}_{item}") for name in lists]
    targets = [*names, *emitted]
    writer.add(f"{', '.join(targets)} = {call}" if targets else call, node)
    for name, value, step in zip(lists, node.outputs[len(names) :], emitted, strict=True):
        with _if_asked(writer, value):
            writer.add(f"{name}.append({step})")
    writer.indent -= 1
    writer.reserved -= {item, *index}
    _finish(writer, node, lists)


# --------------------------------------------------------------------------------------------------- loops in place


def _write_in_place(writer: Writer, node: Node) -> None:
    op = any_op(node)
    names, lists = _start(writer, node)
    used = any(region.parameters[0] in _read(region) for region in node.regions)
    index = writer.fresh(_index_name(node, writer)) if used or _cases(node) else "_"
    reverse = isinstance(op, ops.Scan) and op.reverse
    inner = dict(writer.bases)
    if isinstance(op, ops.Repeat):
        writer.add(_repeat_head(writer, node, index), node)
    else:
        steps = f"range({writer.size(op.axis.size).text})"
        writer.add(f"for {index} in {f'reversed({steps})' if reverse else steps}:", node)
    outermost_scan = isinstance(op, ops.Scan) and not writer.in_scan
    writer.in_scan = writer.in_scan or isinstance(op, ops.Scan)
    writer.indent += 1
    around = writer.rounds
    if len(node.regions) == 1:
        writer.rounds = {**around, **_rounds(writer, node, 0)}
        _body(writer, node, node.regions[0], index, names, lists)
    else:
        held = dict(writer.holders)
        for case, region in enumerate(node.regions):
            writer.holders = dict(held)
            writer.rounds = {**around, **_rounds(writer, node, case)}
            cases = writer.file.case_table(node)
            writer.add(f"{'if' if case == 0 else 'elif'} {cases}[{index}] == {case}:")
            writer.indent += 1
            _body(writer, node, region, index, names, lists)
            writer.indent -= 1
        writer.holders = held
    writer.indent -= 1
    writer.bases, writer.rounds = inner, around
    if outermost_scan:
        writer.in_scan = False
        for line in writer.after_loop:
            writer.add(line)
        writer.after_loop.clear()
    for name, value in zip(names, node.outputs, strict=False):
        writer.holders[name] = value
    _finish(writer, node, lists, reverse=reverse)


def _rounds(writer: Writer, node: Node, case: int) -> dict[str, Indices]:
    """The rounds that run a body, by the address of the repeat."""
    return {node.op.path: node.op.rounds(case, writer.file.graph.sizes)} if isinstance(node.op, ops.Repeat) else {}


def _cases(node: Node) -> bool:
    return isinstance(node.op, ops.Repeat) and len(node.regions) > 1


def _repeat_head(writer: Writer, node: Node, index: str) -> str:
    path = any_op(node).path
    if not writer.file.has_parameters(path, writer):
        return f"for {index} in range({writer.size(any_op(node).count).text}):"
    layers = writer.layer(path)
    item = writer.fresh(identifier(any_op(node).path.rpartition(".")[2]))
    writer.bases = {**writer.bases, f"{path}.*.": item}
    return f"for {item} in {layers}:" if index == "_" else f"for {index}, {item} in enumerate({layers}):"


def _body(writer: Writer, node: Node, region: Region, index: str, names: Sequence[str], lists: Sequence[str]) -> None:
    """One round: the carried variables hold the round's values before and after."""
    writer.values[region.parameters[0]] = Expr(index, host=True)
    writer.count(region)
    for name, value in zip(names, region.parameters[1:], strict=True):
        writer.values[value] = Expr(name)
        writer.holders[name] = value
    writer.run(region.nodes)
    writer.settle(region.results)
    carried = any_op(node).carried
    ends = [writer.tensor(value).text for value in region.results[:carried]]
    for name, stack, value in zip(lists, node.outputs[carried:], region.results[carried:], strict=True):
        with _if_asked(writer, stack):
            writer.add(f"{name}.append({writer.tensor(value)})")
    moved = [(name, text) for name, text in zip(names, ends, strict=True) if name != text]
    if moved:
        writer.add(f"{', '.join(name for name, _ in moved)} = {', '.join(text for _, text in moved)}", node)
    writer.release(region.results)
    if not region.nodes and not moved and not lists:
        writer.add("pass")


def _index_name(node: Node, writer: Writer) -> str:
    names = [n.rpartition(".")[2] for region in node.regions for n in region.parameters[0].names]
    return identifier(names[0]) if names and isinstance(node.op, ops.Scan) else "i"


def _read(region: Region) -> set[Value]:
    return {v for node in region.walk() for v in node.inputs} | set(region.results)
