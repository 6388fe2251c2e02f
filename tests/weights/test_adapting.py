"""Weights of a body under a new head: what is taken, what is left out, and what is an error as ever."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attndsl.diagnostics import AttnError
from attndsl.elaborate import elaborate, open_spec
from attndsl.elaborate.spec import Spec
from attndsl.graph import Graph
from attndsl.storage.safetensors import write_tensors
from attndsl.weights import (
    adapt_arrays,
    adapt_weights,
    export_huggingface,
    load_weights,
    save_weights,
    settings_for,
)
from tests.weights.models import arrays_for, codes

SPEC = """\
model M(vocab=7, width=4, depth=2, heads=2, labels=2, head="none", p=0.1) {
  input tokens: int[B, T] where tokens < vocab
  layer wte = embedding(vocab, width)
  x = wte(tokens)
  repeat h in depth { x += attention(x, heads) as attn |> dropout(p) }
  output hidden = x
  if head == "lm" {
    output said = x |> linear(width) as transform |> dot(wte.table, over=width)
  }
  if head == "pooled" { output pooled = mean(x, over=T) }
  if head == "classify" {
    output logits = linear(x[T=0], labels) as classifier
  }
}
variant M:pooled { head="pooled" }
variant M:lm { head="lm" }
variant M:classifier { head="classify" }

weights M from huggingface {
  config {
    require model_type == "m"
    vocab = vocab_size, width = hidden_size, depth = num_layers, heads = num_heads, p = dropout or 0.1
    labels = count(id2label) or 2
    head = choose(architectures, "MModel" -> "none", "MPooled" -> "pooled", "MForMaskedLM" -> "lm",
                  "MForClassification" -> "classify")
  }
  if head == "lm" {
    "cls.transform.weight": [out, in] <-> transform.weight
    "cls.transform.bias" <-> transform.bias
  } else if head == "classify" {
    "classifier.weight": [out, in] <-> classifier.weight
    "classifier.bias" <-> classifier.bias
  }
  prefix "m." optional {
  "wte.weight": [vocab, width] <-> wte.table
  "h.{i}.qkv.weight": [out, in] <-> concat(h[i].attn.q.weight, h[i].attn.k.weight, h[i].attn.v.weight, over=out)
  "h.{i}.qkv.bias" <-> concat(h[i].attn.q.bias, h[i].attn.k.bias, h[i].attn.v.bias, over=out)
  "h.{i}.out.weight": [out, in] <-> h[i].attn.out.weight
  "h.{i}.out.bias" <-> h[i].attn.out.bias
  }
}
"""
HEAD = ("classifier.weight", "classifier.bias")
Arrays = dict[str, np.ndarray]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.attn").write_text(SPEC)
    return tmp_path


def model(variant: str = "", **settings: Any) -> tuple[Spec, Graph]:
    spec = open_spec(f"m.attn:{variant}" if variant else "m.attn")
    return spec, elaborate(spec, settings)


def same(found: Any, expected: Arrays) -> bool:
    return all(np.array_equal(found[name], expected[name]) for name in found)


@pytest.fixture
def body(folder: Path) -> Arrays:
    """A language model's parameters, under three kinds of files: published, of ours, of a training run."""
    spec, graph = model("lm")
    arrays = arrays_for(graph)
    export_huggingface(folder / "published", graph, arrays, spec.weights[0])
    save_weights(folder / "own.safetensors", arrays, graph)
    return arrays


@pytest.mark.parametrize(
    ("where", "unused"),
    [
        ("published", ["cls.transform.bias", "cls.transform.weight"]),
        ("published/model.safetensors", ["cls.transform.bias", "cls.transform.weight"]),
        ("own.safetensors", ["transform.bias", "transform.weight"]),
    ],
)
def test_a_body_goes_under_a_new_head(body: Arrays, where: str, unused: list[str]) -> None:
    spec, _ = model("classifier")
    settings = settings_for(where, spec.weights, {"labels": "5"}, spec=spec, adapt=True)
    assert "head" not in settings
    assert settings["labels"] == "5"
    graph = elaborate(spec, settings)
    assert graph.hyperparameters["head"] == "classify"
    found = adapt_weights(where, graph, spec.weights, {"labels"})
    assert sorted(found.missing) == sorted(HEAD)
    assert sorted(found.unused) == unused
    assert [*found.arrays] == [a for info in graph.parameters for a in info.addresses() if a not in HEAD]
    assert same(found.arrays, body)


def test_what_is_explicit_wins_and_what_the_model_lacks_is_dropped(body: Arrays, folder: Path) -> None:
    spec, _ = model("classifier")
    explicit = {"head": "lm", "labels": 3, "p": 0.0, "heads": 4}
    recorded = {"vocab": 7, "width": 4, "depth": 2, "heads": 2, "noise": 0.5}
    for where, kept in (("published", None), ("own.safetensors", None), ("own.safetensors", recorded)):
        found = settings_for(where, spec.weights, explicit, spec=spec, adapt=True, kept=kept)
        assert found == {"vocab": 7, "width": 4, "depth": 2, **explicit}


def test_an_architecture_that_the_table_lacks_is_no_obstacle_where_the_head_is_chosen(body: Arrays) -> None:
    config = json.loads(Path("published/config.json").read_text())
    Path("published/config.json").write_text(json.dumps({**config, "architectures": ["MForTagging"]}))
    spec, _ = model("classifier")
    for adapt in (True, False):
        settings = settings_for("published", spec.weights, {}, spec=spec, adapt=adapt)
        assert settings["width"] == 4
        assert "head" not in settings
    graph = elaborate(spec, settings)
    assert sorted(adapt_weights("published", graph, spec.weights).missing) == sorted(HEAD)
    with pytest.raises(AttnError, match="has no `classifier`"):
        load_weights("published", graph, spec.weights)
    with pytest.raises(AttnError) as raised:
        settings_for("published", spec.weights, spec=model()[0], adapt=True)
    assert codes(raised.value) == ["E0614"]


def test_a_head_for_other_labels_is_fresh(folder: Path) -> None:
    spec, graph = model("classifier", labels=3)
    arrays = arrays_for(graph)
    export_huggingface(folder / "published", graph, arrays, spec.weights[0])
    save_weights(folder / "own.safetensors", arrays, graph)
    _, wider = model("classifier", labels=5)
    for where in ("published", "own.safetensors"):
        found = adapt_weights(where, wider, spec.weights, {"labels"})
        assert sorted(found.missing) == sorted(HEAD)
        assert found.unused == ()
        assert same(found.arrays, arrays)
        with pytest.raises(AttnError) as raised:
            adapt_weights(where, wider, spec.weights)
        assert codes(raised.value) == ["E0607", "E0607"]
    assert sorted(adapt_arrays(arrays, wider, {"labels"}).missing) == sorted(HEAD)
    assert adapt_arrays(arrays, graph).missing == ()


@pytest.mark.parametrize("where", ["published", "own.safetensors"])
def test_another_shape_is_an_error_as_ever(body: Arrays, where: str) -> None:
    """`width` differs beside `labels`, or alone: the weights belong to another model."""
    spec, _ = model()
    for changes, fresh in (
        ({"width": 6}, {"labels"}),
        ({"vocab": 9}, {"labels"}),
        ({"vocab": 9, "width": 6}, {"vocab"}),
    ):
        graph = elaborate(spec, changes)
        with pytest.raises(AttnError) as raised:
            adapt_weights(where, graph, spec.weights, fresh)
        assert set(codes(raised.value)) == {"E0607"}
    found = adapt_weights(where, elaborate(spec, {"vocab": 9}), spec.weights, {"vocab"})
    assert found.missing == ("wte.table",)


def test_a_deeper_model_gets_the_layers_that_are_there(body: Arrays) -> None:
    spec, graph = model(depth=3)
    found = adapt_weights("published", graph, spec.weights)
    assert {name.rpartition(".attn")[0] for name in found.missing} == {"h.2"}
    assert same(found.arrays, body)


def test_nothing_in_common_is_another_model(body: Arrays, folder: Path) -> None:
    spec, graph = model("classifier")
    write_tensors(folder / "other.safetensors", {"x.y": np.zeros(3, np.float32)})
    with pytest.raises(AttnError, match="none of its 1 names") as raised:
        adapt_weights("other.safetensors", graph, spec.weights)
    assert codes(raised.value) == ["E0609"]
    with pytest.raises(AttnError) as raised:
        adapt_arrays({"x.y": np.zeros(3, np.float32)}, graph)
    assert codes(raised.value) == ["E0609"]
    write_tensors(folder / "head.safetensors", {"classifier.bias": body["transform.bias"][:2]})
    with pytest.raises(AttnError) as raised:  # only the head is there, and that is for other labels
        adapt_weights("head.safetensors", elaborate(spec, {"labels": 5}), spec.weights, {"labels"})
    assert codes(raised.value) == ["E0609"]


def test_what_is_no_number_or_no_copy_is_an_error_as_ever(body: Arrays, folder: Path) -> None:
    spec, graph = model("classifier")
    changed = {**body, "wte.table": body["wte.table"].astype(np.int32)}
    write_tensors(folder / "own.safetensors", changed)
    for wrong in (
        lambda: adapt_weights("own.safetensors", graph, spec.weights),
        lambda: adapt_arrays(changed, graph),
    ):
        with pytest.raises(AttnError) as raised:
            wrong()
        assert codes(raised.value) == ["E0608"]


# ---------------------------------------------------------------- loading without training


@pytest.mark.parametrize("where", ["published", "own.safetensors"])
def test_a_head_that_the_weights_lack_is_one_mistake(body: Arrays, where: str) -> None:
    spec, _ = model("classifier")
    graph = elaborate(spec, settings_for(where, spec.weights, {}, spec=spec))
    assert graph.hyperparameters["head"] == "classify"
    with pytest.raises(AttnError) as raised:
        load_weights(where, graph, spec.weights)
    (found,) = raised.value.diagnostics
    assert found.code == "E0605"
    assert "has no `classifier`: none of the 2 parameters" in found.message
    assert found.primary is not None
    assert found.primary.span.text == "linear(x[T=0], labels)"
    assert "2 tensors that the model does not use" in found.notes[0]
    assert "--weights" in found.helps[0]


def test_the_head_is_chosen_freely_as_far_as_the_weights_have_it(body: Arrays) -> None:
    """The published architecture is a language model's: its body alone is `head="none"`, if the rest is ignored."""
    spec, _ = model()
    assert settings_for("published", spec.weights, spec=spec)["head"] == '"lm"'
    settings = settings_for("published", spec.weights, {"head": "none"}, spec=spec)
    with pytest.raises(AttnError) as raised:
        load_weights("published", elaborate(spec, settings), spec.weights)
    assert codes(raised.value) == ["E0606", "E0606"]
    with pytest.raises(AttnError) as raised:
        settings_for("published", spec.weights, {"heads": 4}, spec=spec)
    assert codes(raised.value) == ["E0617"]


def test_a_variants_head_is_no_whim_where_no_section_says_what_a_head_is(body: Arrays) -> None:
    spec, _ = model("classifier")
    graph = elaborate(spec, settings_for("own.safetensors", (), {}, spec=spec))
    with pytest.raises(AttnError, match="has no `classifier`"):
        load_weights("own.safetensors", graph)
    spec, _ = model("lm")
    settings = settings_for("own.safetensors", (), {}, spec=spec)
    assert same(load_weights("own.safetensors", elaborate(spec, settings)), body)
    with pytest.raises(AttnError) as raised:
        settings_for("own.safetensors", (), {"head": "classify"}, spec=spec)
    assert codes(raised.value) == ["E0617"]


@pytest.mark.parametrize("where", ["own.safetensors", "published"])
def test_a_head_without_parameters_goes_with_any_body(folder: Path, where: str) -> None:
    spec, graph = model()
    arrays = arrays_for(graph)
    save_weights(folder / "own.safetensors", arrays, graph)
    export_huggingface(folder / "published", graph, arrays, spec.weights[0])
    spec, _ = model("pooled")
    graph = elaborate(spec, settings_for(where, spec.weights, spec=spec))
    assert graph.hyperparameters["head"] == "pooled"
    assert same(load_weights(where, graph, spec.weights), arrays)


def test_many_layers_that_are_missing_are_told_by_layer(body: Arrays) -> None:
    spec, graph = model("lm", depth=4)
    with pytest.raises(AttnError) as raised:
        load_weights("own.safetensors", replace(graph, hyperparameters={}), spec.weights)
    assert [d.message.split(": ")[0].rpartition(" ")[2] for d in raised.value.diagnostics] == ["`h.2`", "`h.3`"]
    assert codes(raised.value) == ["E0605", "E0605"]
    assert all("another variant" in d.helps[0] for d in raised.value.diagnostics)
