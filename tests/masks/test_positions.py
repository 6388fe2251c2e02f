"""Formulas of positions give, worked out as they stand, the numbers that the model computes."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from attndsl.backends.numpy_reference.evaluator import NumpyProgram
from attndsl.elaborate import load
from attndsl.graph import Graph, Node, OutputInfo, Value
from attndsl.masks.positions import position_formula
from attndsl.ops import Add, Cos

SPEC = """bias steep(n)(q, k) = 0.3 * maximum(q - k, 0) / n - 2.5
bias later(n)(q, k) = where(k > q, -1 / n, sqrt(float(abs(q - k))))
bias learned(n)(q, k) {{
  param table: [far=n] = normal(1)
  return take(table, minimum(abs(q - k), n - 1), over=far)
}}
model M(width=8, heads=2) {{
  input x: [B, T, width]
  output y = attention(x, heads, position={position}) as attn
}}
"""
T = 7


def given(graph: Graph, value: Value) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The value as the reference computes it, and the parameters by the last parts of their addresses."""
    only = replace(graph, outputs=(OutputInfo("value", value),), body=replace(graph.body, results=(value,)))
    program = NumpyProgram(only, dtype="float64")
    tables = {address.rpartition(".")[2]: array for address, array in program.parameters().items()}
    return program.run({"x": np.zeros((1, T, 8))})["value"], tables


def check(graph: Graph, value: Value, makers: dict[Value, Node], expected: str) -> None:
    formula = position_formula(value, makers, {})
    assert str(formula) == expected
    numbers, tables = given(graph, value)
    axes = [axis.name.lower() for axis in value.type.axes]
    known = {"log": math.log, "sqrt": math.sqrt, **tables}
    for at in product(*map(range, numbers.shape)):
        worked_out = eval(str(formula).replace(" ^ ", " ** "), known, dict(zip(axes, at, strict=True)))
        assert worked_out == pytest.approx(numbers[at], rel=1e-5, abs=1e-5), (formula, at)


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        ("alibi(heads)", "-(2 ^ (-4*attn_heads - 4 if attn_heads < 2 else -4*attn_heads + 6)) * abs(s - t)"),
        ("steep(4)", "(1/4)*(0.3 * max(0, t - s)) - 5/2"),
        ("later(4)", "(-1/4 if t < s else sqrt(abs(s - t)))"),
        ("learned(5)", "table[min(4, abs(s - t))]"),
        (
            "bucketed(heads, 8, 6)",
            "table[(4 if t < s else 0) + (abs(s - t) if s - t < 2 and t - s < 2 "
            "else min(3, int(2*(log((1/2)*max(1, abs(s - t))) / 1.09861)) + 2)), attn_heads]",
        ),
    ],
)
def test_biases(position: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "spec.attn"
    path.write_text(SPEC.format(position=position))
    graph = load(str(path))
    makers = {value: node for node in graph.body.walk() for value in node.outputs}
    found = [
        value
        for node in graph.body.walk()
        if isinstance(node.op, Add)
        for value in node.inputs
        if position_formula(value, makers, {}) is not None
    ]
    check(graph, found[-1], makers, expected)


def test_angles(tmp_path: Path) -> None:
    path = tmp_path / "spec.attn"
    path.write_text(SPEC.format(position="rotary(base=500)"))
    graph = load(str(path))
    makers = {value: node for node in graph.body.walk() for value in node.outputs}
    turned = [node.inputs[0] for node in graph.body.walk() if isinstance(node.op, Cos)]
    assert len(turned) == 2
    check(graph, turned[0], makers, "(500 ^ (-(1/2)*pair)) * t")


def test_what_is_read_or_computed_from_data_is_no_position(tmp_path: Path) -> None:
    path = tmp_path / "spec.attn"
    path.write_text(SPEC.format(position="none"))
    graph = load(str(path))
    makers = {value: node for node in graph.body.walk() for value in node.outputs}
    floats = [value for node in graph.body.walk() for value in node.outputs if value.type.is_float]
    assert [value for value in floats if position_formula(value, makers, {}) is not None] == []
