"""Weights with NaN or infinities are used, and told by address and file, on every way in."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import attndsl
from attndsl.diagnostics import Diagnostic, collected
from attndsl.elaborate import elaborate, open_text
from attndsl.runs.given_weights import read_weights
from attndsl.storage.safetensors import write_tensors
from attndsl.weights import save_weights
from attndsl.weights.not_finite import told_if_not_finite

TEXT = """model M(width=4) {
  input x: [B, width]
  output y = layer_norm(x) as norm
}

weights M from huggingface {
  "n.weight" <-> norm.scale
  "n.bias"   <-> norm.shift
}
"""
SPEC = open_text(TEXT)
GRAPH = elaborate(SPEC, {})


def arrays(**bad: float) -> dict[str, Any]:
    found = {name: np.ones(4, np.float32) for name in ("norm.scale", "norm.shift")}
    for name, value in bad.items():
        found[f"norm.{name}"][1:3] = value
    return found


def told(path: Path) -> list[Diagnostic]:
    with collected() as found:
        read = dict(read_weights(path, SPEC, GRAPH))
    assert set(read) == {"norm.scale", "norm.shift"}
    return found


def test_finite_weights_are_not_told(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", arrays(), GRAPH)
    assert told(tmp_path / "w.safetensors") == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_in_our_names(value: float, tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", arrays(shift=value), GRAPH)
    (found,) = told(tmp_path / "w.safetensors")
    assert found.code == "W0602"
    assert f"`norm.shift` in {tmp_path / 'w.safetensors'} has 2 of 4 values" in found.message


def test_published_weights_with_several(tmp_path: Path) -> None:
    bad = arrays(scale=np.nan, shift=np.inf)
    published = {"n.weight": bad["norm.scale"], "n.bias": bad["norm.shift"]}
    write_tensors(tmp_path / "model.safetensors", published)
    (tmp_path / "config.json").write_text(json.dumps({}), encoding="utf-8")
    first, others = told(tmp_path)
    assert "`norm.scale`" in first.message
    assert "`norm.shift`" in others.message


def test_the_others_are_told_together() -> None:
    with collected() as found:
        assert len(list(told_if_not_finite({name: np.full(2, np.nan) for name in "abc"}, "here").values())) == 3
    assert [each.notes for each in found] == [(), ("so have `c`",)]


def test_one_who_reads_only_some_is_told_of_these(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", arrays(shift=np.nan), GRAPH)
    opened = read_weights(tmp_path / "w.safetensors", SPEC, GRAPH)
    with collected() as found:
        assert opened["norm.shift"].size
    assert [each.code for each in found] == ["W0602"]


def test_python_tells_them_when_they_are_read(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", arrays(shift=np.nan), GRAPH)
    model = attndsl.parse(TEXT)
    with pytest.warns(UserWarning, match=r"\[W0602\] `norm\.shift`") as heard:
        model.numpy(tmp_path / "w.safetensors")
    assert heard[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model.warnings == ()
        model.numpy()
