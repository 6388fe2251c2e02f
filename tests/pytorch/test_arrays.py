"""Arrays on their way into torch and back: every rank, layout, width and byte order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.running.inputs import as_arrays, example_inputs
from attndsl.storage.safetensors import TensorFile
from attndsl.weights import export_huggingface, load_weights
from tests.std.meaning import written
from tests.weights.models import section_of

pytestmark = pytest.mark.torch

Array = np.ndarray[Any, Any]

SCALARS = """
model M(vocab=7, width=4, depth=2) {
  input tokens: int[B, T] where tokens < vocab
  input heat: []
  input more: int[] optional = 2
  input sure: bool[] optional = true
  x = embedding(tokens, vocab, width) as word
  repeat h in depth {
    param gate: [] = constant(0.5)
    x += tanh(gate) * linear(x, width) as lin
  }
  param scale: [] = constant(2.5)
  part = exp(scale) * heat + more
  output logits = linear(where(sure, part, 0.0) * x, vocab) as head
  output loss = mean(logits ^ 2, over=[B, T, vocab]) + part
}

weights M from huggingface {
  config { vocab = vocab_size, width = n_embd, depth = n_layer }
  "word": [vocab, width]   <-> word.table
  "h.{i}.gate"             <-> h[i].gate
  "h.{i}.w": [in, out]     <-> h[i].lin.weight
  "h.{i}.b"                <-> h[i].lin.bias
  "scale"                  <-> scale
  "head.w": [width, vocab] <-> head.weight
  "head.b"                 <-> head.bias
}
"""


@pytest.mark.parametrize("compile", [False, True])
def test_scalars_go_in_and_come_out_as_scalars(compile: bool) -> None:
    """Parameters in and outside a repeat, inputs, outputs, cotangents, gradients and what is dumped."""
    from attndsl.backends.pytorch import TorchProgram

    graph = written(SCALARS)
    inputs = example_inputs(graph)
    reference = NumpyProgram(graph, dtype="float64", seed=3)
    program = TorchProgram(graph, dtype="float64", compile=compile, parameters=reference.parameters())
    for address, array in reference.parameters().items():
        assert program.parameters()[address].shape == array.shape
    for name, array in reference.run(inputs, dump=("part",)).items():
        mine = program.run(inputs, dump=("part",))[name]
        assert mine.shape == array.shape
        np.testing.assert_allclose(mine, array, rtol=1e-12)
    cotangents = {"loss": np.array(2.0)}
    for mine, meant in zip(program.gradients(inputs, cotangents), reference.gradients(inputs, cotangents), strict=True):
        assert mine.keys() == meant.keys()
        for name, array in meant.items():
            assert mine[name].shape == array.shape
            np.testing.assert_allclose(mine[name], array, rtol=1e-11, atol=1e-12, err_msg=name)


def test_a_published_scalar_loads_and_goes_back_as_one(tmp_path: Path) -> None:
    from attndsl.backends.pytorch import TorchProgram

    graph = written(SCALARS)
    drawn = NumpyProgram(graph, seed=5).parameters()
    drawn["h.1.gate"] = np.array(0.125, np.float32)
    program = TorchProgram(graph, parameters=drawn)
    section = section_of(SCALARS)
    export_huggingface(tmp_path, graph, program.parameters(), section)
    with TensorFile(tmp_path / "model.safetensors") as file:
        assert file.read("h.1.gate").shape == ()
    program.load(load_weights(tmp_path, graph, [section]))
    assert program.parameters()["h.1.gate"].shape == ()
    assert program.parameters()["h.1.gate"] == 0.125


LAYOUTS = {
    "scalar": np.array(1.5),
    "empty": np.zeros((2, 0, 3), np.float32),
    "big-endian": np.arange(6, dtype=">f4").reshape(2, 3),
    "big-endian ints": np.arange(6, dtype=">i2"),
    "long double": np.arange(6, dtype=np.longdouble) / 4,
    "half": np.arange(6, dtype=np.float16) / 4,
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "every second, backwards": np.arange(12.0)[::-2],
    "spread": np.broadcast_to(np.arange(3.0), (2, 3)),
    "unsigned": np.arange(6, dtype=np.uint64),
    "bytes": np.arange(6, dtype=np.uint8),
    "bools": np.array([[True, False]]),
}


@pytest.mark.parametrize("array", [pytest.param(array, id=name) for name, array in LAYOUTS.items()])
@pytest.mark.parametrize("shared", [False, True])
def test_whatever_lies_in_memory_arrives(array: Array, shared: bool) -> None:
    from attndsl.backends.pytorch.arrays import to_array, to_tensor

    frozen = array.copy()
    frozen.setflags(write=False)
    for given in (array, frozen):
        back = to_array(to_tensor(given, shared=shared))
        assert back.shape == array.shape
        assert back.dtype.kind == {"u": "i"}.get(array.dtype.kind, array.dtype.kind)
        np.testing.assert_array_equal(back, array)


def test_what_is_not_shared_keeps_its_values() -> None:
    from attndsl.backends.pytorch.arrays import to_array, to_tensor

    array = np.zeros(3, np.float32)
    tensor, result = to_tensor(array), to_array(to_tensor(array))
    array += 1
    assert tensor.tolist() == [0, 0, 0]
    result += 1
    assert tensor.tolist() == [0, 0, 0]


def test_bfloat16_comes_back_as_float32() -> None:
    import torch

    from attndsl.backends.pytorch.arrays import to_array

    back = to_array(torch.tensor(1.5, dtype=torch.bfloat16))
    assert back.dtype == np.float32
    assert back.shape == ()
    assert back == 1.5


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_tensors_of_any_precision_are_inputs(dtype: str) -> None:
    import torch

    graph = written("model M(width=2) {\n input x: [B, width]\n input s: []\n output y = x * s\n}")
    given = {"x": torch.full((1, 2), 1.5, dtype=getattr(torch, dtype)), "s": torch.tensor(2.0, requires_grad=True)}
    arrays = as_arrays(graph, given)
    assert NumpyProgram(graph).run(arrays)["y"].tolist() == [[3.0, 3.0]]
