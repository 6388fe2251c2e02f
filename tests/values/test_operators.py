"""The table of operators: complete, bounded, and undone where it says so."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attndsl.diagnostics import AttnError, Source, Span
from attndsl.ops import OPS
from attndsl.sizes import Size
from attndsl.values import FUNCTIONS, OPERATORS, Number, Operand, apply, operate, rule_of, undo, written
from attndsl.values.number import Nothing, Reference, Text
from attndsl.values.operators import LARGEST_BITS, NUMBERS, Uncomputable

HERE = Span(Source("spec.attn", "here"), 0, 4)
EXACT = st.one_of(st.integers(-(10**9), 10**9), st.fractions(-100, 100, max_denominator=99))


def test_what_tensors_have_numbers_have() -> None:
    """But `where`, which chooses between values of every kind, and what is about gradients."""
    tensors = {op.symbol or op.name for op in OPS.values() if op.pointwise and (op.symbol or op.called)}
    assert tensors - {"stop_gradient", "where"} <= OPERATORS.keys() | FUNCTIONS.keys()


@pytest.mark.parametrize("operator", [*OPERATORS, *FUNCTIONS])
def test_an_operator_is_undone_or_says_why(operator: str) -> None:
    rule = rule_of(operator)
    assert len(rule.undo) in (0, rule.operands)
    assert (None not in rule.undo and rule.undo) or rule.lossy


@given(st.sampled_from("+-*/"), EXACT, EXACT)
def test_exact_numbers_come_back_exactly(operator: str, a: int | Fraction, b: int | Fraction) -> None:
    if operator == "/" and b == 0:
        return
    result = operate(operator, HERE, Operand(Number.of(a), HERE), Operand(Number.of(b), HERE))
    if operator in "+-" or (b != 0 and operator in "*/"):
        assert undo(operator, 0, HERE, result, Number.of(b)).value == a
    if operator in "+-" or (a != 0 and result.value != 0):
        assert undo(operator, 1, HERE, result, Number.of(a)).value == b


@given(st.integers(0, 10**4), st.integers(1, 9))
def test_a_root_is_exact_where_there_is_one(base: int, exponent: int) -> None:
    power = operate("^", HERE, Operand(Number.of(base), HERE), Operand(Number.of(exponent), HERE))
    assert undo("^", 0, HERE, power, Number.of(exponent)).value == base


@given(st.sampled_from(["neg", "sqrt", "rsqrt", "exp", "log"]), st.floats(0.01, 50))
def test_functions_come_back_nearly(function: str, value: float) -> None:
    result = operate(function, HERE, Operand(Number.of(value), HERE))
    assert undo(function, 0, HERE, result).value == pytest.approx(value)


NUMBER = st.one_of(EXACT, st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**300), 10**300))


@given(st.sampled_from([o for o in (*OPERATORS, *FUNCTIONS) if rule_of(o).takes == NUMBERS]), NUMBER, NUMBER)
def test_every_result_is_finite_and_no_longer_than_a_float(operator: str, a: float, b: float) -> None:
    try:
        result = apply(operator, *(a, b)[: rule_of(operator).operands])
    except Uncomputable:
        return
    exact = Fraction(result)
    assert max(exact.numerator.bit_length(), exact.denominator.bit_length()) <= 2 * LARGEST_BITS


def test_sizes_go_along_with_numbers() -> None:
    width = Operand(Number(8, Size.symbol("width")), HERE)
    two = Operand(Number.of(2), HERE)
    assert str(operate("*", HERE, two, width).size) == "2*width"
    assert str(operate("floor", HERE, width).size) == "width"
    third = Operand(operate("/", HERE, width, Operand(Number.of(3), HERE)), HERE)
    assert str(operate("floor", HERE, third).size) == "(width//3)"
    assert str(operate("ceil", HERE, third).size) == "((width+2)//3)"
    unknown = Operand(Number(None, Size.symbol("T")), HERE)
    assert operate("+", HERE, unknown, two).value is None
    with pytest.raises(AttnError, match="depends on the size of an input"):
        operate("<", HERE, unknown, two)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Number.of(3), "3"), (Number.of(True), "true"), (Number.of(Fraction(1, 2)), "0.5"), (Nothing(), "none"),
        (Text('a "b"\\\n'), '"a \\"b\\"\\\\\\n"'), (Reference("act_by(n=3)"), "act_by(n=3)"),
    ],
)  # fmt: skip
def test_a_value_is_written_as_the_language_reads_it(value: Number, text: str) -> None:
    assert written(value) == text
