"""Constant folding: what is known now is computed now, and what does nothing goes.

Pointwise ops on known scalars are computed (by their own NumPy meaning, in double precision); the other rules say what
becomes of an op whose operands are general.
"""

from __future__ import annotations

from attndsl.diagnostics import AttnError
from attndsl.graph import FLOAT, FLOAT32, Node, Value
from attndsl.lazy import np
from attndsl.ops import (
    Add,
    And,
    Binary,
    Broadcast,
    Call,
    Cast,
    Constant,
    Div,
    Dot,
    Dropout,
    Flatten,
    Mean,
    Mul,
    Neg,
    Not,
    Op,
    Or,
    Rename,
    SizeOf,
    Slice,
    Softmax,
    Sub,
    Sum,
    Transpose,
    Unflatten,
    Where,
)
from attndsl.passes.algebra import Algebra
from attndsl.passes.rules import Found, Match, Put, Rule, RulePass, simple
from attndsl.sizes import Size

Scalar = bool | int | float


# ---------------------------------------------------------------- what is known


def _constant(algebra: Algebra, value: Value) -> Scalar | None:
    """The number that `value` is, if it is a known scalar or a known scalar repeated along axes."""
    node = algebra.producers.get(value)
    if node is not None and isinstance(node.op, Broadcast):
        node = algebra.producers.get(node.inputs[0])
    return node.op.value if node is not None and isinstance(node.op, Constant) else None


def _computed(algebra: Algebra, node: Node) -> Found:
    number = _number(algebra, node)
    if number is None:
        return None
    return Match(f"`{node.op.name}` is {_shown(number)}", lambda out: out.emit(Constant(number)))


def _number(algebra: Algebra, node: Node) -> Scalar | None:
    """The value of a node on known scalars; None where it is not known or no such value exists."""
    if isinstance(node.op, SizeOf):
        return node.op.size.known(algebra.sizes)
    if not node.op.pointwise or node.output.type.axes or node.output.type.dtype == FLOAT32:
        return None  # a constant has the model's precision
    numbers = [_constant(algebra, value) for value in node.inputs]
    if None in numbers:
        return None
    types = tuple(value.type for value in node.inputs)
    call = Call(types, node.output.type, algebra.sizes, "float64")
    arrays = [np.asarray(n, call.dtype(t.dtype)) for n, t in zip(numbers, types, strict=True)]
    try:
        with np.errstate(all="ignore"):
            result: Scalar = node.op.evaluate(call, *arrays).item()
    except (AttnError, ArithmeticError):
        return None  # it fails when it runs, and says so there
    return result if result == result and abs(result) != float("inf") else None


# ---------------------------------------------------------------- what does nothing


def _neutral(algebra: Algebra, node: Node) -> Found:
    """An operand that changes nothing: `x - 0`, `1 * x`, `x ^ 1`, `b and true`."""
    left, right = node.inputs
    if _is(_constant(algebra, right), node.op.identity):
        return left
    return right if node.op.commutative and _is(_constant(algebra, left), node.op.identity) else None


def _twice(algebra: Algebra, node: Node) -> Found:
    """Two of a kind undo each other: `not not x`, `--x`."""
    inner = algebra.made_by(node.inputs[0], type(node.op))
    return inner.inputs[0] if inner else None


def _cast(algebra: Algebra, node: Node) -> Found:
    """One that keeps the type does nothing, but for a `float(…)`, which says how precise its operand is to be."""
    return None if node.output.type.dtype == FLOAT else node.inputs[0]  # if it changes the type, that is noticed


def _dropout(algebra: Algebra, node: Node) -> Found:
    match node.op:
        case Dropout(p=0):
            return node.inputs[0]
    return None


def _rename(algebra: Algebra, node: Node) -> Found:
    (x,) = node.inputs
    match node.op, algebra.producers.get(x):
        case Rename(old, new), _ if old == new:
            return x
        case Rename(old, new), Node(op=Rename(first, second), inputs=(given,)) if second == old:
            return given if first == new else Put(Rename(first, new), (given,))
    return None


def _transpose(algebra: Algebra, node: Node) -> Found:
    (x,) = node.inputs
    if x.type == node.output.type:
        return x
    match algebra.producers.get(x):
        case Node(op=Transpose(), inputs=inputs):
            return Put(Transpose(node.output.type.axes), inputs)
        case Node(op=op, inputs=(left, right)) if (mirrored := op.mirrored()) is not None:
            return Put(mirrored, (right, left))
    return None


def _broadcast(algebra: Algebra, node: Node) -> Found:
    (x,), axes = node.inputs, node.output.type.axes
    if x.type == node.output.type:
        return x
    inner = algebra.made_by(x, Broadcast)
    if inner:
        return Put(Broadcast(axes), inner.inputs)
    return Put(Transpose(axes), (x,)) if set(x.type.axes) == set(axes) else None


def _flatten(algebra: Algebra, node: Node) -> Found:
    (x,) = node.inputs
    match node.op, algebra.producers.get(x):
        case Flatten((part,), axis), _:
            return Put(Rename(part, axis), (x,))
        case Flatten(parts, axis), Node(op=Unflatten(taken, into), inputs=(given,)) if into == parts:
            return given if taken == axis else Put(Rename(taken, axis), (given,))
    return None


def _unflatten(algebra: Algebra, node: Node) -> Found:
    (x,) = node.inputs
    match node.op, algebra.producers.get(x):
        case Unflatten(axis, (part,)), _:
            return Put(Rename(axis, part), (x,))
        case Unflatten(axis, parts), Node(op=Flatten(joined, into), inputs=(given,)) if (joined, into) == (parts, axis):
            return given
    return None


def _slice(algebra: Algebra, node: Node) -> Found:
    match node.op:
        case Slice(axis, start, target) if start == Size.of(0) and axis.size == target.size:
            return Put(Rename(axis, target), node.inputs)
    return None


def _where(algebra: Algebra, node: Node) -> Found:
    condition, left, right = node.inputs
    known = _constant(algebra, condition)
    if known is not None:
        return left if known else right
    return left if left is right else None


def _logical(algebra: Algebra, node: Node) -> Found:
    """`and` or `or` with itself."""
    return node.inputs[0] if node.inputs[0] is node.inputs[1] else None


def _reduction(algebra: Algebra, node: Node) -> Found:
    match node.op:
        case Sum(over=()) | Mean(over=()):
            return node.inputs[0]
    return None


def _softmax(algebra: Algebra, node: Node) -> Found:
    """A mask that is true everywhere is not a mask."""
    assert isinstance(node.op, Softmax)
    where, _ = node.op.parts(*node.inputs[1:])
    if where is not None and _constant(algebra, where) is True:
        return Put(node.op, tuple(value for value in node.inputs if value is not where))
    return None


def _moved(algebra: Algebra, node: Node) -> Found:
    """An operand's layout does not matter where the result's comes out the same."""
    inputs = list(node.inputs)
    for i, value in enumerate(inputs):
        inner = algebra.made_by(value, Transpose)
        if inner is None:
            continue
        given = [*inputs[:i], inner.inputs[0], *inputs[i + 1 :]]
        if node.op.infer(*(v.type for v in given)) == node.output.type:
            inputs = given
    return Put(node.op, tuple(inputs)) if inputs != list(node.inputs) else None


RULES: tuple[Rule, ...] = (
    simple("computed", (Op,), _computed),
    simple("simplified", (Binary,), _neutral),
    simple("simplified", (Neg, Not), _twice),
    simple("simplified", (Cast,), _cast),
    simple("simplified", (Dropout,), _dropout),
    simple("simplified", (Rename,), _rename),
    simple("simplified", (Transpose,), _transpose),
    simple("simplified", (Broadcast,), _broadcast),
    simple("simplified", (Flatten,), _flatten),
    simple("simplified", (Unflatten,), _unflatten),
    simple("simplified", (Slice,), _slice),
    simple("simplified", (Where,), _where),
    simple("simplified", (And, Or), _logical),
    simple("simplified", (Sum, Mean), _reduction),
    simple("simplified", (Softmax,), _softmax),
    simple("simplified", (Add, Sub, Mul, Div, Flatten, Where, And, Or, Sum, Mean, Dot), _moved),
)


class ConstantFolding(RulePass):
    """Computes what is known and drops what does nothing, until nothing more is found."""

    name = "constant-folding"
    housekeeping = True
    rules = RULES


def _is(number: Scalar | None, value: Scalar | None) -> bool:
    """Whether a known number is `value`; a bool is not a number."""
    known = number is not None and isinstance(number, bool) == isinstance(value, bool)
    return known and number == value


def _shown(number: Scalar) -> str:
    return (
        str(number).lower()
        if isinstance(number, bool)
        else f"{number:.6g}"
        if isinstance(number, float)
        else str(number)
    )
