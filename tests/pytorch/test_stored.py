"""Matrices that a written module reads in fewer bits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from attndsl.backends.numpy_reference.evaluator import NumpyProgram
from attndsl.backends.pytorch.program import TorchProgram
from attndsl.backends.pytorch.stored import FEW_ROWS, Packed, stored
from attndsl.diagnostics import AttnError
from attndsl.elaborate import elaborate, open_spec
from attndsl.graph import Graph
from attndsl.passes.incremental import incremental
from attndsl.running.inputs import example_inputs
from attndsl.running.machine import PIN
from attndsl.running.weights_as import WEIGHTS_AS, matrices, rounded
from tests.passes.test_incremental import shipped

pytestmark = pytest.mark.torch

FEWER = WEIGHTS_AS[1:]
HALF = 2.0**-8  # what is multiplied is rounded to bfloat16, and so is each product


def recurrent() -> Graph:
    return elaborate(open_spec("rnn_lm"), {"vocab": 11, "width": 8, "depth": 2})


GRAPHS = {
    "gpt2": lambda: shipped("gpt2"),
    "gpt2, read on": lambda: incremental(shipped("gpt2")),
    "mixtral": lambda: shipped("mixtral"),
    "deepseek_v3": lambda: shipped("deepseek_v3"),
    "rnn_lm": recurrent,
}


@pytest.mark.parametrize("kind", FEWER)
@pytest.mark.parametrize("name", GRAPHS)
def test_it_means_what_numpy_says(name: str, kind: str) -> None:
    graph = GRAPHS[name]()
    reference = NumpyProgram(graph, dtype="float64")
    program = TorchProgram(graph, parameters=reference.parameters())
    for each in (reference, program):
        each.store(kind)
    inputs = {"tokens": example_inputs(graph, {"B": 2, "T": 5})["tokens"]}
    expected, found = (each.run(inputs, ["logits"])["logits"] for each in (reference, program))
    assert np.abs(found - expected).max() <= 2 * HALF * np.abs(expected).max()
    for address, array in program.parameters().items():
        np.testing.assert_array_equal(array, reference.parameters()[address].astype(np.float32), address)


@pytest.mark.parametrize("kind", FEWER)
def test_matrices_are_kept_in_fewer_bits_and_read_so(kind: str) -> None:
    graph = incremental(shipped("gpt2"))
    program = TorchProgram(graph)
    program.store(kind)
    assert program.held.stored.keys() == matrices(graph).keys()
    assert not program.held.stored.keys() & dict(program.module.named_parameters()).keys()
    program.run({"tokens": np.array([[1, 2], [3, 4]])}, ["logits"])
    assert {matrix.values.dtype for matrix in program.held.stored.values()} == {getattr(torch, kind)}


@pytest.mark.parametrize("kind", WEIGHTS_AS)
def test_they_are_dumped_as_the_numbers_that_they_stand_for(kind: str) -> None:
    graph = shipped("gpt2")
    program = TorchProgram(graph)
    program.store(kind)
    addresses = ["h.0.attn.q.weight", "h.0.attn.q.bias"]
    dumped = program.run(example_inputs(graph, {"B": 2, "T": 3}), [], dump=addresses)
    for address in addresses:
        np.testing.assert_array_equal(dumped[address], program.parameters()[address], address)


def test_in_float32_they_are_packed_for_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but their layout changes, and who asks for gradients gets parameters again."""
    graph = shipped("gpt2")
    inputs = example_inputs(graph, {"B": 2, "T": 3})
    program = TorchProgram(graph, seed=1)
    before, expected = program.parameters(), program.run(inputs)
    program.store("float32")
    assert {type(matrix) for matrix in program.held.stored.values()} == {Packed}
    assert program.held.stored.keys() == matrices(graph).keys() - {"wte.table"}, "a table would be there twice"
    found, after = program.run(inputs), program.parameters()
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-6)
    for address, array in before.items():
        np.testing.assert_array_equal(after[address], array, address)
    program.load({address: array * 2 for address, array in before.items()})
    assert program.held.stored
    cotangents = {name: np.ones_like(array) for name, array in expected.items()}
    program.load(before)
    gradients = program.gradients(inputs, cotangents)[1]
    assert not program.held.stored
    for address, array in TorchProgram(graph, parameters=before).gradients(inputs, cotangents)[1].items():
        np.testing.assert_array_equal(gradients[address], array, address)
    monkeypatch.setenv(PIN, "plain")
    program.store("float32")
    assert not program.held.stored, "torch's own kernel does not read them so"


@pytest.mark.parametrize("rows", [1, FEW_ROWS, FEW_ROWS + 1])
@pytest.mark.parametrize("kind", WEIGHTS_AS)
@pytest.mark.parametrize("summed", [(0,), (1,)])
def test_products_and_rows_are_those_of_the_rounded_matrix(rows: int, kind: str, summed: tuple[int, ...]) -> None:
    rng = np.random.default_rng(rows)
    array = rng.normal(size=(48, 80)).astype(np.float32)
    matrix = stored(kind, array, summed, torch.device("cpu"))
    assert matrix is not None
    expected = torch.from_numpy(array if kind == "float32" else rounded(array, summed, kind))
    assert (matrix.dense() == expected).all()
    if summed == (0,):
        matrix, expected = matrix.t(), expected.t()
    x, bias = torch.from_numpy(rng.normal(size=(rows, expected.shape[1])).astype(np.float32)), torch.ones(len(expected))
    exact = torch.nn.functional.linear(x if kind == "float32" else x.bfloat16().float(), expected, bias)
    found = torch.nn.functional.linear(x, matrix, bias)  # type: ignore[arg-type]
    assert found.dtype == torch.float32
    assert (found - exact).abs().max() <= (2.0**-20 if kind == "float32" else 2 * HALF) * exact.abs().max()
    if kind == "float32":
        return
    index = torch.tensor([[3, 0], [7, 7]])
    assert (torch.nn.functional.embedding(index, matrix) == expected[index]).all()  # type: ignore[arg-type]


def test_what_cannot_be_kept_so_is_rounded() -> None:
    graph = shipped("mixtral")
    program = TorchProgram(graph)
    program.store("int8")
    assert "layer.0.experts.up.weight" in dict(program.module.named_parameters())
    doubles = TorchProgram(graph, dtype="float64")
    doubles.store("int8")
    assert not doubles.held.stored
    for address, array in program.parameters().items():
        np.testing.assert_array_equal(array, doubles.parameters()[address].astype(np.float32), address)


def test_other_parameters_are_kept_as_before_and_have_no_gradients() -> None:
    graph = shipped("gpt2")
    program = TorchProgram(graph)
    program.store("int8")
    first = program.parameters()
    program.load({address: array * 2 for address, array in first.items()})
    assert program.held.stored
    np.testing.assert_array_equal(program.parameters()["wte.table"], first["wte.table"] * 2)
    inputs = example_inputs(graph, {"B": 1, "T": 3})
    watched = program.run(inputs, ["logits"], dump=["h.0.attn"])  # by a module of its own, with the same matrices
    assert np.isfinite(watched["h.0.attn"]).all()
    with pytest.raises(AttnError, match="no gradient leads to weights"):
        program.gradients(inputs, {"logits": np.ones((1, 3, 11), np.float32)})
