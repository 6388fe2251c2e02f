"""The activations with an operator of their own: GELU in both forms, and SiLU.

Compared as polynomials in x and the curve, so it does not matter where the constants stand:

    gelu          1/2 x + 1/2 x erf(x / sqrt(2))
    gelu (tanh)   1/2 x + 1/2 x tanh(sqrt(2 / pi) x + sqrt(2 / pi) 0.044715 x ^ 3)
    silu          x sigmoid(x)
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from attndsl.graph import Graph, Node, Value
from attndsl.ops import Add, Div, Erf, Gelu, Mul, Op, Sigmoid, Silu, Sub, Tanh
from attndsl.passes.algebra import ARITHMETIC, Algebra, same
from attndsl.passes.base import Pass, Refusal, Report
from attndsl.passes.matching import Match, NearMiss, fuse, group
from attndsl.passes.rewrite import Rewriter

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
    worst: NearMiss | None = None
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


def _form(
    algebra: Algebra, root: Node, curve: Node, inner: Mapping[int, float], outer: Mapping[tuple[int, int], float], op: Op
) -> Match | NearMiss | None:
    name = f"`{op.name}`"
    nearly: NearMiss | None = None
    for x in algebra.nearby(curve.inputs[0], 5):
        if algebra.constant(x) is not None:
            continue
        whole = algebra.polynomial(root.output, (x, curve.output))
        wanted = {algebra.monomial((x, a), (curve.output, b)): c for (a, b), c in outer.items()}
        if not same(whole, wanted):
            continue
        argument = algebra.polynomial(curve.inputs[0], (x,))
        powers = {algebra.monomial((x, power)): c for power, c in inner.items()}
        if not same(argument, powers):
            if argument.keys() == powers.keys() and max(inner) > 0:
                found = " and ".join(f"{argument[m]:.7g}" for m in powers)
                right = " and ".join(f"{c:.7g}" for c in powers.values())
                reason = f"the constants are those of no {name}: {found} instead of {right}"
                nearly = NearMiss("activation", curve, Refusal(reason, curve, 2))
            continue
        nodes = group(algebra, root, (x,), (*ARITHMETIC, Erf, Tanh, Sigmoid))

        def build(rewriter: Rewriter, x: Value = x) -> Value:
            return rewriter.emit(op, rewriter.now(x))

        detail = f"{name}, tanh form" if op == Gelu(approximate=True) else name
        return Match("activation", curve, nodes, detail, build)
    return nearly
