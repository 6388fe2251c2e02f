"""Which parameters of a run are taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attndsl.diagnostics import AttnError
from attndsl.runs.checkpoint import furthest_parameters, save_checkpoint, save_tensors
from attndsl.runs.record import WEIGHTS
from attndsl.storage.safetensors import TensorFile
from attndsl.storage.whole import PARTIAL


def code(run: Path) -> str:
    with pytest.raises(AttnError) as caught:
        furthest_parameters(run)
    return caught.value.diagnostics[0].code


def test_the_furthest_that_can_be_read_are_taken(tmp_path: Path) -> None:
    def checkpoint(step: int) -> Path:
        state = {"parameters/a.b": np.full(3, step, np.float32), "optimizer/first/a.b": np.zeros(3, np.float32)}
        return save_checkpoint(tmp_path, step, state)

    def taken() -> tuple[list[str], float, int]:
        arrays, step = furthest_parameters(tmp_path)
        return list(arrays), float(arrays["a.b"][0]), step

    assert code(tmp_path) == "E0732"
    save_tensors(tmp_path / WEIGHTS, {"a.b": np.full(3, 10, np.float32)}, step=10)
    checkpoint(5)
    assert taken() == (["a.b"], 10.0, 10)
    checkpoint(15)
    newest = checkpoint(20)
    assert taken() == (["a.b"], 20.0, 20)
    written = newest.parent / f".step-000025.safetensors.1{PARTIAL}"  # by whoever trains the run meanwhile
    written.touch()
    newest.write_bytes(newest.read_bytes()[:-9])
    assert taken() == (["a.b"], 15.0, 15)
    assert written.is_file()
    (tmp_path / WEIGHTS).write_bytes(b"damaged" * 9)
    assert code(tmp_path) == "E0733"  # told, since what would stand in for them may be older
    (tmp_path / WEIGHTS).unlink()
    assert taken() == (["a.b"], 15.0, 15)
    for path in newest.parent.iterdir():
        path.write_bytes(b"damaged" * 9)
    assert code(tmp_path) == "E0733"


def test_only_parameters_are_read_for_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, names = TensorFile.read, list[str]()

    def noted(self: TensorFile, name: str) -> np.ndarray[Any, Any]:
        names.append(name)
        return read(self, name)

    monkeypatch.setattr(TensorFile, "read", noted)
    ones = np.ones(3, np.float32)
    save_checkpoint(tmp_path, 5, {"parameters/a.b": ones, "optimizer/first/a.b": ones, "updates": np.array(5)})
    furthest_parameters(tmp_path)
    assert names == ["parameters/a.b"]
