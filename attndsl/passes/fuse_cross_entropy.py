"""The cross entropy of logits that are a product with a matrix, in one operator that never has the logits of all rows.

The pattern, backwards from a sum to a scalar: what is added up is linear in take(log_softmax(logits), target), which a
mean over the classes (label smoothing) may be mixed with. On the way are factors with or without axes, `where` with
zeros for what is not counted, and sums and means over some of the axes. The logits are a product with a matrix, with a
bias, a factor and a soft cap where there are such. Factors without axes stay apart, as does what the sum is divided by.

It is refused where anything on the way is read by something else: then it is made anyway. That is so where the logits
are an output that is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator

from attndsl.graph import FLOAT, Axis, Node, Value
from attndsl.graph.builder import Builder
from attndsl.ops import (
    Add,
    And,
    Constant,
    Div,
    Dot,
    LinearCrossEntropy,
    LogSoftmax,
    Mean,
    Mul,
    Neg,
    Not,
    Op,
    Rename,
    SizeOf,
    Sum,
    Take,
    Tanh,
    Transpose,
    Where,
)
from attndsl.passes.algebra import ARITHMETIC, Algebra
from attndsl.passes.base import Refusal
from attndsl.passes.matching import axis_names, group
from attndsl.passes.rules import Match, Rule, RulePass
from attndsl.records import dataclass, field

ON_THE_WAY: tuple[type[Op], ...] = (*ARITHMETIC, Where, Sum, Mean)
THROUGH: tuple[type[Op], ...] = (*ON_THE_WAY, Take, LogSoftmax, Tanh, Rename, Dot)
DEPTH = 12


@dataclass(eq=False)
class _Weighting:
    """How a scalar is made of the losses of single rows: their sum, by row times `factors` or divided by them, of those
    rows where all of `masks` are as they are to be; then times `number`, times or divided by `scalars`, and divided by
    the lengths of the axes `averaged`."""

    number: float = 1.0
    scalars: list[tuple[Op, Value]] = field(default_factory=list)
    factors: list[tuple[Op, Value]] = field(default_factory=list)
    masks: list[tuple[Value, bool]] = field(default_factory=list)
    averaged: list[Axis] = field(default_factory=list)
    smoothing: float = 0.0


@dataclass(eq=False)
class _Head:
    """Where logits come from. `renames` are those of the axis of classes, the last first."""

    dot: Node
    x: Value
    matrix: Value
    contract: Axis
    renames: list[Rename]
    bias: Value | None = None
    cap: float = 0.0
    scale: float = 1.0


def _taken(algebra: Algebra, root: Node) -> Iterator[Node]:
    """What is taken of log-probabilities somewhere under a sum to a scalar."""
    if root.output.type.axes or root.output.type.dtype != FLOAT:
        return
    for value in algebra.nearby(root.inputs[0], DEPTH, ON_THE_WAY):
        take = algebra.made_by(value, Take)
        softmax = algebra.made_by(take.inputs[0], LogSoftmax) if take is not None else None
        if take is not None and softmax is not None and softmax.op.goes_over == take.op.goes_over:
            yield take


def _check(algebra: Algebra, root: Node, take: Node) -> Match | None:
    softmax = algebra.producers[take.inputs[0]]
    assert isinstance(take.op, Take)
    over, target = take.op.over, take.inputs[1]
    head = _head(algebra, softmax.inputs[0], over)
    if head is None:
        return None
    rows = target.type.axes
    if set(rows) != {axis for axis in head.x.type.axes if axis != head.contract}:
        raise Refusal(f"there is not one target for each of the logits over {axis_names([over])}", take, 1)
    weighting = _weighting(algebra, root, take, softmax)
    if weighting is None:
        return None
    leaves = {head.x, head.matrix, target, *(value for value, _ in weighting.masks)}
    leaves.update(value for _, value in (*weighting.scalars, *weighting.factors))
    if head.bias is not None:
        leaves.add(head.bias)
    nodes = group(algebra, root, leaves, THROUGH)
    _require_own(algebra, root, nodes, over)
    op = LinearCrossEntropy(
        head.contract,
        over,
        rows,
        weighting.smoothing,
        head.cap,
        head.bias is not None,
        bool(weighting.factors),
        bool(weighting.masks),
    )

    def build(out: Builder) -> Value:
        x, matrix, bias = head.x, head.matrix, head.bias
        for rename in reversed(head.renames):
            matrix = out.emit(rename, matrix)
            bias = None if bias is None else out.emit(rename, bias)
        if head.scale != 1.0:
            x = out.emit(Mul(), x, out.emit(Constant(head.scale)))
        operands = [x, matrix, target]
        operands += [] if bias is None else [bias]
        operands += [_product(out, weighting)] if weighting.factors else []
        operands += [_counted(out, weighting)] if weighting.masks else []
        return _weighed(out, out.emit(op, *operands), weighting)

    parts = [
        *(["a bias"] if op.biased else []),
        *([f"a soft cap of {op.cap:g}"] if op.cap else []),
        *([f"smoothing of {op.smoothing:g}"] if op.smoothing else []),
        *(["weights"] if op.weighted else []),
        *(["rows left out"] if op.masked else []),
    ]
    detail = f"`{op.name}` over {axis_names([over])}, in chunks of {axis_names(rows)}"
    return Match(detail + (f", with {', '.join(parts)}" if parts else ""), build, nodes)


# ---------------------------------------------------------------- where the logits come from


def _head(algebra: Algebra, logits: Value, over: Axis) -> _Head | None:
    """None where they are no product with a matrix."""
    renames: list[Rename] = []
    bias: Value | None = None
    cap, scale = 0.0, 1.0
    while True:
        node = algebra.producers.get(logits)
        if node is None:
            return None
        first = bias is None and scale == 1.0
        bounded = _capped(algebra, logits) if first and not cap else None
        if bounded is not None:
            cap, logits = bounded
            continue
        match node.op, node.inputs:
            case Dot(), _:
                return _product_of(node, over, renames, bias, cap, scale)
            case Transpose(), (inner,):
                logits = inner
            case Rename(old, new) as op, (inner,) if new == over:
                renames.append(op)
                over, logits = old, inner
            case Add(), (inner, other) if first and other.type.axes == (over,):
                logits, bias = inner, other
            case Add(), (other, inner) if first and other.type.axes == (over,):
                logits, bias = inner, other
            case (Mul() | Div()) as op, (inner, other) if number := algebra.constant(other):
                scale = scale * number if isinstance(op, Mul) else scale / number
                logits = inner
            case Mul(), (other, inner) if number := algebra.constant(other):
                scale, logits = scale * number, inner
            case _:
                return None


def _capped(algebra: Algebra, logits: Value) -> tuple[float, Value] | None:
    """c and u, where the logits are c * tanh(u / c)."""
    tanh = next((t for near in algebra.nearby(logits, 2) if (t := algebra.made_by(near, Tanh))), None)
    outer = algebra.polynomial(logits, (tanh.output,)) if tanh is not None else {}
    if tanh is None or outer.keys() != {algebra.monomial((tanh.output, 1))}:
        return None
    (cap,) = outer.values()
    for inner in algebra.nearby(tanh.inputs[0], 2):
        terms = algebra.polynomial(tanh.inputs[0], (inner,))
        share = terms.pop(algebra.monomial((inner, 1)), 0.0)
        if not terms and cap > 0 and abs(share * cap - 1) < 1e-12 and algebra.constant(inner) is None:
            return cap, inner
    raise Refusal("what bounds the logits is no soft cap: c * tanh(logits / c)", tanh, 1)


def _product_of(
    dot: Node, over: Axis, renames: list[Rename], bias: Value | None, cap: float, scale: float
) -> _Head | None:
    assert isinstance(dot.op, Dot)
    if len(dot.op.over) != 1:
        return None
    (contract,) = dot.op.over
    for x, matrix in (dot.inputs, dot.inputs[::-1]):
        if set(matrix.type.axes) == {contract, over} and over not in x.type.axes:
            floats = (x, matrix) if bias is None else (x, matrix, bias)
            fits = dot.output.type.dtype == FLOAT and all(value.type.dtype == FLOAT for value in floats)
            return _Head(dot, x, matrix, contract, renames, bias, cap, scale) if fits else None
    return None


# ---------------------------------------------------------------- what becomes of the losses of single rows


def _weighting(algebra: Algebra, root: Node, take: Node, softmax: Node) -> _Weighting | None:
    """None where the scalar is not linear in them."""
    found, value = _Weighting(), root.output
    means = [
        node
        for near in algebra.nearby(root.inputs[0], DEPTH, ON_THE_WAY)
        if (node := algebra.made_by(near, Mean, Sum)) is not None
        if node.inputs == (softmax.output,) and node.op.goes_over == take.op.goes_over
    ]

    def leads(side: Value) -> bool:
        return take.output in set(algebra.nearby(side, DEPTH, ON_THE_WAY))

    while not _core(algebra, value, take, means, found):
        node = algebra.producers.get(value)
        if node is None:
            return None
        match node.op, node.inputs:
            case (Neg() | Transpose()) as op, (inner,):
                found.number *= -1 if isinstance(op, Neg) else 1
            case (Sum() | Mean()) as op, (inner,):
                found.averaged += op.goes_over if isinstance(op, Mean) else ()
            case Where(), (counted, inner, other) if leads(inner):
                _leaves_out(algebra, node, other)
                found.masks.append((counted, True))
            case Where(), (counted, other, inner) if leads(inner):
                _leaves_out(algebra, node, other)
                found.masks.append((counted, False))
            case Mul(), (a, b) if leads(a) != leads(b):
                inner, factor = (a, b) if leads(a) else (b, a)
                _multiply(algebra, found, Mul(), factor)
            case Div(), (inner, factor) if leads(inner) and not leads(factor):
                _multiply(algebra, found, Div(), factor)
            case _:
                return None
        if not set(node.output.type.axes) <= set(inner.type.axes):
            return None  # the losses of rows are repeated along an axis of something else
        value = inner
    return found


def _core(algebra: Algebra, value: Value, take: Node, means: list[Node], found: _Weighting) -> bool:
    """Whether a value is made of nothing but what is taken and means over the classes; noted is how."""
    terms = dict(algebra.polynomial(value, (take.output, *(node.output for node in means))))
    likely = terms.pop(algebra.monomial((take.output, 1)), 0.0)
    evenly = 0.0
    for node in means:
        share = terms.pop(algebra.monomial((node.output, 1)), 0.0)
        if isinstance(node.op, Sum) and share:
            classes = node.op.over[0].size.known(algebra.sizes)
            if classes is None:
                return False
            share *= classes
        evenly += share
    if terms or not likely:
        return False
    if likely + evenly == 0:
        raise Refusal("the target distribution adds up to nothing", take, 2)
    found.number *= -(likely + evenly)
    found.smoothing = evenly / (likely + evenly) if evenly else 0.0
    return True


def _leaves_out(algebra: Algebra, node: Node, other: Value) -> None:
    if algebra.constant(other) != 0:
        raise Refusal("where a row is not counted stands another number than 0", node, 2)


def _multiply(algebra: Algebra, found: _Weighting, op: Op, factor: Value) -> None:
    number = algebra.constant(factor)
    if number is not None and number != 0:
        found.number = found.number * number if isinstance(op, Mul) else found.number / number
    elif factor.type.axes:
        found.factors.append((op, factor))
    else:
        found.scalars.append((op, factor))


def _require_own(algebra: Algebra, root: Node, nodes: tuple[Node, ...], over: Axis) -> None:
    bodies = {algebra.rewriter.places[node].body for node in nodes}
    if len(bodies) > 1:
        raise Refusal("the logits are made outside of the loop in which their loss is", root, 3)
    outside = algebra.rewriter.elsewhere(nodes, (root.output,))
    if outside is None:
        return
    value, reader = outside
    what = f"the logits over {axis_names([over])}" if len(value.type.axes) > len(root.inputs[0].type.axes) else ""
    if not what:
        what = "the losses of single rows"
    if reader is None:
        alone = "in chunks where only the loss is asked for, as in training"
        said = f"{what} are an output, too: made for all rows at once where that is asked for, {alone}"
        raise Refusal(said, algebra.producers[value], 4)
    raise Refusal(f"{what} are read by something else, too: they are made for all rows at once", reader, 4)


# ---------------------------------------------------------------- back to nodes


def _product(out: Builder, weighting: _Weighting) -> Value:
    """The factors of rows as one."""
    total: Value | None = None
    for op, factor in weighting.factors:
        if total is None and isinstance(op, Mul):
            total = factor
        else:
            total = out.emit(op, out.emit(Constant(1.0)) if total is None else total, factor)
    assert total is not None
    return total


def _counted(out: Builder, weighting: _Weighting) -> Value:
    total: Value | None = None
    for mask, kept in weighting.masks:
        each = mask if kept else out.emit(Not(), mask)
        total = each if total is None else out.emit(And(), total, each)
    assert total is not None
    return total


def _weighed(out: Builder, value: Value, weighting: _Weighting) -> Value:
    for op, scalar in weighting.scalars:
        value = out.emit(op, value, scalar)
    for axis in weighting.averaged:
        value = out.emit(Div(), value, out.emit(SizeOf(axis.size)))
    return value if weighting.number == 1.0 else out.emit(Mul(), value, out.emit(Constant(weighting.number)))


class FuseCrossEntropy(RulePass):
    """A cross entropy that is added up, of logits that are a product with a matrix, becomes one
    `linear_cross_entropy`."""

    name = "fuse-cross-entropy"
    after = ("constant-folding", "common-subexpressions", "canonicalise")
    rules = (Rule("cross entropy", (Sum, Mean), _taken, _check, core=lambda take: take, exact=False),)
    backward = True
