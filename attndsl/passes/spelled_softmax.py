"""Softmaxes that are written out: e / sum(e), sum(e * v) / sum(e), e / (sum(e) + c).

e is exp(x), perhaps 0 where a mask is false; what is added to x and is the same along the axis cancels. A number c that
is added to the sum is a sink, at log(c). Behind a weighted sum, dividing is the same as before it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from attndsl.graph import Axis, Node, Value
from attndsl.graph.builder import Builder
from attndsl.masks import Mask, mask_facts
from attndsl.ops import OPS, Add, Constant, Dot, Exp, Softmax, Sub, Sum, Where
from attndsl.passes.algebra import ONE, Algebra, close
from attndsl.passes.base import Refusal
from attndsl.passes.matching import axis_names
from attndsl.passes.rules import Match

PLACED = tuple(op for op in OPS.values() if op.pointwise or op.moves)
LARGEST = 3.4e38  # what is beyond it is infinite in float32


def softmax_written_out(algebra: Algebra, node: Node) -> Match | None:
    """A quotient that is a softmax, or a sum that one weighs."""
    monomial, coefficient = algebra.product(node.output)
    if coefficient != 1.0 or sorted(e for _, e in monomial) != [-1, 1]:
        return None
    (above,) = (value for value, exponent in monomial if exponent == 1)
    (below,) = (value for value, exponent in monomial if exponent == -1)
    found = _total(algebra, below)
    if found is None:
        return None
    total, added = found
    (e,), over = total.inputs, total.op.goes_over
    if e is above:
        weights = _weights(algebra, node, e, over, added)
        return None if weights is None else Match(_detail(over, added), weights)
    weighed = algebra.made_by(above, Dot)
    if weighed is None or e not in weighed.inputs or set(weighed.op.goes_over) != set(over):
        return None
    weights = _weights(algebra, node, e, over, added)
    if weights is None:
        return None
    return Match(
        f"{_detail(over, added)} before the weighted sum",
        lambda out: out.emit(weighed.op, *(weights(out) if value is e else value for value in weighed.inputs)),
    )


def _detail(over: tuple[Axis, ...], added: float) -> str:
    return f"`softmax` over {axis_names(over)}" + (f" with a sink at log({added:g})" if added else "")


def _total(algebra: Algebra, value: Value) -> tuple[Node, float] | None:
    """A sum, and the number that is added to it."""
    terms = algebra.polynomial(value)
    added = terms.pop(ONE, 0.0)
    if len(terms) != 1:
        return None
    ((monomial, coefficient),) = terms.items()
    if len(monomial) != 1 or monomial[0][1] != 1 or not close(coefficient, 1.0) or added < 0:
        return None
    total = algebra.made_by(monomial[0][0], Sum)
    return None if total is None or not total.op.goes_over else (total, added)


def _weights(
    algebra: Algebra, node: Node, e: Value, over: tuple[Axis, ...], added: float
) -> Callable[[Builder], Value] | None:
    """What emits e / (sum(e) + added); None where e is no power."""
    match algebra.producers.get(e):
        case Node(op=Exp(), inputs=(x,)):
            mask = None
        case Node(op=Where(), inputs=(mask, value, zero)) if algebra.constant(zero) == 0.0:
            power = algebra.made_by(value, Exp)
            if power is None:
                return None
            (x,) = power.inputs
        case _:
            return None
    if not added:
        _refuse_empty_rows(algebra, node, x, mask, over)
        x = _shifted(algebra, x, over)
    rest: list[Value] = [] if mask is None else [mask]

    def emit(out: Builder) -> Value:
        sink = [out.emit(Constant(math.log(added)))] if added else []
        return out.emit(Softmax(over, bool(added)), x, *rest, *sink)

    return emit


def _refuse_empty_rows(algebra: Algebra, node: Node, x: Value, mask: Value | None, over: tuple[Axis, ...]) -> None:
    """Refuse a row that may have nothing to attend to: here it is NaN."""
    if mask is None:
        refuse_infinite_rows(algebra, node, x)
        return
    if len(over) == 1:
        rest = [axis for axis in x.type.axes if axis != over[0]]
        if not mask_facts([Mask(mask)], algebra.producers, rest, over[0], algebra.sizes)[1].may_be_empty:
            return
    raise Refusal("where the mask leaves nothing in a row this divides zero by zero, and a softmax gives zeros", node)


def refuse_infinite_rows(algebra: Algebra, node: Node, x: Value) -> None:
    """Refuse x that is -inf where a constant says so: it may be a row of nothing else."""
    for value in algebra.nearby(x, 8, PLACED):
        number = algebra.constant(value)
        if number is not None and abs(number) > LARGEST:
            raise Refusal("a row of nothing but -inf is NaN here, and zeros in a softmax", node)


def _shifted(algebra: Algebra, x: Value, over: tuple[Axis, ...]) -> Value:
    """x without what is added to it and is the same along the axes: it cancels."""

    def same(value: Value) -> bool:
        return not any(axis in value.type.axes for axis in over)

    while True:
        match algebra.producers.get(x):
            case Node(op=Add() | Sub(), inputs=(left, right)) if same(right):
                x = left
            case Node(op=Add(), inputs=(left, right)) if same(left):
                x = right
            case _:
                return x
