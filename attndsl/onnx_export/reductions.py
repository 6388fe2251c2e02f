"""Rules for what combines the elements along axes, normalises along them, or runs along one; and for products."""

from __future__ import annotations

import math

from attndsl import ops
from attndsl.onnx_export.pointwise import Rule
from attndsl.onnx_export.site import OnnxSite, in_order, length_of
from attndsl.types import FLOAT, INT

INFINITE = -math.inf


def reduction(kind: str, dtype: str | None = None) -> Rule:
    """A reduction in the result's dtype, or in another one and then brought to that."""

    def rule(site: OnnxSite) -> str:
        own = dtype or site.output.dtype
        over = site.op.goes_over
        x = site.as_(0, own)
        if over:
            x = site.emit(kind, x, site.axes(*site.places(over)), keepdims=0)
        return site.cast(x, site.output.with_dtype(own), site.output.dtype)

    return rule


def argmax(site: OnnxSite) -> str:
    (at,) = site.places((site.op.over,))
    return site.emit("ArgMax", site.x(), axis=at, keepdims=0)


def softmax(site: OnnxSite) -> str:
    """A row with nothing to attend to is zeros, and what is masked counts for nothing, whatever stands there."""
    where, sink = site.op.parts(*range(1, len(site.inputs)))
    axes, over = site.inputs[0].axes, site.places(site.op.over)
    x, least, zero = site.floating(), site.constant(INFINITE), site.constant(0.0)
    mask = None if where is None else site.aligned(where, onto=axes)
    if mask is not None:
        x = site.emit("Where", mask, x, least)
    highest = site.emit("ReduceMax", x, site.axes(*over), keepdims=1)
    if sink is None and len(over) == 1:
        weight = site.emit("Softmax", x, axis=over[0])
        weight = site.emit("Where", site.emit("Equal", highest, least), zero, weight)
    else:
        last = None if sink is None else site.aligned(sink, FLOAT, axes)
        if last is not None:
            highest = site.emit("Max", highest, last)
        highest = site.emit("Where", site.emit("Equal", highest, least), zero, highest)
        weight = site.emit("Exp", site.emit("Sub", x, highest))
        total = site.emit("ReduceSum", weight, site.axes(*over), keepdims=1)
        if last is not None:
            total = site.emit("Add", total, site.emit("Exp", site.emit("Sub", last, highest)))
        total = site.emit("Where", site.emit("Equal", total, zero), site.constant(1.0), total)
        weight = site.emit("Div", weight, total)
    return weight if mask is None else site.emit("Where", mask, weight, zero)


def log_softmax(site: OnnxSite) -> str:
    over = site.places(site.op.over)
    if len(over) == 1:
        return site.emit("LogSoftmax", site.floating(), axis=over[0])
    axes = site.axes(*over)
    shifted = site.emit("Sub", site.floating(), site.emit("ReduceMax", site.floating(), axes, keepdims=1))
    total = site.emit("ReduceSum", site.emit("Exp", shifted), axes, keepdims=1)
    return site.emit("Sub", shifted, site.emit("Log", total))


def cumsum(site: OnnxSite) -> str:
    (at,) = site.places((site.op.over,))
    return site.emit("CumSum", site.as_(0, site.output.dtype), site.constant(at, "int64"))


def cumprod(site: OnnxSite) -> str:
    """A loop over the places: opsets before 26 have no running product."""
    from onnx import TensorProto, helper

    (at,) = site.places((site.op.over,))
    writer, x, rest = site.writer, site.as_(0, site.output.dtype), site.inputs[0].type.without(site.op.over)
    kind = TensorProto.FLOAT if site.output.is_float else TensorProto.INT64
    one = site.constant(1, "float32" if site.output.is_float else "int64")
    first = site.emit("Expand", one, site.lengths.shape([axis.size for axis in rest.axes]))
    i, go, so_far = (writer.fresh(f"{writer.scope}/{word}") for word in ("i", "go", "so far"))
    with writer.body() as nodes:
        here = site.emit("Mul", so_far, site.emit("Gather", x, i, axis=at))
        results = [site.emit("Identity", name) for name in (go, here, here)]
    taken = [helper.make_tensor_value_info(i, TensorProto.INT64, [])]
    taken += [helper.make_tensor_value_info(go, TensorProto.BOOL, [])]
    taken += [helper.make_tensor_value_info(so_far, kind, [None] * rest.rank)]
    kinds = (TensorProto.BOOL, kind, kind)
    given = [helper.make_tensor_value_info(n, k, None) for n, k in zip(results, kinds, strict=True)]
    body = helper.make_graph(nodes, writer.fresh(f"{writer.scope}/body"), taken, given)
    rounds = site.lengths.scalar(site.op.over.size)
    _, stacked = writer.several("Loop", (rounds, site.constant(True, "bool"), first), 2, body=body)
    order = (site.op.over, *rest.axes)
    return in_order(site, site.reshaped(stacked, order), order, site.output.axes)  # no rounds, no lengths of a round


def argsort(site: OnnxSite) -> str:
    (at,) = site.places((site.op.over,))
    count = site.lengths.vector(site.op.over.size)
    largest = int(site.op.descending)
    return site.writer.several("TopK", (site.x(), count), 2, axis=at, largest=largest, sorted=1)[1]


# ---------------------------------------------------------------- products


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


RULES: dict[type[ops.Op], Rule] = {
    ops.Sum: reduction("ReduceSum"),
    ops.Mean: reduction("ReduceMean"),
    ops.Max: reduction("ReduceMax"),
    ops.Min: reduction("ReduceMin"),
    ops.Prod: reduction("ReduceProd"),
    ops.Any: reduction("ReduceMax", INT),
    ops.All: reduction("ReduceMin", INT),
    ops.ArgMax: argmax,
    ops.Softmax: softmax,
    ops.LogSoftmax: log_softmax,
    ops.LogSumExp: reduction("ReduceLogSumExp", FLOAT),
    ops.CumSum: cumsum,
    ops.CumProd: cumprod,
    ops.ArgSort: argsort,
    ops.Dot: dot,
}
