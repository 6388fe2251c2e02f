"""One rule for each primitive (`attndsl.typesetting.rule` says what that is): those that compute, and the table."""

from __future__ import annotations

from attndsl import ops
from attndsl.graph import Node
from attndsl.types import BOOL
from attndsl.typesetting.notation import (
    AND,
    ATOM,
    BIG,
    COMPARE,
    OR,
    OTHERWISE,
    PLUS,
    POWER,
    TIMES,
    MathText,
    applied,
    cases,
    joined,
    number,
)
from attndsl.typesetting.places import PLACES
from attndsl.typesetting.rule import Elements, Places, Rule, first, running


def _operands(of: Elements, node: Node, places: Places) -> list[MathText]:
    return [of.element(value, places) for value in node.inputs]


def _infix(sign: str, level: int) -> Rule:
    def rule(of: Elements, node: Node, places: Places) -> MathText:
        left, right = _operands(of, node, places)
        return joined(sign, left, right, level, associative=node.op.associative)

    return rule


def _function(operator: str) -> Rule:
    return lambda of, node, places: applied(operator, *_operands(of, node, places))


def _around(left: str, right: str) -> Rule:
    return lambda of, node, places: MathText(rf"\left{left} {_operands(of, node, places)[0]} \right{right}")


# ---------------------------------------------------------------- element by element


def _exp(of: Elements, node: Node, places: Places) -> MathText:
    return MathText(f"e^{{{first(of, node, places)}}}", POWER)


def _sqrt(of: Elements, node: Node, places: Places) -> MathText:
    return MathText(rf"\sqrt{{{first(of, node, places)}}}")


def _rsqrt(of: Elements, node: Node, places: Places) -> MathText:
    root = rf"\sqrt{{{first(of, node, places)}}}"
    return MathText(rf"\frac{{1}}{{{root}}}", below=root)


def _neg(of: Elements, node: Node, places: Places) -> MathText:
    return MathText(f"-{first(of, node, places).within(TIMES)}", PLUS)


def _not(of: Elements, node: Node, places: Places) -> MathText:
    return MathText(rf"\neg {first(of, node, places).within(ATOM)}", AND)


def _cast(of: Elements, node: Node, places: Places) -> MathText:
    """From numbers to numbers nothing but a fraction is lost; a truth is 1 or 0 (Iverson's brackets)."""
    (inner,), before, after = _operands(of, node, places), node.inputs[0].type, node.output.type
    if before.dtype == BOOL and after.dtype != BOOL:
        return MathText(rf"\left[ {inner} \right]")
    if after.dtype == BOOL and before.dtype != BOOL:
        return MathText(rf"{inner.within(PLUS)} \ne 0", COMPARE)
    return applied(r"\operatorname{int}", inner) if before.is_float and not after.is_float else inner


def _mul(of: Elements, node: Node, places: Places) -> MathText:
    left, right = _operands(of, node, places)
    if right.below:
        return MathText(rf"\frac{{{left}}}{{{right.below}}}")
    return joined(r"\cdot", left, right, TIMES)


def _div(of: Elements, node: Node, places: Places) -> MathText:
    left, right = _operands(of, node, places)
    return MathText(rf"\frac{{{left}}}{{{right}}}")


def _floor_div(of: Elements, node: Node, places: Places) -> MathText:
    left, right = _operands(of, node, places)
    return MathText(rf"\left\lfloor {left.within(TIMES)} / {right.within(POWER)} \right\rfloor")


def _pow(of: Elements, node: Node, places: Places) -> MathText:
    left, right = _operands(of, node, places)
    base = left.within(ATOM)
    base = f"{{{base}}}" if "'" in base or "^" in base else base  # which has a superscript already
    return MathText(f"{base}^{{{right}}}", POWER)


def _extreme(operator: str) -> Rule:
    def rule(of: Elements, node: Node, places: Places) -> MathText:
        left, right = _operands(of, node, places)
        return MathText(rf"{operator}\left({left}, {right}\right)")

    return rule


def _where(of: Elements, node: Node, places: Places) -> MathText:
    condition, left, right = _operands(of, node, places)
    return cases((left, rf"\text{{if }} {condition}"), (right, OTHERWISE))


def _given(of: Elements, node: Node, places: Places) -> MathText:
    given, default = _operands(of, node, places)
    return cases((given, r"\text{if it is given}"), (default, OTHERWISE))


def _in_training(of: Elements, node: Node, places: Places) -> MathText:
    trained, used = _operands(of, node, places)
    return cases((trained, r"\text{in training}"), (used, OTHERWISE))


# ---------------------------------------------------------------- along axes


def _reduced(operator: str, level: int = BIG) -> Rule:
    """`\\sum_i x_i`, `\\max_i x_i`: an operator over what it goes over."""

    def rule(of: Elements, node: Node, places: Places) -> MathText:
        new = of.bound(node.op.goes_over, places)
        inner = of.element(node.inputs[0], {**places, **new})
        return MathText(rf"{operator}_{{{running(new)}}} {inner.within(BIG)}", level)

    return rule


def _softmax(of: Elements, node: Node, places: Places) -> MathText:
    """Only what `where` allows counts: its formula stands below the operator, with the indices that run."""
    assert isinstance(node.op, ops.Softmax)
    new = of.bound(node.op.over, {})
    inner = {**places, **new}
    masks = [of.element(mask, inner).text for mask in node.inputs[1 : len(node.inputs) - node.op.sink]]
    below = "".join(rf":\ {mask}" for mask in masks if mask != number(True).text)
    sink = rf",\ {of.element(node.inputs[-1], places)}" if node.op.sink else ""
    at = {index.text: places[axis].text for axis, index in new.items()}
    found = of.element(node.inputs[0], inner)
    text = rf"\operatorname*{{softmax}}_{{{running(new)}{below}}}\left({found}{sink}\right)"
    moved = [place for index, place in at.items() if place != index]
    return MathText(rf"{text}_{{{','.join(at.values())}}}" if moved else text)


def _along(operator: str) -> Rule:
    """A function of all elements along axes, of which the result has an element for each."""

    def rule(of: Elements, node: Node, places: Places) -> MathText:
        new = of.bound(node.op.goes_over, places)
        inner = of.element(node.inputs[0], {**places, **new})
        at = ",".join(of.index(places[axis]).text for axis in node.op.goes_over)
        return MathText(rf"\left[\operatorname*{{{operator}}}_{{{running(new)}}} {inner.within(TIMES)}\right]_{{{at}}}")

    return rule


def _argsort(of: Elements, node: Node, places: Places) -> MathText:
    assert isinstance(node.op, ops.ArgSort)
    return _along("argsort" + r"^{\downarrow}" * node.op.descending)(of, node, places)


def _running(operator: str) -> Rule:
    def rule(of: Elements, node: Node, places: Places) -> MathText:
        new = of.bound(node.op.goes_over, places)
        ((axis, index),) = new.items()
        inner = of.element(node.inputs[0], {**places, **new})
        last = of.index(places[axis])
        return MathText(rf"{operator}_{{{index} \le {last}}} {inner.within(BIG)}", BIG)

    return rule


def _dot(of: Elements, node: Node, places: Places) -> MathText:
    assert isinstance(node.op, ops.Dot)
    new = of.bound(node.op.goes_over, places)
    left, right = (of.element(value, {**places, **new}) for value in node.inputs)
    product = rf"{left.within(POWER)}\, {right.within(POWER)}"
    return MathText(rf"\sum_{{{running(new)}}} {product}", BIG) if new else MathText(product, TIMES)


def _solve_triangular(of: Elements, node: Node, places: Places) -> MathText:
    assert isinstance(node.op, ops.SolveTriangular)
    new, (matrix, vector) = of.bound((node.op.earlier,), places), node.inputs
    left = of.element(matrix, {**places, **new})
    right = of.element(vector, {**places, node.op.over: new[node.op.earlier]})
    return applied(rf"\operatorname*{{solve}}_{{{running(new)}}}", MathText(f"{left}, {right}"))


RULES: dict[type[ops.Op], Rule] = {
    ops.Exp: _exp, ops.Log: _function(r"\log"), ops.Sqrt: _sqrt, ops.Rsqrt: _rsqrt, ops.Tanh: _function(r"\tanh"),
    ops.Erf: _function(r"\operatorname{erf}"), ops.Sigmoid: _function(r"\sigma"), ops.Sin: _function(r"\sin"),
    ops.Cos: _function(r"\cos"), ops.Floor: _around(r"\lfloor", r"\rfloor"), ops.Ceil: _around(r"\lceil", r"\rceil"),
    ops.Round: _around(r"\lfloor", r"\rceil"), ops.Neg: _neg, ops.Abs: _around("|", "|"),
    ops.Sign: _function(r"\operatorname{sign}"), ops.Not: _not, ops.Cast: _cast,
    ops.StopGradient: _function(r"\operatorname{stop\_gradient}"),
    ops.Add: _infix("+", PLUS), ops.Sub: _infix("-", PLUS), ops.Mul: _mul, ops.Div: _div,
    ops.FloorDiv: _floor_div, ops.Mod: _infix(r"\bmod", TIMES), ops.Pow: _pow, ops.Maximum: _extreme(r"\max"),
    ops.Minimum: _extreme(r"\min"), ops.Where: _where,
    ops.Eq: _infix("=", COMPARE), ops.Ne: _infix(r"\ne", COMPARE), ops.Lt: _infix("<", COMPARE),
    ops.Le: _infix(r"\le", COMPARE), ops.Gt: _infix(">", COMPARE), ops.Ge: _infix(r"\ge", COMPARE),
    ops.And: _infix(r"\land", AND), ops.Or: _infix(r"\lor", OR),
    ops.Sum: _reduced(r"\sum"), ops.Mean: _reduced(r"\operatorname*{mean}"), ops.Max: _reduced(r"\max"),
    ops.Min: _reduced(r"\min"), ops.Prod: _reduced(r"\prod"), ops.Any: _reduced(r"\bigvee", OR),
    ops.All: _reduced(r"\bigwedge", AND), ops.ArgMax: _reduced(r"\operatorname*{arg\,max}"),
    ops.Softmax: _softmax, ops.LogSoftmax: _along("log-softmax"), ops.LogSumExp: _reduced(r"\operatorname*{logsumexp}"),
    ops.CumSum: _running(r"\sum"), ops.CumProd: _running(r"\prod"), ops.ArgSort: _argsort, ops.Dot: _dot,
    ops.SolveTriangular: _solve_triangular, ops.Given: _given, ops.InTraining: _in_training,
    **PLACES,
}  # fmt: skip
