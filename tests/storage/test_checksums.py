"""No bit of what was written can flip without being told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attndsl.diagnostics import AttnError
from attndsl.storage.safetensors import TensorFile, write_tensors

ARRAYS = {
    "h.0.w": np.arange(6, dtype=np.float32).reshape(2, 3),
    "step": np.array(7, dtype=np.int64),
    "half": np.array([1.5, 0.0], np.float16),
    "none": np.zeros((0, 4), np.float32),
}


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    with TensorFile(path) as file:
        assert file.is_checked
        return {name: file.read(name) for name in file.entries}, dict(file.metadata)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, ARRAYS, {"facts": '{"step": 3}'})
    arrays, metadata = read(path)
    assert metadata == {"facts": '{"step": 3}'}
    assert arrays.keys() == ARRAYS.keys()
    for name, array in arrays.items():
        assert (array.dtype, array.shape) == (ARRAYS[name].dtype, ARRAYS[name].shape)
        np.testing.assert_array_equal(array, ARRAYS[name])


def test_every_flipped_bit_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, ARRAYS, {"facts": '{"step": 3}'})
    good = path.read_bytes()
    for place in range(8 * len(good)):
        damaged = bytearray(good)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises((AttnError, AssertionError)):  # the assertion: the name of the checksums themselves
            read(path)


def test_others_files_have_none(tmp_path: Path) -> None:
    numpy = pytest.importorskip("safetensors.numpy")
    numpy.save_file({"a": np.ones(3, np.float32)}, tmp_path / "a.safetensors", {"format": "pt"})
    with TensorFile(tmp_path / "a.safetensors") as file:
        assert not file.is_checked
        assert file.read("a").tolist() == [1, 1, 1]
    write_tensors(tmp_path / "b.safetensors", ARRAYS)
    assert numpy.load_file(tmp_path / "b.safetensors")["h.0.w"].tolist() == ARRAYS["h.0.w"].tolist()
