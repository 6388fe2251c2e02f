"""Matrices in fewer bits: what is rounded, by how much, and that every backend means the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from attndsl.backends.numpy_reference.evaluator import NumpyProgram
from attndsl.diagnostics import AttnError
from attndsl.elaborate import elaborate, open_text
from attndsl.graph import Graph
from attndsl.running.inputs import example_inputs
from attndsl.running.weights_as import WEIGHTS_AS, bfloat16, int8, matrices, rounded
from tests.passes.test_incremental import shipped

FEWER = WEIGHTS_AS[1:]
FLOATS = st.floats(-1000, 1000, width=32).filter(lambda value: value == 0 or abs(value) > 1e-30)


@given(arrays(np.float32, (3, 5), elements=FLOATS))
def test_an_int8_is_off_by_half_its_scale_at_most(array: Any) -> None:
    whole, scale = int8(array, (1,))
    assert whole.dtype == np.int8
    assert scale.shape == (3, 1)
    assert (bfloat16(scale) == scale).all()
    largest = np.abs(array).max(axis=1, keepdims=True)
    # What is beyond 127 scales, because the scale was itself rounded, is off by as much as that is more.
    beyond = np.maximum(largest - 127 * scale, 0)
    assert (np.abs(whole * scale - array) <= np.maximum(scale / 2, beyond) * (1 + 1e-5)).all()
    assert (beyond <= largest / 256).all()


def test_channels_of_zeros_stay_zeros_and_what_is_not_finite_stays() -> None:
    array = np.array([[0.0, 0.0], [1.0, -2.0]], np.float32)
    assert (rounded(array, (1,), "int8")[0] == 0).all()
    array[0, 0] = np.inf
    for kind in FEWER:
        assert rounded(array, (1,), kind) is array


def program_of(body: str) -> Graph:
    return elaborate(open_text(f"model M(width=4) {{\n  input x: [B, width]\n{body}\n}}\n"), {})


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("  output y = linear(x, 3) as a", {"a.weight": (0,)}),
        (
            "  param table: [K=5, width]\n  output y = x |> dot(table, over=width) |> dot(table, over=K)",
            {},  # summed over in two ways: there is no one channel
        ),
        ("  param gain: [width]\n  output y = x * gain", {}),
    ],
)
def test_what_is_a_matrix(body: str, found: dict[str, tuple[int, ...]]) -> None:
    assert matrices(program_of(body)) == found


def test_a_table_that_is_the_last_layer_too_is_one_and_one_for_lookups_alone_is_none() -> None:
    found = matrices(shipped("gpt2"))
    assert found["wte.table"] == (1,)
    assert "wpe.table" not in found
    assert found["h.1.mlp.up.weight"] == (0,)
    assert not any(address.endswith("bias") for address in found)
    experts = matrices(shipped("mixtral"))
    assert experts["layer.0.experts.up.weight"] == (1,)  # [expert, in, out]: a channel of each


@pytest.mark.parametrize("kind", FEWER)
def test_a_program_computes_with_rounded_matrices_and_nothing_else(kind: str) -> None:
    graph = shipped("gpt2")
    plain, fewer = NumpyProgram(graph), NumpyProgram(graph)
    fewer.store(kind)
    before, after = plain.parameters(), fewer.parameters()
    changed = {address for address in before if (before[address] != after[address]).any()}
    assert changed == set(matrices(graph))
    plain.load(after)
    inputs = example_inputs(graph, {"B": 2, "T": 5})
    np.testing.assert_array_equal(plain.run(inputs)["logits"], fewer.run(inputs)["logits"])
    fewer.load(before)  # are kept as before
    np.testing.assert_array_equal(fewer.parameters()["wte.table"], after["wte.table"])


def test_a_kind_that_there_is_not() -> None:
    with pytest.raises(AttnError, match="cannot be kept as `int9`"):
        NumpyProgram(shipped("gpt2")).store("int9")
