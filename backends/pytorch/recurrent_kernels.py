"""Torch's kernels for recurrent layers in the place of the scans that `recurrence.py` recognises."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from attndsl import ops
from attndsl.backends.pytorch.expressions import Expr, function
from attndsl.backends.pytorch.recurrence import GatePart, RecurrentPlan, plan
from attndsl.backends.pytorch.site import Site
from attndsl.graph import FLOAT, Axis, Node, Region, Type, Value
from attndsl.graph.builder import Builder
from attndsl.ops.base import Op
from attndsl.passes.base import Miss, Refusal
from attndsl.records import replace
from attndsl.sizes import Size


class RecurrentKernel(Op):
    """A layer of one of torch's `kind`s, batch first: (x, h[, c], weight of x, weight of h[, bias of x, bias of h]) to
    the states of all steps, and the last ones; `KernelOutput` takes one of these. If `masked`, x is followed by a mask,
    and the last c is not given."""

    name = "torch.recurrent"
    operands = ("values*",)
    kind: str
    masked: bool


class KernelOutput(Op):
    """One of the values that a kernel gives."""

    name = "torch.part"
    operands = ("values",)
    place: int


def turned_parameters(body: Region) -> frozenset[str]:
    """The addresses of the matrices that kernels read transposed."""
    makers = {value: node for node in body.walk() for value in node.outputs}

    def made(reader: Node, kind: type[Op]) -> Iterator[Node]:
        makes = (makers.get(value) for value in reader.inputs)
        return (node for node in makes if node is not None and isinstance(node.op, kind))

    kernels = [node for node in body.walk() if isinstance(node.op, RecurrentKernel)]
    moved = [node for kernel in kernels for node in made(kernel, ops.Transpose)]
    read = [node.op for each in moved for node in made(each, ops.Parameter)]
    return frozenset(op.address for op in read if isinstance(op, ops.Parameter))


def lower_kernel(site: Site) -> Expr:
    kernel, texts = site.function.helper(site.op.kind), [argument.text for argument in site.arguments]
    return function(site.function.helper("padded"), kernel, *texts) if site.op.masked else function(kernel, *texts)


def lower_output(site: Site) -> Expr:
    return Expr(f"{site.arguments[0].text}[{site.op.place}]")


def with_kernels(body: Region, taps: Collection[Value] = ()) -> Region:
    """The same, with kernels for the scans that torch has one for, unless a value inside is asked for."""
    return _with_kernels(body, taps, _read(body))


def _read(body: Region) -> set[Value]:
    """What somebody reads in a body, or in those in it."""
    nodes = list(body.walk())
    regions = (body, *(region for node in nodes for region in node.regions))
    return {value for node in nodes for value in node.inputs} | {
        value for region in regions for value in region.results
    }


def _plan(node: Node, read: Collection[Value]) -> RecurrentPlan | None:
    """What stands for a scan, where what is read of it is what a kernel gives. Raises `Refusal`."""
    found = plan(node)
    cells = [value for i, value in enumerate(node.outputs[: len(node.inputs)]) if found is not None and i != found.h]
    if found is not None and found.mask is not None and any(value in read for value in cells):
        raise Refusal("steps are left out where a mask is false, and the last cell is read", node, 3)
    return found


def _with_kernels(body: Region, taps: Collection[Value], read: Collection[Value]) -> Region:
    nodes: list[Node] = []
    for node in body.nodes:
        if isinstance(node.op, ops.Scan) and not any(value in taps for value in _inside(node)):
            try:
                found = _plan(node, read)
            except Refusal:
                found = None
            if found is not None:
                nodes += _written(node, found)
                continue
        regions = tuple(_with_kernels(region, taps, read) for region in node.regions)
        same = all(a is b for a, b in zip(regions, node.regions, strict=True))
        nodes.append(
            node if same else Node(node.op, node.inputs, node.outputs, regions, node.scope, node.span, node.site)
        )
    same = len(nodes) == len(body.nodes) and all(a is b for a, b in zip(nodes, body.nodes, strict=True))
    return body if same else Region(body.parameters, tuple(nodes), body.results)


def _inside(node: Node) -> Iterator[Value]:
    for region in node.regions:
        yield from region.parameters
        for inner in region.walk():
            yield from inner.outputs


def misses(body: Region) -> Iterator[Miss]:
    """The scans that nearly are what torch has a kernel for, and why they are not."""
    read = _read(body)
    for node in body.walk():
        if isinstance(node.op, ops.Scan):
            try:
                _plan(node, read)
            except Refusal as refusal:
                yield refusal.miss("recurrent layer", node)


def _written(node: Node, found: RecurrentPlan) -> list[Node]:
    """The nodes that stand for a scan; they make the same values."""
    out = Builder(node.scope, node.span, node.site)
    parameters = {v: made for made in node.regions[0].nodes for v in made.outputs if isinstance(made.op, ops.Parameter)}
    copies: dict[Value, Value] = {}

    def there(value: Value) -> Value:
        """A value as it is outside: a parameter that the body reads is read before it."""
        if value not in parameters:
            return value
        if value not in copies:
            copies[value] = out.emit(parameters[value].op, names=value.names)
        return copies[value]

    batch, hidden = node.inputs[found.h].type.axes
    (steps,) = (axis for axis in found.x.type.axes if axis == node.op.axis)  # type: ignore[attr-defined]
    (features,) = (axis for axis in found.x.type.axes if axis not in (batch, steps))
    x = found.x
    if x.type.axes != (batch, steps, features):
        x = out.emit(ops.Transpose((batch, steps, features)), x)
    carried = len(node.inputs)
    operands = [x]
    if found.mask is not None:
        order = (batch, steps)
        operands.append(found.mask if found.mask.type.axes == order else out.emit(ops.Transpose(order), found.mask))
    operands += [node.inputs[found.h], *(v for i, v in enumerate(node.inputs) if i != found.h)]
    joint = Axis("gates", hidden.size * len(found.from_x))
    for pieces in ([gate.x[0] for gate in found.from_x], [gate.h[0] for gate in found.from_h]):
        moved = [replace(piece, value=there(piece.value)) for piece in pieces]
        operands.append(_matrix(moved, hidden, joint, out))
    if any(gate.biases for gate in (*found.from_x, *found.from_h)):
        for side in _sides(found):
            moved_ = [[replace(piece, value=there(piece.value)) for piece in gate] for gate in side]
            operands.append(_vector(moved_, hidden, joint, out))
    named = (f"{node.scope}.made",)
    made = out.emit(
        RecurrentKernel(found.kind, found.mask is not None),
        *operands,
        names=named,
        type=Type(FLOAT, (batch, steps, hidden)),
    )
    nodes = list(out.nodes)
    for i, value in enumerate(node.outputs):
        place = 0 if i >= carried else 1 if i == found.h else 2
        nodes.append(Node(KernelOutput(place), (made,), (value,), (), node.scope, node.span, node.site))
    return nodes


def _sides(found: RecurrentPlan) -> tuple[list[list[GatePart]], list[list[GatePart]]]:
    """The vectors that torch adds with x, and those that it adds with h, gate by gate. Only for a GRU's last gate are
    they not one sum; there, those of the other gates go with what they are joint with."""
    if found.kind != "gru":
        return [gate.biases for gate in found.from_x], [[] for _ in found.from_x]
    (*_, new), (*gates, old) = found.from_x, found.from_h
    with_h = {piece.value for piece in old.biases} - {piece.value for piece in new.biases}
    first = [[piece for piece in gate.biases if piece.value not in with_h] for gate in gates]
    second = [[piece for piece in gate.biases if piece.value in with_h] for gate in gates]
    return [*first, new.biases], [*second, old.biases]


def _is_whole(pieces: Sequence[GatePart], hidden: Axis, joint: Axis) -> bool:
    """Whether these are all parts of one value, in order."""
    return (
        len({piece.value for piece in pieces}) == 1
        and pieces[0].at.size == joint.size
        and all(piece.start == hidden.size * i for i, piece in enumerate(pieces))
    )


def _cut(piece: GatePart, one: Axis, out: Builder) -> Value:
    """A gate's part of a value, along `one`."""
    if piece.at.size == one.size:
        return piece.value if piece.at == one else out.emit(ops.Rename(piece.at, one), piece.value)
    return out.emit(ops.Slice(piece.at, piece.start, one), piece.value)


def _matrix(pieces: Sequence[GatePart], hidden: Axis, joint: Axis, out: Builder) -> Value:
    """The matrices of the gates as one [gates, in], in order."""
    first = pieces[0]
    if _is_whole(pieces, hidden, joint):
        order = (first.at, first.inputs())
        return first.value if first.value.type.axes == order else out.emit(ops.Transpose(order), first.value)
    one, parts = Axis("gate", hidden.size), []
    for piece in pieces:
        part = _cut(piece, one, out)
        order = (one, piece.inputs())
        part = part if part.type.axes == order else out.emit(ops.Transpose(order), part)
        parts.append(part if order[1] == first.inputs() else out.emit(ops.Rename(order[1], first.inputs()), part))
    return out.emit(ops.Concat((one,) * len(parts), joint), *parts)


def _vector(gates: Sequence[Sequence[GatePart]], hidden: Axis, joint: Axis, out: Builder) -> Value:
    """The vectors of the gates, added up and as one, in order; 0 where a gate has none."""
    counts = {len(pieces) for pieces in gates}
    if counts == {0}:
        return out.emit(ops.Broadcast((joint,)), out.emit(ops.Constant(0.0)))
    columns = list(zip(*gates, strict=False))
    if len(counts) == 1 and all(_is_whole(column, hidden, joint) for column in columns):
        whole = [column[0] for column in columns]
        return _sum([_cut(replace(piece, start=Size.of(0)), joint, out) for piece in whole], out)
    one = Axis("gate", hidden.size)
    parts = [
        _sum([_cut(piece, one, out) for piece in pieces], out)
        if pieces
        else out.emit(ops.Broadcast((one,)), out.emit(ops.Constant(0.0)))
        for pieces in gates
    ]
    return parts[0] if len(parts) == 1 else out.emit(ops.Concat((one,) * len(parts), joint), *parts)


def _sum(values: Sequence[Value], out: Builder) -> Value:
    total = values[0]
    for value in values[1:]:
        total = out.emit(ops.Add(), total, value)
    return total
