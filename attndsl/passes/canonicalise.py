"""Canonical forms: what has a primitive of its own is that primitive, however spelled; operands have an order."""

from __future__ import annotations

from attndsl.graph import Node, Value
from attndsl.ops import (
    Constant,
    Div,
    Dot,
    Exp,
    Ge,
    Gt,
    Le,
    Log,
    LogSoftmax,
    LogSumExp,
    Lt,
    Mean,
    Mul,
    Op,
    Parameter,
    Pow,
    Range,
    Rename,
    Rsqrt,
    Sigmoid,
    Softmax,
    Sqrt,
    Sub,
    Sum,
    Take,
    Transpose,
)
from attndsl.passes.algebra import ONE, Algebra, same
from attndsl.passes.rules import Match, Put, Rule, RulePass, simple
from attndsl.passes.spelled_softmax import refuse_infinite_rows, softmax_written_out


def _sigmoid(algebra: Algebra, node: Node) -> Put | None:
    """1 / (1 + exp(-x))"""
    monomial, coefficient = algebra.product(node.output)
    if coefficient != 1.0 or len(monomial) != 1 or monomial[0][1] != -1:
        return None
    below = algebra.polynomial(monomial[0][0])
    for value in algebra.nearby(monomial[0][0], 2):
        power = algebra.made_by(value, Exp)
        if power is not None and same(below, {ONE: 1.0, algebra.monomial((value, 1)): 1.0}):
            for x in algebra.nearby(power.inputs[0], 2):
                if same(algebra.polynomial(power.inputs[0], (x,)), {algebra.monomial((x, 1)): -1.0}):
                    return Put(Sigmoid(), (x,))
    return None


def _mean(algebra: Algebra, node: Node) -> Put | None:
    """sum(x) / n"""
    found = algebra.mean(*algebra.product(node.output))
    return Put(Mean(found[0]), found[1]) if found is not None and isinstance(found[2].op, Sum) else None


def _dot(algebra: Algebra, node: Node) -> Match | None:
    """sum(a * b) along axes of both, where one is repeated for the other: nobody needs the product."""
    value = node.inputs[0]
    moved = algebra.made_by(value, Transpose)
    product = algebra.made_by(value if moved is None else moved.inputs[0], Mul)
    if product is None or not all(map(algebra.rewriter.used_once, {value, product.output})):
        return None
    match node.op, product.inputs:
        case Sum((_, *_) as over), (a, b) if a.type.is_float and b.type.is_float:
            left, right = set(a.type.axes), set(b.type.axes)
            if set(over) <= left & right and left != right:
                return Match("`sum` of a product becomes `dot`", lambda out: out.emit(Dot(over), a, b))
    return None


def _root(algebra: Algebra, node: Node) -> Put | None:
    """1 / sqrt(v), v ^ -0.5, v ^ 0.5"""
    left, right = node.inputs
    match node.op, algebra.producers.get(right):
        case Div(), Node(op=Sqrt(), inputs=(base,)) if algebra.constant(left) == 1.0:
            return Put(Rsqrt(), (base,))
        case Pow(), _ if algebra.constant(right) in (0.5, -0.5):
            return Put(Sqrt() if algebra.constant(right) == 0.5 else Rsqrt(), (left,))
    return None


def _log_softmax(algebra: Algebra, node: Node) -> Put | None:
    """log(softmax(x)), x - logsumexp(x)"""
    match node.op, algebra.producers.get(node.inputs[-1]):
        case Log(), Node(op=Softmax(over, sink=False), inputs=(x,)):
            refuse_infinite_rows(algebra, node, x)
            return Put(LogSoftmax(over), (x,))
        case Sub(), Node(op=LogSumExp(over), inputs=(x,)) if x is node.inputs[0]:
            return Put(LogSoftmax(over), (x,))
    return None


def _exp(algebra: Algebra, node: Node) -> Put | None:
    """exp(log_softmax(x)), exp(x - logsumexp(x))"""
    match algebra.producers.get(node.inputs[0]):
        case Node(op=LogSoftmax(over), inputs=inputs):
            refuse_infinite_rows(algebra, node, inputs[0])
            return Put(Softmax(over), inputs)
        case Node(op=Sub()) as difference:
            match _log_softmax(algebra, difference):
                case Put(LogSoftmax(over), inputs):
                    refuse_infinite_rows(algebra, node, inputs[0])
                    return Put(Softmax(over), inputs)
    return None


def _in_order(algebra: Algebra, node: Node) -> Value | Put | None:
    """take(table, range(n), over=n): the table"""
    table, index = node.inputs
    made = algebra.made_by(index, Range)
    assert isinstance(node.op, Take)
    if made is None or not isinstance(made.op, Range) or made.op.axis.size != node.op.over.size:
        return None
    same = made.op.axis == node.op.over
    return table if same else Put(Rename(node.op.over, made.op.axis), (table,))


def _flipped(algebra: Algebra, node: Node) -> Put | None:
    return Put(Lt() if isinstance(node.op, Gt) else Le(), node.inputs[::-1])


def _is_parameter(algebra: Algebra, value: Value) -> bool:
    """Whether a value is a parameter, with its axes renamed or moved."""
    node = algebra.producers.get(value)
    while node is not None and node.op.moves and len(node.inputs) == 1:
        node = algebra.producers.get(node.inputs[0])
    return node is not None and isinstance(node.op, Parameter)


def _ordered(algebra: Algebra, node: Node) -> Put | None:
    """What is computed, then parameters, then constants; among equals what was made first."""
    if not node.op.commutative:
        return None
    left, right = node.inputs

    def key(value: Value) -> tuple[int, int]:
        rank = 2 if algebra.made_by(value, Constant) else 1 if _is_parameter(algebra, value) else 0
        return rank, algebra.rewriter.order[value]

    return Put(node.op, (right, left)) if key(right) < key(left) else None


RULES: tuple[Rule, ...] = (
    simple("spelled-softmax", (Div, Mul), softmax_written_out, exact=False),
    simple("spelled-softmax", (Exp,), _exp, exact=False),
    simple("spelled-log-softmax", (Log, Sub), _log_softmax, exact=False),
    simple("spelled-sigmoid", (Div, Pow), _sigmoid),
    simple("spelled-root", (Div, Pow), _root),
    simple("spelled-mean", (Div, Mul), _mean),
    simple("spelled-dot", (Sum,), _dot),
    simple("taken-in-order", (Take,), _in_order),
    simple("operand-order", (Gt, Ge), _flipped, quiet=True),
    simple("operand-order", (Op,), _ordered, quiet=True),
)


class Canonicalise(RulePass):
    """`exp(x) / sum(exp(x))` is a softmax, `1 / (1 + exp(-x))` a sigmoid, `sum(x) / n` a mean, `1 / sqrt(v)` an rsqrt,
    `sum(a * b)` a dot where one is repeated for the other, `take(table, range(n), over=n)` the table; `a > b` is
    `b < a` and commutative operands have an order (parameters behind what is computed, constants last)."""

    name = "canonicalise"
    after = ("constant-folding", "common-subexpressions")
    rules = RULES
