"""The activations with an operator of their own: GELU in both forms, and SiLU.

Compared as polynomials in x and the curve, so it does not matter where the constants stand:

    gelu          1/2 x + 1/2 x erf(x / sqrt(2))
    gelu (tanh)   1/2 x + 1/2 x tanh(sqrt(2 / pi) x + sqrt(2 / pi) 0.044715 x ^ 3)
    silu          x sigmoid(x)
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from attndsl.graph import Graph, Node, Value
from attndsl.ops import Add, Div, Erf, Exp, Gelu, Mul, Op, Sigmoid, Silu, Sub, Tanh
from attndsl.passes.algebra import ARITHMETIC, ONE, Algebra, same
from attndsl.passes.base import Pass, Refusal, Report
from attndsl.passes.matching import Match, NearMiss, fuse, group
from attndsl.records import dataclass

SLOPE = math.sqrt(2 / math.pi)

# For each curve: the powers of x in its argument, and those of (x, curve) in the whole.
FORMS: tuple[tuple[type[Op], Mapping[int, float], Mapping[tuple[int, int], float], Op], ...] = (
    (Erf, {1: math.sqrt(0.5)}, {(1, 0): 0.5, (1, 1): 0.5}, Gelu(approximate=False)),
    (Tanh, {1: SLOPE, 3: SLOPE * 0.044715}, {(1, 0): 0.5, (1, 1): 0.5}, Gelu(approximate=True)),
    (Sigmoid, {1: 1.0}, {(1, 1): 1.0}, Silu()),
)


@dataclass(frozen=True, slots=True)
class FuseActivation(Pass):
    """Groups that compute a GELU or a SiLU become one `gelu` or `silu`."""

    name = "fuse-activation"
    after = ("constant-folding", "common-subexpressions", "canonicalise")

    def run(self, graph: Graph) -> tuple[Graph, Report]:
        return fuse(graph, self.name, (Add, Sub, Mul, Div), _match)


def _match(algebra: Algebra, root: Node) -> Match | NearMiss | None:
    worst = _over_exp(algebra, root)
    if isinstance(worst, Match):
        return worst
    for value in algebra.nearby(root.output, 4):
        curve = algebra.made_by(value, Erf, Tanh, Sigmoid)
        if curve is None:
            continue
        for kind, inner, outer, op in FORMS:
            if not isinstance(curve.op, kind):
                continue
            found = _form(algebra, root, curve, inner, outer, op)
            if isinstance(found, Match):
                return found
            worst = worst or found
    return worst


def _over_exp(algebra: Algebra, root: Node) -> Match | NearMiss | None:
    """x / (1 + exp(-x))"""
    for value in algebra.nearby(root.output, 3):
        power = algebra.made_by(value, Exp)
        if power is None:
            continue
        for x in algebra.nearby(power.inputs[0], 2):
            minus = {algebra.monomial((x, 1)): -1.0}
            if algebra.constant(x) is not None or not same(algebra.polynomial(power.inputs[0], (x,)), minus):
                continue
            for below in algebra.nearby(root.output, 2):
                quotient = {algebra.monomial((x, 1), (below, -1)): 1.0}
                sigmoid = {ONE: 1.0, algebra.monomial((power.output, 1)): 1.0}
                if same(algebra.polynomial(below, (power.output,)), sigmoid) and same(
                    algebra.polynomial(root.output, (x, below)), quotient
                ):
                    return _found(algebra, root, power, x, Silu())
    return None


def _found(algebra: Algebra, root: Node, curve: Node, x: Value, op: Op) -> Match:
    nodes = group(algebra, root, (x,), (*ARITHMETIC, Erf, Tanh, Sigmoid, Exp))
    detail = f"`{op.name}`, tanh form" if op == Gelu(approximate=True) else f"`{op.name}`"
    return Match("activation", curve, nodes, detail, lambda rewriter: rewriter.emit(op, rewriter.now(x)))


def _form(
    algebra: Algebra,
    root: Node,
    curve: Node,
    inner: Mapping[int, float],
    outer: Mapping[tuple[int, int], float],
    op: Op,
) -> Match | NearMiss | None:
    nearly: NearMiss | None = None
    for x in algebra.nearby(curve.inputs[0], 5):
        if algebra.constant(x) is not None:
            continue
        whole = algebra.polynomial(root.output, (x, curve.output))
        argument = algebra.polynomial(curve.inputs[0], (x,))
        wanted = {algebra.monomial((x, a), (curve.output, b)): c for (a, b), c in outer.items()}
        powers = {algebra.monomial((x, power)): c for power, c in inner.items()}
        if whole.keys() != wanted.keys() or argument.keys() != powers.keys():
            continue
        if same(whole, wanted) and same(argument, powers):
            return _found(algebra, root, curve, x, op)
        for found, right, node in ((whole, wanted, root), (argument, powers, curve)):
            if not same(found, right):
                numbers = [" and ".join(f"{terms[m]:.7g}" for m in right) for terms in (found, right)]
                reason = f"the constants are those of no `{op.name}`: {numbers[0]} instead of {numbers[1]}"
                nearly = NearMiss("activation", curve, Refusal(reason, node, 2))
    return nearly
