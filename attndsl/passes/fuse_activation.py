"""The activations with an operator of their own: GELU in both forms, and SiLU.

Compared as polynomials in x and the curve, so it does not matter where the constants stand:

    gelu          1/2 x + 1/2 x erf(x / sqrt(2))
    gelu (tanh)   1/2 x + 1/2 x tanh(sqrt(2 / pi) x + sqrt(2 / pi) 0.044715 x ^ 3)
    silu          x sigmoid(x)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from attndsl.graph import Node, Value
from attndsl.ops import Add, Div, Erf, Exp, Gelu, Mul, Op, Sigmoid, Silu, Sub, Tanh
from attndsl.passes.algebra import ARITHMETIC, ONE, Algebra, Polynomial, same
from attndsl.passes.base import Refusal
from attndsl.passes.matching import group
from attndsl.passes.rules import Match, Rule, RulePass
from attndsl.records import Frozen

SLOPE = math.sqrt(2 / math.pi)


class ActivationForm(Frozen):
    """An activation: its curve, the powers of x in the curve's argument, and those of (x, curve) in the whole."""

    kind: type[Op]
    inner: Mapping[int, float]
    outer: Mapping[tuple[int, int], float]
    op: Op


FORMS = (
    ActivationForm(Erf, {1: math.sqrt(0.5)}, {(1, 0): 0.5, (1, 1): 0.5}, Gelu(approximate=False)),
    ActivationForm(Tanh, {1: SLOPE, 3: SLOPE * 0.044715}, {(1, 0): 0.5, (1, 1): 0.5}, Gelu(approximate=True)),
    ActivationForm(Sigmoid, {1: 1.0}, {(1, 1): 1.0}, Silu()),
)


class _Candidate(Frozen):
    """A curve near the root, its argument as a polynomial in x of the powers that the form has."""

    form: ActivationForm
    curve: Node
    x: Value
    argument: Polynomial
    powers: Polynomial


def _curves(algebra: Algebra, root: Node) -> Iterator[_Candidate]:
    for value in algebra.nearby(root.output, 4):
        curve = algebra.made_by(value, Erf, Tanh, Sigmoid)
        if curve is None:
            continue
        (form,) = (form for form in FORMS if isinstance(curve.op, form.kind))
        for x in algebra.nearby(curve.inputs[0], 5):
            if algebra.constant(x) is not None:
                continue
            argument = algebra.polynomial(curve.inputs[0], (x,))
            powers = {algebra.monomial((x, power)): c for power, c in form.inner.items()}
            if argument.keys() == powers.keys():
                yield _Candidate(form, curve, x, argument, powers)


def _check(algebra: Algebra, root: Node, found: _Candidate) -> Match | None:
    curve, x, op = found.curve, found.x, found.form.op
    whole = algebra.polynomial(root.output, (x, curve.output))
    wanted = {algebra.monomial((x, a), (curve.output, b)): c for (a, b), c in found.form.outer.items()}
    if whole.keys() != wanted.keys():
        return None
    for terms, right, node in ((argument := found.argument, found.powers, curve), (whole, wanted, root)):
        if not same(terms, right):
            numbers = [" and ".join(f"{side[m]:.7g}" for m in right) for side in (terms, right)]
            reason = f"the constants are not those of `{op.name}`: {numbers[0]} instead of {numbers[1]}"
            raise Refusal(reason, node, 2 if terms is argument else 3)
    return _match(algebra, root, x, op)


def _over_exp(algebra: Algebra, root: Node) -> Iterator[tuple[Node, Value]]:
    """x / (1 + exp(-x)): the power, and x."""
    for value in algebra.nearby(root.output, 3):
        power = algebra.made_by(value, Exp)
        if power is None:
            continue
        for x in algebra.nearby(power.inputs[0], 2):
            minus = {algebra.monomial((x, 1)): -1.0}
            if algebra.constant(x) is None and same(algebra.polynomial(power.inputs[0], (x,)), minus):
                yield power, x


def _check_over_exp(algebra: Algebra, root: Node, found: tuple[Node, Value]) -> Match | None:
    power, x = found
    sigmoid = {ONE: 1.0, algebra.monomial((power.output, 1)): 1.0}
    for below in algebra.nearby(root.output, 2):
        quotient = {algebra.monomial((x, 1), (below, -1)): 1.0}
        if same(algebra.polynomial(root.output, (x, below)), quotient) and same(
            algebra.polynomial(below, (power.output,)), sigmoid
        ):
            return _match(algebra, root, x, Silu())
    return None


def _match(algebra: Algebra, root: Node, x: Value, op: Op) -> Match:
    nodes = group(algebra, root, (x,), (*ARITHMETIC, Erf, Tanh, Sigmoid, Exp))
    detail = f"`{op.name}`, tanh form" if op == Gelu(approximate=True) else f"`{op.name}`"
    return Match(detail, lambda out: out.emit(op, x), nodes)


class FuseActivation(RulePass):
    """Groups that compute a GELU or a SiLU become one `gelu` or `silu`."""

    name = "fuse-activation"
    after = ("constant-folding", "common-subexpressions", "canonicalise")
    rules = (
        Rule("activation", (Add, Sub, Mul, Div), _over_exp, _check_over_exp, core=lambda found: found[0]),
        Rule("activation", (Add, Sub, Mul, Div), _curves, _check, core=lambda found: found.curve),
    )
    backward = True
