"""Every primitive on its samples: the shape rule against the meaning, the gradient against differences."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from attndsl.ops import OPS, Call, Parameter
from tests.samples.ops import SAMPLES, Sample

ALL = [sample for samples in SAMPLES.values() for sample in samples]
STEP = 1e-6


def call(sample: Sample, dtype: str = "float64", **options: object) -> Call:
    return Call(sample.types, sample.output, sample.sizes, dtype, **options)  # type: ignore[arg-type]


def gradients(sample: Sample, dtype: str, **options: object) -> tuple[list[np.ndarray], np.ndarray, tuple]:
    """The operands, a cotangent, and the gradients for it."""
    told, arrays = call(sample, dtype, **options), sample.arrays(dtype)
    with np.errstate(all="ignore"):
        output = np.asarray(sample.op.evaluate(told, *arrays))
        cotangent = np.random.default_rng(7).standard_normal(output.shape).astype(dtype)
        return arrays, cotangent, sample.op.gradient(told, cotangent, output, *arrays)


def test_every_op_has_samples() -> None:
    elsewhere = {name for name, op in OPS.items() if op.bodies} | {Parameter.name}  # in tests.samples.graphs
    elsewhere |= {name for name, op in OPS.items() if op.across_devices}  # in tests.ops.test_collectives
    assert OPS.keys() == SAMPLES.keys() | elsewhere
    assert not SAMPLES.keys() & elsewhere


def test_ops_are_documented_values() -> None:
    for name, op in OPS.items():
        assert op.name == name
        assert op.__doc__
        assert not op.__doc__.startswith(op.__name__ + "("), f"{name} has only the docstring that dataclass writes"
        assert "__dict__" not in dir(op), f"{name} is not slotted"
    for sample in ALL:
        assert sample.op == sample.op
        assert isinstance(hash(sample.op), int)
    kinds = {type(s.op): s.op for s in ALL}
    assert all(left != right for left, right in itertools.combinations(kinds.values(), 2))


@pytest.mark.parametrize("sample", ALL, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_meaning_has_the_inferred_type(sample: Sample, dtype: str) -> None:
    told = call(sample, dtype, training=True)
    with np.errstate(all="ignore"):
        result = np.asarray(sample.op.evaluate(told, *sample.arrays(dtype)))
    assert result.shape == told.shape(sample.output)
    assert result.dtype == told.dtype(sample.output.dtype)


@pytest.mark.parametrize("sample", ALL, ids=str)
def test_operands_are_left_alone(sample: Sample) -> None:
    told = call(sample, training=True)
    arrays, kept = sample.arrays("float64"), sample.arrays("float64")
    with np.errstate(all="ignore"):
        output = np.asarray(sample.op.evaluate(told, *arrays))
        before = output.copy()
        if sample.types and sample.output.dtype == "float" and sample.op.differentiable:
            upstream = np.ones_like(output)
            sample.op.gradient(told, upstream, output, *arrays)
            assert (upstream == 1).all()
    np.testing.assert_array_equal(output, before)
    for array, original in zip(arrays, kept, strict=True):
        np.testing.assert_array_equal(array, original)


DIFFERENTIABLE = [s for s in ALL if s.output.dtype == "float" and any(t.dtype == "float" for t in s.types)]


@pytest.mark.parametrize("sample", [s for s in DIFFERENTIABLE if s.op.differentiable], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_have_the_operands_types(sample: Sample, dtype: str) -> None:
    arrays, _, found = gradients(sample, dtype, training=True)
    assert len(found) == len(arrays)
    for array, gradient in zip(arrays, found, strict=True):
        if array.dtype.kind != "f":
            assert gradient is None
        elif gradient is not None:
            assert np.asarray(gradient).dtype == dtype
            assert np.shape(gradient) == array.shape


@pytest.mark.parametrize("sample", [s for s in DIFFERENTIABLE if s.smooth], ids=str)
def test_gradients_agree_with_differences(sample: Sample) -> None:
    told = call(sample, training=True)
    arrays, cotangent, found = gradients(sample, "float64", training=True)

    def value(at: int, array: np.ndarray) -> float:
        changed = [array if i == at else other for i, other in enumerate(arrays)]
        return float((np.asarray(sample.op.evaluate(told, *changed)) * cotangent).sum())

    for at, (array, gradient) in enumerate(zip(arrays, found, strict=True)):
        if array.dtype.kind != "f":
            continue
        expected = np.zeros_like(array)
        with np.errstate(all="ignore"):
            for place in np.ndindex(array.shape):
                up, down = array.copy(), array.copy()
                up[place] += STEP
                down[place] -= STEP
                expected[place] = (value(at, up) - value(at, down)) / (2 * STEP)
        actual = np.zeros_like(array) if gradient is None else gradient
        np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=2e-8 * (1 + np.abs(cotangent).sum()))


@pytest.mark.parametrize("sample", [s for s in DIFFERENTIABLE if s.op.differentiable], ids=str)
def test_only_the_needed_gradients_are_given(sample: Sample) -> None:
    _, _, everything = gradients(sample, "float64", training=True)
    for at, full in enumerate(everything):
        if full is None:
            continue
        _, _, found = gradients(sample, "float64", training=True, needed=tuple(i == at for i in range(len(everything))))
        assert [i for i, gradient in enumerate(found) if gradient is not None] == [at]
        np.testing.assert_array_equal(found[at], full)


def one(name: str, label: str) -> Sample:
    (found,) = [s for s in SAMPLES[name] if s.label == label]
    return found


def test_ties_share_the_gradient_evenly() -> None:
    sample = next(s for s in SAMPLES["max"] if not s.smooth)  # 1, 2, 2, 1
    _, cotangent, (found,) = gradients(sample, "float64")
    np.testing.assert_allclose(found, cotangent[:, None] * [0, 0.5, 0.5, 0])
    sample = next(s for s in SAMPLES["maximum"] if not s.smooth)
    _, cotangent, (left, right) = gradients(sample, "float64")
    np.testing.assert_allclose(left, cotangent / 2)
    np.testing.assert_allclose(right, cotangent / 2)


def test_ties_of_argmax_go_to_the_lowest_index() -> None:
    sample = one("argmax", "of equals")  # 0, 7, 7, 1
    assert sample.op.evaluate(call(sample), *sample.arrays()).tolist() == [1, 1]


def test_powers_of_zero_have_finite_gradients() -> None:
    sample = one("pow", "of 0")  # [0, 1, 2] ^ 2.0
    _, cotangent, (base, exponent) = gradients(sample, "float64")
    np.testing.assert_allclose(base, cotangent * [0, 2, 4])
    np.testing.assert_allclose(exponent, (cotangent * [0, 0, 4 * np.log(2)]).sum())


@pytest.mark.parametrize("name", ["softmax", "attention"])
def test_empty_rows_are_zeros_without_a_gradient(name: str) -> None:
    sample = one(name, "with an empty row")  # the second row along T has nothing to attend to
    told, arrays = call(sample), sample.arrays("float64")
    output = sample.op.evaluate(told, *arrays)
    row = sample.output.axes.index(sample.types[0].axes[1])
    assert (np.take(output, 1, row) == 0).all()
    assert np.take(output, 0, row).any()
    found = sample.op.gradient(told, np.ones_like(output), output, *arrays)
    assert np.isfinite(found[0]).all()
    assert (np.take(found[0], 1, 1) == 0).all()


def test_a_row_of_minus_infinity_is_zeros_too() -> None:
    sample = SAMPLES["softmax"][0]
    output = sample.op.evaluate(call(sample), np.full(call(sample).shape(sample.types[0]), -np.inf))
    assert (output == 0).all()


def test_large_numbers_do_not_overflow() -> None:
    for name in ("softmax", "log_softmax", "logsumexp"):
        sample = one(name, "of large numbers")
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            assert np.isfinite(sample.op.evaluate(call(sample), *sample.arrays("float64"))).all()
