"""The NumPy helpers: alignment, products, scatter, the error function, keyed draws; and what runs refuse."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attndsl import ops
from attndsl.diagnostics import AttnError
from attndsl.ops.arrays import collect, contract, generator, scatter_add, spread
from attndsl.ops.special import erf, sigmoid
from attndsl.sizes import Size
from tests.samples.ops import axes, axis, typed

LENGTHS = dict(zip("ABCDE", (2, 3, 4, 1, 5), strict=True))
subsets = st.lists(st.sampled_from("ABCDE"), unique=True)


def array(names: list[str], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal([LENGTHS[name] for name in names])


@given(subsets, subsets, st.data())
def test_collect_is_the_adjoint_of_spread(inner: list[str], more: list[str], data: st.DataObject) -> None:
    outer = list(data.draw(st.permutations(sorted({*inner, *more}))))
    x, y = array(inner, 0), array(outer, 1)
    few, many = axes(" ".join(inner)), axes(" ".join(outer))
    np.testing.assert_allclose((spread(x, few, many) * y).sum(), (x * collect(y, many, few)).sum())


@given(subsets, subsets, st.data())
def test_contract_is_the_sum_of_products(left: list[str], right: list[str], data: st.DataObject) -> None:
    shared = [name for name in left if name in right]
    over = data.draw(st.lists(st.sampled_from(shared), unique=True)) if shared else []
    out = data.draw(st.permutations([name for name in dict.fromkeys(left + right) if name not in over]))
    x, y = array(left, 0), array(right, 1)
    found = contract(x, axes(" ".join(left)), y, axes(" ".join(right)), axes(" ".join(out)))
    expected = np.einsum(f"{''.join(left)},{''.join(right)}->{''.join(out)}", x, y)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layout", ["C", "F", "strided", "broadcast"])
def test_contract_takes_any_memory_layout(layout: str) -> None:
    x = np.random.default_rng(0).standard_normal((6, 8))
    given = {"C": x, "F": np.asfortranarray(x), "strided": np.repeat(x, 2, 1)[:, ::2]}.get(layout)
    if given is None:
        x = np.broadcast_to(x[0], (6, 8))
        given = x
    y = np.random.default_rng(1).standard_normal((8, 5))
    np.testing.assert_allclose(contract(given, axes("A B"), y, axes("B C"), axes("C A")), (x @ y).T)


@pytest.mark.parametrize("columns", [1, 16, 17, 40])
@pytest.mark.parametrize("count", [0, 1, 300])
def test_scatter_adds_every_row(columns: int, count: int) -> None:
    draw = np.random.default_rng(columns)
    index, values = draw.integers(0, 7, count), draw.standard_normal((count, columns)).astype(np.float32)
    expected = np.zeros((9, columns))
    np.add.at(expected, index, values.astype(np.float64))
    found = scatter_add(9, index, values)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


def points() -> np.ndarray:
    edges = np.array([0.46875, 3.92, 4.0, 6.0])
    near = np.concatenate([np.nextafter(edges, 0), edges, np.nextafter(edges, 9)])
    small = np.logspace(-300, 0, 1000)
    positive = np.concatenate([np.linspace(0, 7, 20011), near, small, [30.0, 1e300, np.inf]])
    return np.concatenate([positive, -positive])


def test_erf_in_double_precision() -> None:
    x = points()
    expected = np.array([math.erf(v) for v in x])
    np.testing.assert_allclose(erf(x), expected, rtol=1e-15, atol=0)


def test_erf_in_single_precision() -> None:
    x = points()
    x = x[(np.abs(x) > 1e-30) & (np.abs(x) < 1e30)].astype(np.float32)
    found = erf(x)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [math.erf(float(v)) for v in x], rtol=1.2e-7, atol=0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_special_values(dtype: str) -> None:
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], dtype)
    assert np.array_equal(erf(x), np.array([np.nan, 1, -1, 0, 0], dtype), equal_nan=True)
    assert np.signbit(erf(x)[4])
    assert np.array_equal(sigmoid(x), np.array([np.nan, 1, 0, 0.5, 0.5], dtype), equal_nan=True)
    assert erf(np.zeros((0, 3), dtype)).shape == (0, 3)
    with np.errstate(all="raise"):
        assert sigmoid(np.array([-80.0], dtype))[0] == pytest.approx(math.exp(-80))


def test_erf_of_a_transposed_array() -> None:
    x = np.random.default_rng(0).standard_normal((200, 300))
    assert np.array_equal(erf(x.T), erf(x).T)


def test_draws_depend_on_the_key_alone() -> None:
    first = generator(3, 5, "h.attn", (1,)).random(4)
    generator(9).random(100)
    np.testing.assert_array_equal(first, generator(3, 5, "h.attn", (1,)).random(4))
    for other in ((4, 5, "h.attn", (1,)), (3, 6, "h.attn", (1,)), (3, 5, "h.mlp", (1,)), (3, 5, "h.attn", (2,))):
        assert not np.array_equal(first, generator(*other).random(4))
    assert generator("initial", 0, "w").integers(0, 2**62) == 124602199597314256  # the same in every process


def told(op: ops.Op, *types: str, **options: object) -> ops.Call:
    given = tuple(map(typed, types))
    sizes = {"B": 50, "T": 3, "V": 5, "D": 400}
    return ops.Call(given, op.infer(*given), sizes, "float32", **options)  # type: ignore[arg-type]


def test_dropout() -> None:
    op = ops.Dropout(0.25, "here")
    x = np.ones((50, 400), np.float32)
    call = told(op, "float B D", training=True)
    y = op.evaluate(call, x)
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs((y != 0).mean() - 0.75) < 0.02
    np.testing.assert_array_equal(op.gradient(call, x, y, x)[0], y)
    assert op.evaluate(told(op, "float B D"), x) is x
    assert not np.array_equal(y, op.evaluate(told(op, "float B D", training=True, step=1), x))
    assert not np.array_equal(y, op.evaluate(told(op, "float B D", training=True, indices=(1,)), x))


def test_uniform() -> None:
    op = ops.Uniform(axes("B D"), "u")
    values = op.evaluate(told(op, seed=3))
    assert values.dtype == np.float32
    assert values.min() >= 0
    assert values.max() < 1
    assert abs(values.mean() - 0.5) < 0.01


REFUSED = [
    (ops.Take(axis("V")), ["float V", "int T"], [np.zeros(5), [0, -1, 2]], "E0801", "the index -1 is out of range"),
    (ops.Take(axis("V")), ["float V", "int T"], [np.zeros(5), [0, 5, 2]], "E0801", "`V` (5) has the elements 0 to 4"),
    (ops.OneHot(axis("V")), ["int T"], [[0, 5, 2]], "E0801", "the index 5 is out of range"),
    (ops.Pow(), ["int T", "int"], [[1, 2, 3], -1], "E0805", "an int to the power of -1"),
    (ops.FloorDiv(), ["int T", "int"], [[1, 2, 3], 0], "E0805", "divided by zero"),
    (ops.Mod(), ["int T", "int T"], [[1, 2, 3], [1, 0, 1]], "E0805", "divided by zero"),
    (ops.Max(axes("0")), ["float 0"], [np.zeros(0)], "E0805", "`max` over `0`, which has no elements"),
    (ops.ArgMax(axis("0")), ["float 0"], [np.zeros(0)], "E0805", "which has no elements"),
    (ops.Slice(axis("V"), Size.symbol("T"), axis("U=T")), ["float V"], [np.zeros(5)], "E0206", "(3:6) is not within"),
    (ops.Select(axis("V"), Size.symbol("D")), ["float V"], [np.zeros(5)], "E0206", "there is no element 400 along `V`"),
]


@pytest.mark.parametrize(("op", "types", "values", "code", "words"), REFUSED, ids=lambda part: str(part)[:30])
def test_refused_at_run_time(op: ops.Op, types: list[str], values: list[object], code: str, words: str) -> None:
    with pytest.raises(AttnError) as problem:
        op.evaluate(told(op, *types), *map(np.asarray, values))
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.code == code
    assert words in diagnostic.message


def test_means_of_nothing_warn_of_nothing() -> None:
    op = ops.Mean(axes("0"))
    with np.errstate(all="ignore"):
        assert np.isnan(op.evaluate(told(op, "float 0"), np.zeros(0, np.float32)))


def test_a_step_of_a_sequence_costs_the_same_however_it_lies() -> None:
    """`np.take` copies all of what does not lie in order, which makes a scan quadratic in its length."""
    call = ops.Call((typed("float T D"), typed("int")), typed("float D"), {"T": 4000, "D": 16})
    table = np.arange(16 * 4000.0).reshape(16, 4000).T
    tracemalloc.start()
    taken = ops.Take(axis("T")).evaluate(call, table, np.array(3))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_array_equal(taken, table[3])
    assert not np.shares_memory(taken, table)
    assert peak < table.nbytes / 10
