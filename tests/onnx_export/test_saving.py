"""Files of ONNX: whole or not at all, with large constants beside them, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attndsl.diagnostics import AttnError
from attndsl.elaborate import elaborate, open_text
from attndsl.graph import Graph
from attndsl.onnx_export import export_onnx, to_onnx
from attndsl.onnx_export.file import written
from attndsl.onnx_export.saving import write_model
from tests.acceptance.test_shipped_specs import REDUCED, SIZES, inputs_of, reduced, weights_of
from tests.onnx_export.runtime import results, session

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

AVERAGED = """
model Averaged(width=4) {
  input x: [B, width]
  output y = x |> batch_norm as norm
}
"""


def said(path: Path, graph: Graph) -> np.ndarray:
    return results(session(str(path)), inputs_of(graph, SIZES["usual"]))["logits"]


def test_large_constants_stand_beside_and_those_of_an_earlier_export_go(tmp_path: Path) -> None:
    graph, target = reduced("gpt2", 1), tmp_path / "model.onnx"
    for seed in (1, 2):
        weights = weights_of(graph, seed)
        inside = results(session(to_onnx(graph, weights)), inputs_of(graph, SIZES["usual"]))["logits"]
        model, data = write_model(target, written(graph, weights), inline=0)
        assert {model, data} == set(tmp_path.iterdir())
        assert data.stat().st_size > model.stat().st_size / 4
        np.testing.assert_array_equal(said(target, graph), inside)
    assert write_model(target, written(graph, weights)) == (target,)
    assert list(tmp_path.iterdir()) == [target]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, target = reduced("gpt2", 1), tmp_path / "model.onnx"
    write_model(target, written(graph, weights_of(graph)), inline=0)
    before, files = said(target, graph), set(tmp_path.iterdir())
    made = written(graph, weights_of(graph, 2))

    def full(*given: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(AttnError) as told:
        write_model(target, made, inline=0)
    assert told.value.diagnostics[0].code == "E0705"
    assert set(tmp_path.iterdir()) == files
    np.testing.assert_array_equal(said(target, graph), before)


def test_what_is_no_earlier_export_stays(tmp_path: Path) -> None:
    graph, target = reduced("gpt2", 1), tmp_path / "model.onnx"
    target.write_text("mine", encoding="utf-8")
    with pytest.raises(AttnError) as told:
        export_onnx(target, graph, weights_of(graph))
    assert told.value.diagnostics[0].code == "E0612"
    assert target.read_text(encoding="utf-8") == "mine"
    export_onnx(target, graph, weights_of(graph), force=True)
    export_onnx(target, graph, weights_of(graph))  # an earlier one is replaced


def test_an_encoder_is_a_file_of_its_own(tmp_path: Path) -> None:
    graph = reduced("t5", 1)
    files = export_onnx(tmp_path / "t5.onnx", graph, weights_of(graph), incremental=True, inputs=["valid"])
    assert [file.name for file in files] == ["t5.onnx", "t5.sources.onnx"]
    step, sources = (session(str(file)) for file in files)
    assert [each.name for each in sources.get_inputs()] == ["source", "valid"]
    assert {each.name for each in sources.get_outputs()} <= {each.name for each in step.get_inputs()}


def test_a_model_in_python_is_saved(tmp_path: Path) -> None:
    import attndsl

    model = attndsl.load("gpt2", {**REDUCED["gpt2"], "depth": 1})
    model.save_onnx(tmp_path / "gpt2.onnx", weights_of(model.graph))
    given = inputs_of(model.graph, SIZES["usual"])
    found = results(session(str(tmp_path / "gpt2.onnx")), given)["logits"]
    wanted = model.run(given, backend="numpy", weights=weights_of(model.graph))["logits"]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("trained", [False, True])
def test_what_all_rows_share_is_a_constant(trained: bool) -> None:
    graph = elaborate(open_text(AVERAGED), {})
    arrays = {"norm.scale": np.ones(4), "norm.shift": np.zeros(4)}
    states = {"norm.running_mean": np.arange(4.0), "norm.running_var": np.full(4, 4.0)} if trained else {}
    found = results(session(to_onnx(graph, {**arrays, **states})), {"x": np.ones((2, 4))})
    assert found.keys() == {"y"}
    wanted = (1 - np.arange(4)) / 2 if trained else np.ones(4)
    np.testing.assert_allclose(found["y"], np.broadcast_to(wanted, (2, 4)), rtol=1e-4)


def told(graph: Graph, **options: Any) -> str:
    with pytest.raises(AttnError) as error:
        to_onnx(graph, weights_of(graph), **options)
    return str(error.value)


def test_an_opset_that_cannot_say_a_construct_is_named_with_its_line() -> None:
    message = told(reduced("gpt2", 1), opset=12)
    assert "error[E0652]: opset 12 of ONNX cannot say `range`" in message
    assert "gpt2.attn:9:" in message
    assert "`--opset 23`" in message
    assert "knows no opset 99" in told(reduced("gpt2", 1), opset=99)


def test_a_name_that_the_model_lacks_is_told() -> None:
    graph = reduced("gpt2", 1)
    assert "error[E0803]: there is no input `target`" in told(graph, inputs=["target"])
    assert "add it: `--inputs targets`" in told(graph, outputs=["loss"])
    assert "there is no output `logit`" in told(graph, outputs=["logit"])
    assert "every output needs an optional input" in told(reduced("clip", 1))


def test_without_onnx_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    message = told(reduced("gpt2", 1))
    assert "error[E0708]" in message
    assert "pip install 'attndsl[onnx]'" in message


def test_options_are_for_what_they_say_something_of(attndsl: Any) -> None:
    done = attndsl("export", "run", "--to", "safetensors", "x.safetensors", "--incremental")
    assert done.code == 2
    assert "`--incremental` is for `--to onnx` and `--to torch`" in done.err
    done = attndsl("export", "run", "--to", "onnx", "x.onnx", "--size", "T=3")
    assert done.code == 2
    assert "`--size` is for `--to torch`" in done.err
