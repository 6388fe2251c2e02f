"""Repeats and scans: a loop over an `nn.ModuleList` whose modules have a class of their own, or a loop in place."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from attndsl import ops
from attndsl.addresses import Indices
from attndsl.backends.pytorch.expressions import Expr, function
from attndsl.backends.pytorch.lines import Line
from attndsl.backends.pytorch.names import identifier
from attndsl.backends.pytorch.specialize import any_op
from attndsl.backends.pytorch.taps import tapped
from attndsl.graph import BOOL, INT, Node, Region, Type, Value, captured
from attndsl.ops.control import stacked_at
from attndsl.records import dataclass, field, replace

if TYPE_CHECKING:
    from attndsl.backends.pytorch.functions import Writer


@dataclass(eq=False)
class Loop:
    """A loop in place: what it counts, and the values that were there before it. What its rounds read one by one is
    taken apart in front of it, once: the gradient of `x[:, t]` is as long as x in every round, that of `x.unbind(1)`
    once for all of them."""

    before: frozenset[Value]
    indices: frozenset[Value]
    parts: dict[tuple[Value, int], str] = field(default_factory=dict)  # the tuple of a value's elements along an axis
    ahead: list[str] = field(default_factory=list)  # further statements that stand before it


def parts(writer: Writer, table: Value, place: int) -> str | None:
    """A tuple of the elements of `table` along its axis number `place`; None where no loop around is older."""
    root = writer.file.variables.root(table)
    loop = next((loop for loop in writer.loops if root in loop.before), None)
    if loop is None:
        return None
    if (root, place) not in loop.parts:
        loop.parts[root, place] = writer.fresh(f"{writer.wish(root, None)}_parts")
    return loop.parts[root, place]


def write_loop(writer: Writer, node: Node) -> None:
    """The statements of a node with bodies."""
    held = writer.held(node)
    if any(inner.op.draws for region in node.regions for inner in region.walk()):
        writer.settle_draws()
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
    starts = [writer.tensor(value) for value in node.starts]
    writer.release(node.inputs, times=2)
    for value, start in zip(node.outputs, starts, strict=False):
        _assign(writer, [(value, start)])
    for value in node.outputs[count:]:
        _assign(writer, [(value, _empty(writer, node, value))])


def _empty(writer: Writer, node: Node, value: Value) -> Expr:
    """What no round emitted. Where other steps have rounds, they decide how wide the floats are: under autocast, nobody
    knows before."""
    sizes = [writer.size(axis.size).text for axis in value.type.axes]
    shape = f"({sizes[0]},)" if len(sizes) == 1 else f"({', '.join(sizes)})"
    dtypes = {INT: "torch.int64", BOOL: "torch.bool"}
    dtype = dtypes.get(value.type.dtype) or writer.dtype(wide=value in writer.wide)
    if node.active and value.type.is_float and value not in writer.wide:
        dtype = function(writer.helper("narrowest"), dtype, writer.device()).text
    return function("torch.zeros", shape, f"dtype={dtype}", f"device={writer.device()}")


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


def _start(writer: Writer, node: Node) -> tuple[list[str], list[str], list[str]]:
    """The variables that are carried, with their first values, the lists that take what is emitted, and the variables
    that keep the floats among the first values of a repeat that may be inactive."""
    count = any_op(node).carried
    starts = [writer.tensor(value) for value in node.starts]
    writer.release(node.starts, times=2)
    for value in node.outputs:
        writer.left[value] += 1  # needed until the loop is over, whoever reads it then
    names = _assign(writer, list(zip(node.outputs[:count], starts, strict=True)), node.regions[0].parameters[1:])
    lists = []
    for value in node.outputs[count:]:
        name = writer.name_for(value, None, own=True)
        lists.append(name)
        writer.add(f"{name} = []")
    floats = [name for name, value in zip(names, node.starts, strict=True) if value.type.is_float]
    given = [writer.fresh(f"{name}_given") for name in floats if node.active]
    if given:
        writer.add(f"{', '.join(given)} = {', '.join(floats)}")
    return names, lists, given


@contextmanager
def _if_active(writer: Writer, node: Node) -> Iterator[None]:
    """What is written inside happens only where the repeat is active."""
    for value in node.active:
        writer.add(f"if {writer.read(value)}:", node)
        writer.indent += 1
    writer.release(node.active, times=2)
    yield
    writer.indent -= len(node.active)


@contextmanager
def _if_asked(writer: Writer, stack: Value) -> Iterator[None]:
    """What is written inside happens only where the outputs that need `stack` are asked for."""
    test = writer.asked.get(stack)
    if test is None:
        yield
    else:
        writer.add(f"if {test}:")
        with _indented(writer):
            yield


def _finish(writer: Writer, node: Node, lists: Sequence[str], given: Sequence[str], *, reverse: bool = False) -> None:
    count = any_op(node).carried
    for value, before in zip([value for value in node.outputs[:count] if value.type.is_float], given, strict=False):
        ended = str(writer.values[value])  # as wide as where no round runs, whatever autocast makes of it
        writer.add(f"{ended} = {_joined(writer, f'{ended}.to({before}.dtype)', given)}", node)
    for name, value in zip(lists, node.outputs[count:], strict=True):
        if reverse:
            writer.add(f"{name}.reverse()")
        at = stacked_at(Type(value.type.dtype, value.type.axes[1:]))
        axes = ", ".join(axis.name for axis in value.type.axes)
        stacked = f"torch.stack({name}{f', dim={at}' if at else ''})"
        if node.active or value.type.axes[at].size.known(writer.file.graph.sizes) is None:  # there may be none
            stacked += f" if {name} else {_empty(writer, node, value)}"
        if node.active and value.type.is_float:
            stacked = _joined(writer, stacked, given)
        with _if_asked(writer, value):
            writer.add(f"{name} = {stacked}", node, f"[{axes}]")
        writer.values[value] = Expr(name)
    for value in node.outputs:
        writer.left[value] -= 1
    writer.reserved -= {*given}


def _joined(writer: Writer, text: str, given: Sequence[str]) -> str:
    return function(writer.helper("joined"), text, *given).text


# ------------------------------------------------------------------------------------------------ modules with a class


def _by_round(node: Node) -> tuple[Node, list[tuple[Value, int]]]:
    """A repeat whose rounds each read their own element of what is there before it, and nothing else of that: the
    same with these elements as further parameters of its bodies, and what they are elements of, along which axis."""
    found: list[tuple[Value, int]] = []
    regions = node.regions
    for value in dict.fromkeys(value for region in node.regions for value in captured(region)):
        reads = [[inner for inner in region.walk() if value in inner.inputs] for region in node.regions]
        op = next((read[0].op for read in reads if read), None)
        if not isinstance(op, ops.Take) or any(value in region.results for region in node.regions):
            continue
        if any(
            len(read) > 1
            or any(r.op != op or r.inputs != (value, region.parameters[0]) or r not in region.nodes for r in read)
            for read, region in zip(reads, node.regions, strict=True)
        ):
            continue
        made = next(read[0].output.type for read in reads if read)
        found.append((value, value.type.axes.index(op.over)))
        regions = tuple(
            Region(
                (*region.parameters, read[0].output if read else Value(made)),
                tuple(inner for inner in region.nodes if inner not in read),
                region.results,
            )
            for region, read in zip(regions, reads, strict=True)
        )
    return (replace(node, regions=regions) if found else node), found


def _write_calls(writer: Writer, node: Node) -> None:
    path, plain = any_op(node).path, node
    node, elements = _by_round(node)
    outer = [v for v in writer.held(node)[: -len(node.inputs) or None] if v not in writer.file.hosts]
    block = writer.file.block(writer, node, path, outer)
    further = [writer.tensor(value).text for value in outer]
    further += [writer.parameter(address) for address in block.foreign]
    further += [writer.size(size).text for size in block.sizes]
    names, lists, given = _start(writer, plain)
    layers = writer.layer(path)
    item = writer.fresh(block.variable)
    index = [writer.fresh("i")] if block.indexed else []
    own = block.arguments[len(index) + len(names) :]
    parts = [writer.fresh(name) for name, _ in zip(own, elements, strict=False)]
    operands = (*index, *names, *parts, *further)
    call = function(item, *operands).text
    if writer.file.recompute and writer.file.recomputed.isdisjoint(n for r in plain.regions for n in r.walk()):
        writer.file.recomputed.add(plain)
        call = function("checkpoint", item, *operands, "use_reentrant=False").text
    each = {item: layers}
    if block.indexed:
        count = writer.size(any_op(node).count).text
        each = {index[0]: f"torch.arange({count}, device={writer.device()}).unbind()"} | each
    each |= {
        part: f"{writer.tensor(value).text}.unbind({at or ''})"
        for part, (value, at) in zip(parts, elements, strict=True)
    }
    together = next(iter(each.values())) if len(each) == 1 else f"zip({', '.join(each.values())})"
    with _if_active(writer, node):
        writer.add(f"for {', '.join(each)} in {together}:", node)
        with _indented(writer):
            emitted = [writer.fresh(f"{name}_{item}") for name in lists]
            targets = [*names, *emitted]
            writer.add(f"{', '.join(targets)} = {call}" if targets else call, node)
            for name, value, step in zip(lists, node.outputs[len(names) :], emitted, strict=True):
                with _if_asked(writer, value):
                    writer.add(f"{name}.append({step})")
    writer.reserved -= {item, *index, *parts}
    _finish(writer, node, lists, given)


# --------------------------------------------------------------------------------------------------- loops in place


LOOPS_IN_ONE = 15  # loops inside one another in one Python function, which may have 20


def _write_in_place(writer: Writer, node: Node) -> None:
    names, lists, given = _start(writer, node)
    bases, around, depth, start = writer.bases, writer.rounds, len(writer.loops), len(writer.lines)
    before = frozenset(writer.held(node)[: -len(node.inputs) or None])
    loop = Loop(before, frozenset(region.parameters[0] for region in node.regions))
    writer.loops.append(loop)
    if depth and depth % LOOPS_IN_ONE == 0:
        function = writer.fresh("rounds")
        carried = ", ".join(names)
        writer.add(f"def {function}({carried}):", node)
        with _indented(writer):
            with _if_active(writer, node):
                _write_rounds(writer, node, loop, names, lists)
            writer.add(f"return {carried}".rstrip())
        writer.add(f"{carried}{' = ' if carried else ''}{function}({carried})", node)
    else:
        with _if_active(writer, node):
            _write_rounds(writer, node, loop, names, lists)
    writer.loops.pop()
    pad = "    " * writer.indent
    ahead = [f"{name} = {writer.tensor(value)}.unbind({at})" for (value, at), name in loop.parts.items()]
    writer.lines[start:start] = [Line(pad + text, node) for text in (*loop.ahead, *ahead)]
    writer.bases, writer.rounds = bases, around
    for name, value in zip(names, node.outputs, strict=False):
        writer.holders[name] = value
    _finish(writer, node, lists, given, reverse=_reverse(node))


def _write_rounds(writer: Writer, node: Node, loop: Loop, names: Sequence[str], lists: Sequence[str]) -> None:
    """The `for` statement."""
    used = reads_index(node, writer.file.taps) or len(node.regions) > 1
    index = writer.fresh(_index_name(node)) if used else "_"
    if isinstance(node.op, ops.Repeat):
        writer.add(_repeat_head(writer, node, index), node)
    else:
        steps = f"range({writer.size(any_op(node).axis.size).text})"
        writer.add(f"for {index} in {f'reversed({steps})' if _reverse(node) else steps}:", node)
    with _indented(writer):
        if isinstance(node.op, ops.Scan) and tapped(node.regions[0], writer.file.taps):
            counts = writer.fresh("counts")
            loop.ahead.append(f"{counts} = {{name: len(values) for name, values in recorded.items()}}")
            writer.add(f"{writer.helper('restart')}({counts})")
        if len(node.regions) == 1:
            writer.rounds = {**writer.rounds, **_rounds(writer, node, 0)}
            _body(writer, node, node.regions[0], index, names, lists)
        else:
            _write_cases(writer, node, index, names, lists)


def _write_cases(writer: Writer, node: Node, index: str, names: Sequence[str], lists: Sequence[str]) -> None:
    """The bodies of a repeat whose rounds differ."""
    held, around = dict(writer.holders), writer.rounds
    cases = writer.file.case_table(node)
    for case, region in enumerate(node.regions):
        writer.holders = dict(held)
        writer.rounds = {**around, **_rounds(writer, node, case)}
        writer.add(f"{'if' if case == 0 else 'elif'} {cases}[{index}] == {case}:")
        with _indented(writer):
            _body(writer, node, region, index, names, lists)
    writer.holders = held


def _rounds(writer: Writer, node: Node, case: int) -> dict[str, Indices]:
    """The rounds that run a body, by the address of the repeat."""
    return {node.op.path: node.op.rounds(case, writer.file.graph.sizes)} if isinstance(node.op, ops.Repeat) else {}


def _reverse(node: Node) -> bool:
    return isinstance(node.op, ops.Scan) and node.op.reverse


@contextmanager
def _indented(writer: Writer) -> Iterator[None]:
    writer.indent += 1
    yield
    writer.indent -= 1


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
    writer.tap(region.parameters)
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


def _index_name(node: Node) -> str:
    names = [n.rpartition(".")[2] for region in node.regions for n in region.parameters[0].names]
    return identifier(names[0]) if names and isinstance(node.op, ops.Scan) else "i"


def reads_index(node: Node, taps: Container[Value]) -> bool:
    """Whether a body of a loop reads which round it is in, or that is asked for."""
    return any(
        region.parameters[0] in {v for inner in region.walk() for v in inner.inputs} | {*region.results}
        or region.parameters[0] in taps
        for region in node.regions
    )
