"""Layer norm and RMS norm, however they are spelled.

The pattern, as polynomials: v is a mean plus a constant, and the group's result is

    layer norm   (x - m) * v ^ (-1/2) * scale + shift    v = mean((x - m) ^ 2) + eps  or  mean(x ^ 2) - m ^ 2 + eps
    RMS norm     x * v ^ (-1/2) * scale                  v = mean(x ^ 2) + eps

with m = mean(x), all means over the same axes, scale and shift (if any) over exactly these axes too. In which order
things are multiplied, or whether scale is multiplied into the root, does not matter: the polynomials are equal.

What lies within may be read elsewhere too: a mean or a root is computed again for that, which costs less than a norm in
two halves, and two norms of the same x (a parallel block's) each become one.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from attndsl.graph import Axis, Node, Value
from attndsl.graph.builder import Builder
from attndsl.ops import Add, Div, LayerNorm, Mean, Mul, Op, Parameter, Pow, RMSNorm, Rsqrt, Sqrt, Sub, Sum
from attndsl.passes.algebra import ARITHMETIC, ONE, Algebra, Monomial, Polynomial, close, same
from attndsl.passes.base import Refusal
from attndsl.passes.matching import axis_names, group
from attndsl.passes.rules import Match, Rule, RulePass
from attndsl.records import Frozen

HALF = Fraction(1, 2)


class _Variance(Frozen):
    """v, taken apart: what it is a variance (or mean square, then `mean` is None) of, over which axes, plus eps."""

    v: Value
    x: Value
    mean: Value | None
    over: tuple[Axis, ...]
    eps: float


def _check(algebra: Algebra, root: Node, found: tuple[Node, Value]) -> Match | None:
    core, v = found
    try:
        variance = _variance(algebra, core, v)
    except Refusal:
        if isinstance(core.op, Div):  # dividing by any odd thing is not an attempt at a norm
            return None
        raise
    return None if variance is None else _group(algebra, root, core, variance)


def _roots(algebra: Algebra, root: Node) -> Iterator[tuple[Node, Value]]:
    """The square roots and quotients nearby, with what they are roots of or divide by."""
    for value in algebra.nearby(root.output, 5):
        node = algebra.made_by(value, Sqrt, Rsqrt, Pow, Div)
        if node is None:
            continue
        if isinstance(node.op, Div):
            yield node, node.inputs[1]
        elif not isinstance(node.op, Pow) or abs(algebra.constant(node.inputs[1]) or 0.0) == 0.5:
            yield node, node.inputs[0]


def _variance(algebra: Algebra, core: Node, v: Value) -> _Variance | None:
    """None where v has nothing to do with a mean of squares."""
    terms = algebra.polynomial(v)
    eps = terms.pop(ONE, 0.0)
    squares = [(m, c) for m, c in terms.items() if len(m) > 0]
    means = [(m, c, found) for m, c in squares if (found := algebra.mean(m, c)) is not None]
    if not means:
        _no_mean(algebra, terms)
        return None
    if eps < 0:
        raise Refusal(f"{eps}, which is negative, is added to the variance", core, 1)
    if len(squares) == 1:
        over, factors, mean = means[0][2]
        return _deviations(algebra, v, over, factors, eps, mean) or _squares(algebra, v, over, factors, eps)
    if len(squares) == 2:
        return _difference(algebra, v, squares, eps, core)
    raise Refusal("what is under the root is more than a variance and a constant", core, 1)


def _no_mean(algebra: Algebra, terms: Polynomial) -> None:
    """Refuse with a reason where a sum of squares stands for their mean; else it is not a norm at all."""
    for monomial, coefficient in terms.items():
        for value, _ in monomial:
            total = algebra.made_by(value, Sum)
            if total is not None and _square(algebra, total.inputs) and algebra.mean(monomial, coefficient) is None:
                over = axis_names(total.op.goes_over)
                raise Refusal(
                    f"a sum of squares over {over} is not a mean: it is not divided by the number of elements", total, 1
                )


def _deviations(
    algebra: Algebra, v: Value, over: tuple[Axis, ...], factors: tuple[Value, ...], eps: float, node: Node
) -> _Variance | None:
    """mean((x - m) ^ 2)"""
    near = dict.fromkeys(value for factor in factors for value in algebra.nearby(factor, 5))
    for m in near:
        mean = _mean(algebra, m)
        if mean is None:
            continue
        axes, x = mean
        x1, m1 = algebra.monomial((x, 1)), algebra.monomial((m, 1))
        both = algebra.monomial((x, 1), (m, 1))
        wanted = {algebra.monomial((x, 2)): 1.0, both: -2.0, algebra.monomial((m, 2)): 1.0}
        product = algebra.product_of(factors, (x, m))
        if not same(product, wanted):
            if any(same(algebra.polynomial(f, (x, m)), {x1: s, m1: -s}) for f in near for s in (1.0, -1.0)):
                raise Refusal("the mean that is under the root is not of the squared deviations", node, 2)
            continue
        if set(axes) != set(over):
            raise Refusal(
                f"the mean is over {axis_names(axes)} and the variance over {axis_names(over)}", algebra.producers[m], 3
            )
        return _Variance(v, x, m, over, eps)
    return None


def _squares(
    algebra: Algebra, v: Value, over: tuple[Axis, ...], factors: tuple[Value, ...], eps: float
) -> _Variance | None:
    """mean(x ^ 2)"""
    x = _square(algebra, factors)
    return None if x is None else _Variance(v, x, None, over, eps)


def _square(algebra: Algebra, factors: tuple[Value, ...]) -> Value | None:
    """x, if the product of `factors` is its square."""
    for x in dict.fromkeys(value for factor in factors for value in algebra.nearby(factor, 2)):
        if same(algebra.product_of(factors, (x,)), {algebra.monomial((x, 2)): 1.0}):
            return x
    return None


def _difference(
    algebra: Algebra, v: Value, squares: list[tuple[Monomial, float]], eps: float, core: Node
) -> _Variance | None:
    """mean(x ^ 2) - mean(x) ^ 2"""
    for (first, a), (second, b) in (squares, squares[::-1]):
        found = algebra.mean(first, a)
        if found is None or b != -1.0 or len(second) != 1 or second[0][1] != 2:
            continue
        over, factors, _ = found
        m = second[0][0]
        mean = _mean(algebra, m)
        if mean is None:
            continue
        axes, x = mean
        if not same(algebra.product_of(factors, (x,)), {algebra.monomial((x, 2)): 1.0}):
            raise Refusal("the mean of squares and the squared mean are of different things", algebra.producers[m], 2)
        if set(axes) != set(over):
            raise Refusal(
                f"the mean is over {axis_names(axes)} and the mean of squares over {axis_names(over)}",
                algebra.producers[m],
                3,
            )
        return _Variance(v, x, m, over, eps)
    raise Refusal("what is under the root is more than a variance and a constant", core, 1)


def _mean(algebra: Algebra, value: Value) -> tuple[tuple[Axis, ...], Value] | None:
    """The axes and operand of a value that is a mean."""
    node = algebra.made_by(value, Mean)
    if node is not None:
        return node.op.goes_over, node.inputs[0]
    if algebra.made_by(value, Mul, Div) is None:
        return None
    terms = algebra.polynomial(value)
    if len(terms) != 1:
        return None
    ((monomial, coefficient),) = terms.items()
    found = algebra.mean(monomial, coefficient)
    return (found[0], found[1][0]) if found is not None and len(found[1]) == 1 else None


def _group(algebra: Algebra, root: Node, core: Node, variance: _Variance) -> Match:
    """The group that ends at `root`, or a refusal."""
    over, x, m, v = variance.over, variance.x, variance.mean, variance.v
    atoms = [value for value in (x, m, v) if value is not None]

    def affine(value: Value) -> bool:
        if not value.type.axes or not set(value.type.axes) <= set(over):
            return False
        return set(x.type.axes) > set(over) or not any(near in atoms for near in algebra.nearby(value))

    _outside(algebra, root, v)
    terms = algebra.polynomial(root.output, atoms, atom=affine)
    scaled: dict[Value, Polynomial] = {value: {} for value in atoms[:-1]}
    shift: Polynomial = {}
    for monomial, coefficient in terms.items():
        exponents = dict(monomial)
        if v not in exponents:
            shift[monomial] = coefficient
            continue
        if exponents.pop(v) != -HALF:
            raise Refusal("what is divided by is not the root of the variance", core, 2)
        numerator = next((value for value in scaled if exponents.get(value) == 1), None)
        if numerator is None:
            raise Refusal("what is divided by the root is not what the variance is of", core, 4)
        del exponents[numerator]
        scaled[numerator][tuple(exponents.items())] = coefficient
    scale = scaled[x]
    if not scale:
        raise Refusal("the root is not what something is divided by", core, 1)
    if m is not None and not same({k: -c for k, c in scaled[m].items()}, scale):
        raise Refusal("what is divided by the root is not the deviation from the mean", core, 4)
    if len(scale) != 1:
        raise Refusal("the scale is a sum with other terms in it", root, 5)
    ((factors, coefficient),) = scale.items()
    plain = not factors and close(coefficient, 1.0)
    for kind, values in (("scale", [factors]), ("shift", list(shift))):
        for monomial in values:
            _check_affine(algebra, root, kind, monomial, over)
    if not plain and not factors:
        raise Refusal(f"it is multiplied by {coefficient:g}, which is not a scale over {axis_names(over)}", root, 5)
    if shift and m is None:
        raise Refusal("an RMS norm has no shift: it stays an addition", root, 5)
    leaves = {x, *(value for mono in (factors, *shift) for value, _ in mono)}
    nodes = group(algebra, root, leaves, (*ARITHMETIC, Mean, Sum))

    def build(out: Builder) -> Value:
        operands = [x]
        if not plain:
            operands.append(_emitted(algebra, out, {factors: coefficient}))
        if shift:
            operands.append(_emitted(algebra, out, shift))
        op: Op = RMSNorm(over, variance.eps, not plain)
        if m is not None:
            op = LayerNorm(over, variance.eps, not plain, bool(shift))
        return out.emit(op, *operands)

    parts = [part for part, there in (("scale", not plain), ("shift", bool(shift))) if there]
    detail = f"`{'rms_norm' if m is None else 'layer_norm'}` over {axis_names(over)}"
    return Match(detail + (f" with {' and '.join(parts)}" if parts else ""), build, nodes)


def _check_affine(algebra: Algebra, root: Node, kind: str, monomial: Monomial, over: tuple[Axis, ...]) -> None:
    if len(monomial) > 1 and not all(algebra.made_by(value, Parameter) for value, _ in monomial):
        raise Refusal(f"the {kind} is a product of more than parameters: what is not a parameter stays apart", root, 5)
    axes: set[Axis] = set()
    for value, exponent in monomial:
        outside = [axis for axis in value.type.axes if axis not in over]
        if outside:
            reason = f"the {kind} has {axis_names(outside)}, and the norm is over {axis_names(over)}"
            raise Refusal(reason, algebra.producers.get(value, root), 6)
        if exponent != 1:
            raise Refusal(f"the {kind} is not a product of tensors over {axis_names(over)}", root, 5)
        axes.update(value.type.axes)
    if axes != set(over) and (kind == "shift" or monomial):
        raise Refusal(f"the {kind} is over {axis_names(axes)}, and the norm over {axis_names(over)}", root, 5)


def _outside(algebra: Algebra, root: Node, v: Value) -> None:
    """Refuse where something is added to the root itself."""
    for value in algebra.nearby(root.output, 4):
        node = algebra.made_by(value, Add)
        if node is None:
            continue
        terms = algebra.polynomial(value, (v,))
        if ONE in terms and (((v, HALF),) in terms or ((v, -HALF),) in terms):
            raise Refusal("eps is added outside the root: a norm adds it to the variance, under the root", node, 4)


def _emitted(algebra: Algebra, out: Builder, terms: Polynomial) -> Value:
    value = algebra.emit(out, terms)
    if value is None:
        raise AssertionError("a scale or shift with a power in it was accepted")
    return value


class FuseNorm(RulePass):
    """Groups that compute a layer norm or an RMS norm become one `layer_norm` or `rms_norm`, scale and shift
    included."""

    name = "fuse-norm"
    after = ("constant-folding", "common-subexpressions", "canonicalise")
    rules = (Rule("norm", (Add, Sub, Mul, Div), _roots, _check, core=lambda found: found[0]),)
    backward = True
