"""The pieces that code is made of."""

from __future__ import annotations

import ast
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from attndsl.backends.pytorch.expressions import (
    COMPARE,
    PRODUCT,
    SUM,
    Expr,
    aligned,
    binary,
    letters,
    number,
    size_expression,
    wrapped,
)
from attndsl.backends.pytorch.names import Names, class_name, identifier
from attndsl.graph import Axis
from attndsl.sizes import Size

VALUES = {"a": 12, "b": 6, "c": 2}


def _sizes() -> st.SearchStrategy[Size]:
    leaves = st.sampled_from([Size.symbol(n) for n in VALUES] + [Size.of(n) for n in (0, 1, 2, 3)])

    def whole(pair: tuple[Size, Size]) -> bool:
        return all(size.known(VALUES) is not None for size in pair) and pair[1].known(VALUES) != 0

    def extend(inner: st.SearchStrategy[Size]) -> st.SearchStrategy[Size]:
        pairs = st.tuples(inner, inner)
        return st.one_of(
            pairs.map(lambda p: p[0] + p[1]),
            pairs.map(lambda p: p[0] - p[1]),
            pairs.map(lambda p: p[0] * p[1]),
            pairs.filter(lambda p: bool(p[1].terms)).map(lambda p: p[0] / p[1]),
            pairs.filter(lambda p: bool(p[1].terms)).map(lambda p: p[0] // p[1]),
            pairs.filter(whole).map(lambda p: p[0] % p[1]),
            pairs.filter(whole).map(lambda p: p[0].maximum(p[1])),
        )

    return st.recursive(leaves, extend, max_leaves=6)


A, B = Size.symbol("a"), Size.symbol("b")


@settings(max_examples=300)
@given(_sizes())
@example(A / (Size.of(1) + B / A))
@example(A / ((Size.of(1) + B / A) / 2))
@example(A * 5 / (A / (A + B) + 1))
def test_sizes_as_python_have_the_value_of_the_size(size: Size) -> None:
    try:
        value = size.value(VALUES)
    except (ValueError, ZeroDivisionError):
        return  # no size of anything
    text = size_expression(size, str).text
    ast.parse(text)
    assert eval(text, dict(VALUES)) == value, text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (Size.symbol("w") / Size.symbol("h"), "w // h"),
        (Size.symbol("w") * 4, "4 * w"),
        (Size.symbol("a") + 1, "a + 1"),
        (Size.symbol("a") - 1, "a - 1"),
        ((Size.symbol("a") + Size.symbol("b")) / 2, "(a + b) // 2"),
        (Size.of(Fraction(0)), "0"),
        (Size.symbol("w") ** 2, "w ** 2"),
    ],
)
def test_sizes_read_well(size: Size, text: str) -> None:
    assert size_expression(size, str).text == text


@given(st.permutations("BTHD"), st.integers(1, 4), st.permutations("BTHD"))
def test_aligned_operands_broadcast_by_name(target: list[str], count: int, own: list[str]) -> None:
    axes = {name: Axis.of(Size.symbol(name)) for name in "BTHD"}
    lengths = {"B": 2, "T": 3, "H": 4, "D": 5}
    mine = own[:count]
    array = np.arange(np.prod([lengths[n] for n in mine])).reshape([lengths[n] for n in mine])

    class Tensor(np.ndarray):  # NumPy's own transpose takes all axes at once
        def transpose(self, i: int, j: int) -> np.ndarray:  # type: ignore[override]
            return np.swapaxes(self, i, j)

        def permute(self, *order: int) -> np.ndarray:
            return np.transpose(np.asarray(self), order)

    text = aligned(Expr("x"), [axes[n] for n in mine], [axes[n] for n in target]).text
    found = np.asarray(eval(text, {"x": array.view(Tensor)}))
    full = np.broadcast_to(found, [lengths[n] for n in target])
    wanted = np.einsum(f"{''.join(mine)}->{''.join(n for n in target if n in mine)}", array)
    shape = [lengths[n] if n in mine else 1 for n in target]
    np.testing.assert_array_equal(full, np.broadcast_to(wanted.reshape(shape), full.shape))


def test_brackets_keep_what_was_built() -> None:
    a, b, c = Expr("a"), Expr("b"), Expr("c")
    assert binary(binary(a, "+", b, SUM), "*", c, PRODUCT).text == "(a + b) * c"
    assert binary(a, "-", binary(b, "-", c, SUM), SUM).text == "a - (b - c)"
    assert binary(binary(a, "<", b, COMPARE), "<", c, COMPARE).text == "(a < b) < c"
    assert number(-2.0).call("exp").text == "(-2.0).exp()"


@settings(max_examples=200)
@given(st.recursive(st.sampled_from(["x", "self.layer", "'a, (b'", "10"]), lambda inner: st.builds(
    lambda name, parts: f"{name}({', '.join(parts)})", st.sampled_from(["function", "F.scaled", "x[:, 0].view"]),
    st.lists(inner, min_size=1, max_size=5)), max_leaves=30))  # fmt: skip
def test_wrapping_changes_no_meaning(expression: str) -> None:
    line = f"result = {expression}"
    lines = wrapped(line, 0)
    assert ast.dump(ast.parse("\n".join(lines))) == ast.dump(ast.parse(line))


def test_letters_are_the_axes_own_where_they_can_be() -> None:
    axes = [Axis.of(Size.symbol(name)) for name in ("B", "T", "heads", "head", "B2", "batch")]
    found = letters(axes)
    assert [found[a] for a in axes[:4]] == ["b", "t", "h", "d"]
    assert len(set(found.values())) == len(axes)


def test_names() -> None:
    assert identifier("4*width") == "_4_width"
    assert identifier("lambda") == "lambda_"
    assert class_name("gpt_nano") == "GptNano"
    names = Names({"x"})
    assert [names.free("x"), names.free("x"), names.free("y")] == ["x_2", "x_3", "y"]


def test_what_follows_a_bracket_that_was_opened_is_broken_too() -> None:
    """Formulas with brackets behind brackets, as sizes give them."""
    size = Size.symbol("a")
    for i in range(1, 40):
        size = (size + i) // Size.of(2)
    text = size_expression(size, str).text
    line = f"y = x.unflatten(0, (B, {text}, {text})) + ({text}) * f({text}, {text})"
    joined = "\n".join(wrapped(line, 2))
    assert ast.dump(ast.parse(f"if 1:\n  if 1:\n{joined}")) == ast.dump(ast.parse(f"if 1:\n  if 1:\n        {line}"))
