"""Layers of `torch.nn` that the library has: their tensors load, the blocks compute the same, and they go back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.elaborate import elaborate, open_text
from attndsl.storage.safetensors import TensorFile, write_tensors
from attndsl.weights import check_section, export_huggingface, load_weights

CONVOLUTIONS = """
model M(width=4, out=6, groups=2) {
  input x: [B, T, width]
  input z: [B, Y, X, width]
  output a = conv(x, out, 3, groups=groups) as one |> conv_transpose(width, 4, bias=false) as one_back
  output b = conv2d(z, out, 3, stride=2) as two |> conv2d_transpose(width, 2, groups=groups) as two_back
}

weights M from torch {
  prefix "net."
  "one."      <-> conv(one)
  "one_back." <-> conv_transpose(one_back)
  "two."      <-> conv2d(two)
  "two_back." <-> conv2d_transpose(two_back)
}
"""


NORMS = """
model M(width=6, groups=2) {
  input z: [B, Y, X, width]
  output a = group_norm(z, groups) as grouped
  output b = instance_norm(z, affine=true) as rows
  output c = batch_norm(z) as batches
}

weights M from torch {
  prefix "net."
  "grouped." <-> group_norm(grouped)
  "rows."    <-> group_norm(rows)
  "batches." <-> batch_norm(batches)
}
"""


def both(text: str, layers, inputs: dict[str, np.ndarray], folder: Path):  # type: ignore[no-untyped-def]
    """What a spec computes with the tensors of `layers` (under `net.`), which are what an export writes."""
    tensors = {f"net.{name}": tensor.detach().numpy() for name, tensor in layers.state_dict().items()}
    write_tensors(folder / "theirs.safetensors", tensors, {})
    spec = open_text(text)
    graph = elaborate(spec, {})
    assert check_section(spec.weights[0], graph, spec) == []
    arrays = load_weights(folder / "theirs.safetensors", graph, spec.weights)
    found = NumpyProgram(graph, parameters=arrays).run(inputs)
    export_huggingface(folder / "ours", graph, arrays, spec.weights[0])
    with TensorFile(folder / "ours" / "model.safetensors") as file:
        written = {name: file.read(name).tolist() for name in file.entries}
    assert written == {k: v.tolist() for k, v in tensors.items() if not k.endswith("num_batches_tracked")}
    return found


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


@pytest.mark.torch
def test_convolutions(tmp_path: Path) -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    layers = nn.ModuleDict(
        {
            "one": nn.Conv1d(4, 6, 3, groups=2), "one_back": nn.ConvTranspose1d(6, 4, 4, bias=False),
            "two": nn.Conv2d(4, 6, 3, stride=2), "two_back": nn.ConvTranspose2d(6, 4, 2, groups=2),
        }
    )  # fmt: skip
    x, z = drawn(2, 7, 4), drawn(2, 7, 9, 4)
    found = both(CONVOLUTIONS, layers, {"x": x, "z": z}, tmp_path)
    with torch.no_grad():
        a = layers["one_back"](layers["one"](torch.from_numpy(x).mT)).mT
        b = layers["two_back"](layers["two"](torch.from_numpy(z).permute(0, 3, 1, 2))).permute(0, 2, 3, 1)
    np.testing.assert_allclose(found["a"], a.numpy(), atol=1e-6)
    np.testing.assert_allclose(found["b"], b.numpy(), atol=1e-6)


@pytest.mark.torch
def test_norms(tmp_path: Path) -> None:
    import torch
    from torch import nn

    torch.manual_seed(0)
    layers = nn.ModuleDict(
        {"grouped": nn.GroupNorm(2, 6), "rows": nn.InstanceNorm2d(6, affine=True), "batches": nn.BatchNorm2d(6)}
    )
    with torch.no_grad():
        for parameter in layers.parameters():
            parameter.copy_(torch.randn(6))
        layers["batches"](torch.randn(4, 6, 3, 2) * 2 + 1)
    layers.eval()
    z = drawn(2, 7, 9, 6)
    found = both(NORMS, layers, {"z": z}, tmp_path)
    with torch.no_grad():
        for name, layer in zip("abc", layers.values(), strict=True):
            expected = layer(torch.from_numpy(z).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
            np.testing.assert_allclose(found[name], expected.numpy(), atol=1e-5)
