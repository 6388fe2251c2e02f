"""Rules for what combines the elements along axes, normalises along them, or runs along one."""

from __future__ import annotations

import math

from attndsl import ops
from attndsl.onnx_export.loops import looped
from attndsl.onnx_export.pointwise import Rule
from attndsl.onnx_export.site import OnnxSite, in_order
from attndsl.onnx_export.writer import Tensor, dtype_of
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
    (at,) = site.places((site.op.over,))
    x, rest = site.as_(0, site.output.dtype), site.output.without(site.op.over)
    one = site.constant(1, dtype_of(site.output))
    first = site.emit("Expand", one, site.lengths.shape([axis.size for axis in rest.axes]))

    def step(i: str, carried: list[str]) -> list[Tensor]:
        here = Tensor(site.emit("Mul", carried[0], site.emit("Gather", x, i, axis=at)), rest)
        return [here, here]

    rounds = site.lengths.scalar(site.op.over.size)
    _, stacked = looped(site.writer, site.lengths, site.writer.scope, rounds, [Tensor(first, rest)], step)
    order = (site.op.over, *rest.axes)
    return in_order(site, site.reshaped(stacked, order), order, site.output.axes)  # no rounds, no lengths of a round


def argsort(site: OnnxSite) -> str:
    (at,) = site.places((site.op.over,))
    count = site.lengths.vector(site.op.over.size)
    largest = int(site.op.descending)
    return site.writer.several("TopK", (site.x(), count), 2, axis=at, largest=largest, sorted=1)[1]


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
}
