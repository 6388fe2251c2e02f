"""Rules for products: of two tensors, and of rows with one of several matrices each."""

from __future__ import annotations

from attndsl import ops
from attndsl.graph import Axis
from attndsl.onnx_export.loops import looped
from attndsl.onnx_export.pointwise import Rule
from attndsl.onnx_export.site import OnnxSite, in_order, length_of
from attndsl.onnx_export.writer import Tensor
from attndsl.types import FLOAT, Type


def dot(site: OnnxSite) -> str:
    """One `MatMul`, with as few transpositions and reshapings as the layouts allow."""
    left, right = (tensor.axes for tensor in site.inputs)
    out = site.output.axes
    batch = [a for a in left if a in right and a in out]
    summed = [a for a in left if a in right and a not in out]
    rows = [a for a in left if a not in right]
    columns = [a for a in right if a not in left]
    dtype = site.output.dtype
    a = in_order(site, site.as_(0, dtype), left, (*batch, *rows, *summed))
    b = in_order(site, site.as_(1, dtype), right, (*batch, *summed, *columns))
    product = (*batch, *rows, *columns)
    # Both sides are made matrices: ONNX Runtime 1.32 multiplies a transposed matrix and a vector wrongly.
    simple = len(summed) == len(columns) == 1 and (len(rows) == 1 or bool(rows and not batch))
    if not simple:
        inner = length_of(summed)
        a = site.reshaped(a, (*batch, length_of(rows), inner))
        b = site.reshaped(b, (*batch, inner, length_of(columns)))
    made = site.emit("MatMul", a, b)
    if not simple:
        made = site.reshaped(made, product)
    return in_order(site, made, product, out)


def grouped_dot(site: OnnxSite) -> str:
    """One entry of the table after the other: the rows that go with it are picked, multiplied and put in their places,
    so that no matrix is copied for a row."""
    op: ops.GroupedDot = site.op
    x, table, index = (tensor.axes for tensor in site.inputs)
    kept = [axis for axis in x if axis not in index and axis not in op.over]
    own = [axis for axis in table if axis != op.group and axis not in op.over]
    row, between, inner, columns = (length_of(axes) for axes in (index, kept, op.over, own))
    rows = site.reshaped(in_order(site, site.floating(0), x, (*index, *kept, *op.over)), (row, between, inner))
    entries = in_order(site, site.floating(1), table, (op.group, *op.over, *own))
    entries = site.reshaped(entries, (op.group, inner, columns))
    chosen = site.emit("Reshape", site.x(2), site.axes(-1))
    whole = Type(FLOAT, (row, between, columns))
    empty = site.emit("Expand", site.constant(0.0), site.lengths.shape([axis.size for axis in whole.axes]))

    def step(i: str, carried: list[str]) -> list[Tensor]:
        places = site.emit("Transpose", site.emit("NonZero", site.emit("Equal", chosen, i)), perm=[1, 0])
        made = site.emit("MatMul", site.emit("GatherND", rows, places), site.emit("Gather", entries, i, axis=0))
        return [Tensor(site.emit("ScatterND", carried[0], places, made), whole)]

    count = site.lengths.scalar(op.group.size)
    (made,) = looped(site.writer, site.lengths, site.writer.scope, count, [Tensor(empty, whole)], step)
    axes: tuple[Axis, ...] = (*index, *kept, *own)
    return in_order(site, site.reshaped(made, axes), axes, site.output.axes)


SPATIAL = 3  # the most axes that ONNX Runtime has a `Conv` over


def convolution(site: OnnxSite) -> str:
    """`Conv`, where windows are of known steps, and no axis is shared by x and the kernel that stays."""
    op: ops.Convolution = site.op
    x, kernel = (tensor.axes for tensor in site.inputs)
    spatial = op.goes_over
    steps = [
        [site.lengths.number(size) for size in sizes]
        for sizes in zip(*((w.stride, w.dilation, w.before, w.after) for w in op.windows), strict=True)
    ]
    strides, dilations, before, after = steps
    alone = not any(axis in kernel for axis in x if axis not in op.channels)
    if not alone or len(spatial) > SPATIAL or any(None in step for step in steps):
        return site.expanded()
    batch = [axis for axis in x if axis not in (*spatial, *op.channels)]
    own = [axis for axis in kernel if axis not in (*op.offsets, *op.channels)]
    row, inner, outer = (length_of(axes) for axes in (batch, op.channels, own))
    image = in_order(site, site.floating(0), x, (*batch, *op.channels, *spatial))
    image = site.reshaped(image, (row, inner, *spatial))
    weight = in_order(site, site.floating(1), kernel, (*own, *op.channels, *op.offsets))
    weight = site.reshaped(weight, (outer, inner, *op.offsets))
    pads = [*before, *after]
    made = site.emit("Conv", image, weight, strides=strides, dilations=dilations, pads=pads)
    axes = (*batch, *own, *(window.positions for window in op.windows))
    return in_order(site, site.reshaped(made, axes), axes, site.output.axes)


RULES: dict[type[ops.Op], Rule] = {
    ops.Dot: dot,
    ops.GroupedDot: grouped_dot,
    ops.Convolution: convolution,
}
