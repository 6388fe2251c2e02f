"""Numbers at the edge: constants beyond the dtype, NaN through a rectifier, the largest of nothing."""

from __future__ import annotations

import numpy as np
import pytest

import attndsl
from attndsl.diagnostics import AttnError

BACKENDS = ("numpy", "torch")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_constant_beyond_float32_is_infinite(backend: str) -> None:
    model = attndsl.parse(
        """model M {
  input x: [A]
  output chosen = where(x > 0, x, -1e39)
  output scaled = x * 1e39
  output full = broadcast(1e39, [A])
}"""
    )
    found = model.run({"x": np.array([1.0, -2.0])}, backend=backend)
    assert found["chosen"].tolist() == [1, -np.inf]
    assert found["scaled"].tolist() == [np.inf, -np.inf]
    assert found["full"].tolist() == [np.inf, np.inf]


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_nan_becomes_in_a_rectifier_is_what_it_says(backend: str) -> None:
    model = attndsl.parse(
        """model M {
  input x: [A]
  output kept = relu(x)
  output dropped = where(x > 0, x, 0)
  output turned = where(0 >= x, 0, x)
}"""
    )
    found = model.run({"x": np.array([np.nan, -1.0, 0.0, 2.0])}, backend=backend)
    np.testing.assert_array_equal(found["kept"], [np.nan, 0, 0, 2])
    np.testing.assert_array_equal(found["dropped"], [0, 0, 0, 2])
    np.testing.assert_array_equal(found["turned"], [np.nan, 0, 0, 2])


@pytest.mark.parametrize("name", ["max", "min", "argmax"])
def test_the_largest_of_nothing_is_refused_alike(name: str) -> None:
    model = attndsl.parse(f"model M {{\n  input x: [B, T]\n  output y = {name}(x, over=T)\n}}")
    texts = []
    for backend in BACKENDS:
        with pytest.raises(AttnError) as problem:
            model.run({"x": np.zeros((2, 0))}, backend=backend)
        texts.append(str(problem.value))
        assert model.run({"x": np.zeros((0, 2))}, backend=backend)["y"].shape == (0,)
    assert texts[0] == texts[1]
    assert "error[E0805]: `T` (0) must be at least 1" in texts[0]
    assert f"`{name}` over `T` has no value" in texts[0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_size_as_a_number_has_fractions(backend: str) -> None:
    """As a hyperparameter has: only a length must be whole."""
    body = "{{\n  input x: [{axis}]\n  output half = x * (T / 2)\n  output part = T * T / 3 * x\n}}"
    bound = attndsl.parse("model M " + body.format(axis="T"))
    for length in (1, 2, 3, 4):
        given = attndsl.parse(f"model M(T={length}) " + body.format(axis="U"))
        ones = {"x": np.ones(length)}
        for model in (bound, given):
            found = model.run(ones, backend=backend)
            np.testing.assert_allclose(found["half"], length / 2)
            np.testing.assert_allclose(found["part"], length * length / 3, rtol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_lookup_in_nothing_is_told(backend: str) -> None:
    model = attndsl.parse("model M {\n  input x: [T]\n  input at: int[N]\n  output y = take(x, at, over=T)\n}")
    with pytest.raises(AttnError, match="E0801"):
        model.run({"x": np.zeros(0), "at": np.array([0])}, backend=backend)
    assert model.run({"x": np.zeros(0), "at": np.zeros(0, "int64")}, backend=backend)["y"].shape == (0,)


@pytest.mark.parametrize("number", ["(T + 1) / (N + 1)", "maximum(T / 2, N / 3)", "T / (N - 2)"])
def test_a_fraction_inside_a_size_is_told_at_check(number: str) -> None:
    with pytest.raises(AttnError, match="E0404"):
        attndsl.parse(f"model M {{\n  input x: [T]\n  input n: [N]\n  output y = x * ({number})\n}}")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("number", ["T // (N - 2)", "T % (N - 2)"])
def test_a_size_divided_by_zero_is_told(backend: str, number: str) -> None:
    model = attndsl.parse(f"model M {{\n  input x: [T]\n  input n: [N]\n  output y = x * ({number})\n}}")
    with pytest.raises(AttnError, match="E0805"):
        model.run({"x": np.ones(3), "n": np.ones(2)}, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_layer_may_be_called_as_a_method_is(backend: str) -> None:
    """`forward` is what `nn.Module` calls its own: such a layer's parameters are found where its value is asked for."""
    model = attndsl.parse(
        "model M(width=3) {\n  input x: [B, width]\n  output y = tanh(linear(x, width) as forward)\n}"
    )
    found = model.run({"x": np.ones((2, 3))}, backend=backend, dump=["forward"])
    np.testing.assert_allclose(found["y"], np.tanh(found["forward"]), rtol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_choice_between_sizes(backend: str) -> None:
    """Which are numbers and no tensors."""
    model = attndsl.parse(
        """model M {
  input x: [A]
  input is_whole: bool[]
  output length = where(is_whole, A // 2, 0)
  output scaled = x * where(is_whole, A, 0)
}"""
    )
    for is_whole in (True, False):
        found = model.run({"x": np.ones(4), "is_whole": np.array(is_whole)}, backend=backend)
        assert found["length"] == 2 * is_whole
        assert found["scaled"].tolist() == [4.0 * is_whole] * 4
