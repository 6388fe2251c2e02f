"""The history of a training from Python: arrays, a table, a curve, and what a notebook shows."""

from __future__ import annotations

import xml.etree.ElementTree as xml

import numpy as np
import pytest

import attndsl
from attndsl import AttnError
from attndsl.runs.log import read_log
from tests.training.conftest import A_TEXT, TINY


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> attndsl.TrainedModel:
    out = tmp_path_factory.mktemp("history") / "run"
    return attndsl.parse(TINY).train(A_TEXT, out, steps=4, evaluate=2, backend="numpy", quiet=True, log=["csv"])


def test_a_history_is_arrays_of_one_length(trained: attndsl.TrainedModel) -> None:
    history = trained.history
    lines = read_log(trained.folder)
    assert history["step"].tolist() == [1, 2, 3, 4]
    assert history["step"].dtype == np.int64
    assert history["loss"].tolist() == [line["loss"] for line in lines if "loss" in line]
    assert {len(array) for array in history.values()} == {4}
    assert np.isnan(history["held_out"]).tolist() == [True, False, True, False]
    assert {"lr", "grad_norm", "tokens", "flops", "seconds", "held_out_cross_entropy"} <= set(history)
    assert len(history) == len(list(history))
    assert (trained.folder / "training.csv").is_file()


def test_a_history_is_drawn_and_shown(trained: attndsl.TrainedModel) -> None:
    for against in ("steps", "tokens", "flops", "time"):
        assert xml.fromstring(trained.history.curve(against=against)).tag.endswith("svg")
    assert "lr" in trained.history.curve("lr")
    for wrong in ({"name": "los"}, {"against": "weeks"}):
        with pytest.raises(AttnError, match="E0797"):
            trained.history.curve(**wrong)
    shown = trained._repr_html_()
    assert "<svg" in shown
    assert "finished after 4 steps" in shown
    assert "loss per token" in shown
    xml.fromstring(shown.replace("<br>", "<br/>"))
    assert "4 steps" in repr(trained.history)


def test_a_table_needs_pandas(trained: attndsl.TrainedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(AttnError, match="E0708"):
        trained.history.frame()


def test_a_table_has_the_steps_as_its_index(trained: attndsl.TrainedModel) -> None:
    pytest.importorskip("pandas")
    frame = trained.history.frame()
    assert frame.index.tolist() == [1, 2, 3, 4]
    assert frame["loss"].tolist() == trained.history["loss"].tolist()
