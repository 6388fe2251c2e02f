"""Rules for what renames, regroups, reorders, picks, joins and writes, and for values that come from nothing."""

from __future__ import annotations

from collections.abc import Sequence

from attndsl import ops
from attndsl.graph import Axis
from attndsl.onnx_export.pointwise import Rule
from attndsl.onnx_export.site import OnnxSite, in_order, length_of
from attndsl.onnx_export.writer import dtype_of
from attndsl.sizes import ZERO, Size
from attndsl.types import BOOL, FLOAT

_BACKWARDS = -(2**63)  # where a slice that runs backwards to the first element ends


def flatten(site: OnnxSite) -> str:
    parts, axes = site.op.parts, site.inputs[0].axes
    at = min((axes.index(part) for part in parts), default=0)
    others = [axis for axis in axes if axis not in parts]
    order = (*others[:at], *parts, *others[at:])
    return site.reshaped(in_order(site, site.x(), axes, order), site.output.axes)


def broadcast(site: OnnxSite) -> str:
    name = site.aligned(0, onto=site.op.axes)
    return site.emit("Expand", name, site.lengths.shape([axis.size for axis in site.op.axes]))


def concat(site: OnnxSite) -> str:
    laid = []
    for i, own in enumerate(site.op.axes):
        order = [own if axis == site.op.target else axis for axis in site.output.axes]
        laid.append(in_order(site, site.as_(i, site.output.dtype), site.inputs[i].axes, order))
    return site.emit("Concat", *laid, axis=site.output.index(site.op.target))


def flip(site: OnnxSite) -> str:
    at = site.places((site.op.over,))[0]
    return flipped(site, site.x(), at)


def flipped(site: OnnxSite, name: str, at: int) -> str:
    return site.emit("Slice", name, site.axes(-1), site.axes(_BACKWARDS), site.axes(at), site.axes(-1))


def slice_(site: OnnxSite) -> str:
    start, length = site.op.start, site.op.target.size
    at = site.axes(*site.places((site.op.axis,)))
    return site.emit("Slice", site.x(), site.lengths.vector(start), site.lengths.vector(start + length), at)


def select(site: OnnxSite) -> str:
    (at,) = site.places((site.op.axis,))
    return site.emit("Gather", site.x(), site.lengths.scalar(site.op.at), axis=at)


# ---------------------------------------------------------------- by index


def _count(axes: Sequence[Axis]) -> Size:
    return length_of(axes).size


def _rows(site: OnnxSite, index: int, shared: Sequence[Axis], own: Sequence[Axis], length: Size) -> str:
    """An index as numbers of rows [shared * own] of what is laid out as [shared and the axis of this length, …]."""
    tensor = site.inputs[index]
    name = in_order(site, tensor.name, tensor.axes, (*shared, *own))
    if not shared:
        return site.shaped(name, site.axes(-1))
    groups = site.lengths.shape([_count(shared), _count(own)])
    firsts = site.emit("Mul", counted(site, _count(shared)), site.lengths.vector(length))
    column = site.emit("Unsqueeze", firsts, site.axes(1))
    return site.shaped(site.emit("Add", site.shaped(name, groups), column), site.axes(-1))


def counted(site: OnnxSite, length: Size) -> str:
    """0, 1, 2, …"""
    zero, one = site.constant(0, "int64"), site.constant(1, "int64")
    return site.emit("Range", zero, site.lengths.scalar(length), one)


def take(site: OnnxSite) -> str:
    table, index = site.inputs
    rest = table.type.without(site.op.over).axes
    shared = [axis for axis in rest if axis in index.axes]
    if not shared:
        return site.emit("Gather", table.name, index.name, axis=table.type.index(site.op.over))
    new = [axis for axis in index.axes if axis not in rest]
    others = [axis for axis in rest if axis not in shared]
    rows = _rows(site, 1, shared, new, site.op.over.size)
    flat = _flat(site, table.name, table.axes, (*shared, site.op.over), others)
    taken = site.reshaped(site.emit("Gather", flat, rows, axis=0), (*shared, *new, *others))
    return in_order(site, taken, (*shared, *new, *others), site.output.axes)


def _flat(site: OnnxSite, name: str, axes: Sequence[Axis], rows: Sequence[Axis], others: Sequence[Axis]) -> str:
    """A value as [rows, others], each as one axis."""
    ordered = in_order(site, name, axes, (*rows, *others))
    return site.shaped(ordered, site.lengths.shape([_count(rows), _count(others)], one_open=True))


def scatter_add(site: OnnxSite) -> str:
    values, index = site.inputs
    over, target = site.op.over, site.op.target
    rest = values.type.without(*over).axes
    shared = [axis for axis in rest if axis in index.axes]
    others = [axis for axis in rest if axis not in shared]
    rows = site.emit("Unsqueeze", _rows(site, 1, shared, over, target.size), site.axes(1))
    added = _flat(site, values.name, values.axes, (*shared, *over), others)
    shape = site.lengths.shape([_count((*shared, target)), _count(others)])
    empty = site.emit("Expand", site.constant(0, dtype_of(site.output)), shape)
    axes = (*shared, target, *others)
    total = site.reshaped(site.emit("ScatterND", empty, rows, added, reduction="add"), axes)
    return in_order(site, total, axes, site.output.axes)


def write(site: OnnxSite) -> str:
    memory, values, index = site.inputs
    over = site.op.over
    rest = memory.type.without(over).axes
    shared = [axis for axis in rest if axis in index.axes]
    new = [axis for axis in index.axes if axis not in shared]
    others = [axis for axis in rest if axis not in shared]
    rows = site.emit("Unsqueeze", _rows(site, 2, shared, new, over.size), site.axes(1))
    flat = _flat(site, memory.name, memory.axes, (*shared, over), others)
    written = _flat(site, values.name, values.axes, (*shared, *new), others)
    axes = (*shared, over, *others)
    return in_order(site, site.reshaped(site.emit("ScatterND", flat, rows, written), axes), axes, memory.axes)


def windows(site: OnnxSite) -> str:
    """What each window reads, by its index in the padded axis."""
    op, lengths = site.op, site.lengths
    (at,) = site.places((op.axis,))
    padded = site.x()
    if lengths.number(op.before) != 0 or lengths.number(op.after) != 0:
        around = [[ZERO] * at, [ZERO] * (site.inputs[0].type.rank - at - 1)]
        ends = [size for end in (op.before, op.after) for size in (*around[0], end, *around[1])]
        # All ends are said: ONNX Runtime 1.32 takes some for all where it moves a transposition.
        padded = site.emit("Pad", padded, lengths.shape(ends), site.constant(0, dtype_of(site.output)))
    first = site.emit("Mul", counted(site, op.positions.size), lengths.vector(op.stride))
    further = site.emit("Mul", counted(site, op.offsets.size), lengths.vector(op.dilation))
    index = site.emit("Add", site.emit("Unsqueeze", first, site.axes(1)), further)
    return site.emit("Gather", padded, index, axis=at)


# ---------------------------------------------------------------- from nothing


def constant(site: OnnxSite) -> str:
    return site.constant(site.op.value, dtype_of(site.output))


def element(site: OnnxSite) -> str:
    return site.emit("Gather", site.constant(site.op.values, dtype_of(site.output)), site.x(), axis=0)


def one_hot(site: OnnxSite) -> str:
    column = site.emit("Unsqueeze", site.x(), site.axes(site.inputs[0].type.rank))
    equal = site.emit("Equal", column, counted(site, site.op.axis.size))
    return site.cast(equal, site.output.with_dtype(BOOL), FLOAT)


def uniform(site: OnnxSite) -> str:
    """Drawn anew by each call: what a run draws here depends on its seed."""
    shape = site.lengths.shape([axis.size for axis in site.op.axes])
    zeros = site.emit("Expand", site.constant(0.0), shape)
    return site.emit("RandomUniformLike", zeros, dtype=1, low=0.0, high=1.0)


RULES: dict[type[ops.Op], Rule] = {
    ops.Rename: lambda site: site.x(),
    ops.Unflatten: lambda site: site.reshaped(site.x(), site.output.axes),
    ops.Flatten: flatten,
    ops.Transpose: lambda site: in_order(site, site.x(), site.inputs[0].axes, site.output.axes),
    ops.Broadcast: broadcast,
    ops.Concat: concat,
    ops.Flip: flip,
    ops.Slice: slice_,
    ops.Select: select,
    ops.Take: take,
    ops.ScatterAdd: scatter_add,
    ops.Write: write,
    ops.Windows: windows,
    ops.Constant: constant,
    ops.Element: element,
    ops.Range: lambda site: counted(site, site.op.axis.size),
    ops.SizeOf: lambda site: site.lengths.scalar(site.op.size),
    ops.OneHot: one_hot,
    ops.Parameter: lambda site: site.writer.parameter(site.op.address),
    ops.Uniform: uniform,
}
