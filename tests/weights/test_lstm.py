"""The two biases of `torch.nn.LSTM` are one of ours: its tensors load, the model computes the same, they go back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.elaborate import elaborate, open_text
from attndsl.storage.safetensors import TensorFile, write_tensors
from attndsl.weights import check_section, export_huggingface, load_weights

TEXT = """\
block lstm_cell(hidden)(x: [*, D], h: [*, H], c: [*, H]) -> [*, H], [*, H] {
  z = linear(x, 4 * hidden) as from_x + linear(h, 4 * hidden, bias=false) as from_h
  i, f, g, o = split(z, over=4 * hidden -> [hidden, hidden, hidden, hidden])
  next = sigmoid(f) * c + sigmoid(i) * tanh(g)
  return sigmoid(o) * tanh(next), next
}

model LSTM(width=4, hidden=6) {
  input x: [B, T, width]
  states = scan t in T with h: [B, hidden] = 0.0, c: [B, hidden] = 0.0 {
    h, c = lstm_cell(hidden)(x[T=t], h, c) as cell
    emit h
  }
  output y = states
}

weights LSTM from torch {
  "weight_{of in [ih -> from_x, hh -> from_h]}_l0": [out, in] <-> t.cell[of].weight
  "bias_ih_l0" + "bias_hh_l0"                                 <-> t.cell.from_x.bias
}
"""


@pytest.mark.torch
def test_an_lstm_of_torch_loads_and_goes_back(tmp_path: Path) -> None:
    import torch

    torch.manual_seed(0)
    theirs = torch.nn.LSTM(4, 6, batch_first=True)
    tensors = {name: tensor.detach().numpy() for name, tensor in theirs.state_dict().items()}
    write_tensors(tmp_path / "theirs.safetensors", tensors, {})
    spec = open_text(TEXT)
    graph = elaborate(spec, {})
    assert check_section(spec.weights[0], graph, spec) == []
    arrays = load_weights(tmp_path / "theirs.safetensors", graph, spec.weights)
    x = np.random.default_rng(0).standard_normal((2, 5, 4)).astype(np.float32)
    y = NumpyProgram(graph, parameters=arrays).run({"x": x})["y"]
    with torch.no_grad():
        expected = theirs(torch.from_numpy(x))[0].numpy()
    assert np.abs(y - expected).max() < 1e-6
    export_huggingface(tmp_path / "ours", graph, arrays, spec.weights[0])
    with TensorFile(tmp_path / "ours" / "model.safetensors") as file:
        theirs.load_state_dict({name: torch.from_numpy(file.read(name)) for name in file.entries})
    with torch.no_grad():
        assert np.abs(theirs(torch.from_numpy(x))[0].numpy() - expected).max() < 1e-6
