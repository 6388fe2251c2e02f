"""What published layouts of encoders, encoder-decoders and vision models need of a section, all in one model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from attndsl.api.checking import check
from attndsl.diagnostics import AttnError
from attndsl.elaborate import elaborate, open_spec
from attndsl.elaborate.spec import Spec
from attndsl.graph import Graph
from attndsl.storage.safetensors import TensorFile, write_tensors
from attndsl.weights import export_huggingface, load_weights, settings_for
from tests.weights.models import arrays_for, codes

SPEC = """\
model M(vocab=9, context=5, width=4, channels=3, patch=2, depth=2, head="pretraining") {
  input tokens: int[B, T] where T <= context, tokens < vocab
  input image: [B, channels, Y*patch, X*patch]
  layer shared = embedding(vocab, width)
  param place: [context + 2, width]
  P = patch
  Q = patch
  seen = rearrange(image, [channels, Y*P, X*Q] -> [Y*X, channels*P*Q]) |> linear(width) as patches
  memory = scope encoder {
    x = shared(tokens) + place[context + 2=2:T + 2 -> T]
    repeat block in depth {
      scope self { x = layer_norm(x + (linear(x, width) as mix)) as norm }
    }
    return x
  }
  output hidden = memory
  output looked = mean(seen, over=Y*X)
  if head == "pretraining" {
    output logits = memory |> linear(width) as transform |> dot(shared.table, over=width)
  }
}

weights M from huggingface {
  config {
    require model_type == "m"
    vocab = vocab_size, context = max_position_embeddings, width = d_model, depth = num_layers
    channels = num_channels, patch = patch_size
    head = choose(architectures, "MModel" -> "none", "MForPreTraining" -> "pretraining")
  }
  if head == "pretraining" {
    "cls.transform.weight": [out, in] <-> transform.weight
    "cls.transform.bias" <-> transform.bias
    "cls.decoder.weight": [vocab, width] <- shared.table
    "final_logits_bias": [1, vocab] <-> 0
  } else {
    ignore "cls.transform.weight", "cls.transform.bias", "cls.decoder.weight", "final_logits_bias"
  }
  prefix "m." optional {
  ignore "position_ids"
  "shared.weight": [vocab, width] <-> shared.table
  "encoder.embed_tokens.weight": [vocab, width] <- shared.table
  "encoder.embed_positions.weight": [context + 2, width] <-> place
  "patch.projection.weight": [out, C, P, Q] <-> rearrange(patches.weight, [in] -> [C=channels, P=patch, Q=patch])
  "patch.projection.bias" <-> patches.bias
  "encoder.layer.{i}.mix.weight": [out, in] <-> encoder.block[i].self.mix.weight
  "encoder.layer.{i}.mix.bias" <-> encoder.block[i].self.mix.bias
  "encoder.layer.{i}.LayerNorm.weight" <-> encoder.block[i].self.norm.scale
  "encoder.layer.{i}.LayerNorm.gamma"  <-  encoder.block[i].self.norm.scale
  "encoder.layer.{i}.LayerNorm.bias"   <-> encoder.block[i].self.norm.shift
  "encoder.layer.{i}.LayerNorm.beta"   <-  encoder.block[i].self.norm.shift
  }
}
"""
Arrays = dict[str, np.ndarray]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.attn").write_text(SPEC)
    return tmp_path


@pytest.fixture
def model(place: Path) -> tuple[Spec, Graph]:
    check("m.attn")
    check("m.attn", {"head": "none"})
    spec = open_spec("m.attn")
    return spec, elaborate(spec, {})


def tensors(path: Path) -> Arrays:
    with TensorFile(path) as file:
        return {name: file.read(name) for name in file.entries}


def export(model: tuple[Spec, Graph], folder: Path) -> tuple[Arrays, Arrays]:
    spec, graph = model
    arrays = arrays_for(graph)
    export_huggingface(folder, graph, arrays, spec.weights[0])
    return arrays, tensors(folder / "model.safetensors")


def test_the_published_tensors_are_what_the_lines_say(model: tuple[Spec, Graph], place: Path) -> None:
    arrays, published = export(model, place / "hf")
    kernel = arrays["patches.weight"]
    assert np.array_equal(published["m.patch.projection.weight"], kernel.reshape(3, 2, 2, 4).transpose(3, 0, 1, 2))
    assert np.array_equal(published["final_logits_bias"], np.zeros((1, 9), np.float32))
    assert published["m.encoder.embed_positions.weight"].shape == (7, 4)
    assert np.array_equal(published["m.encoder.layer.1.mix.weight"], arrays["encoder.block.1.self.mix.weight"].T)
    assert "cls.transform.weight" in published
    assert not any("gamma" in name or "decoder" in name or "embed_tokens" in name for name in published)


def renamed(published: Arrays) -> Arrays:
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    return {
        next((name.replace(new, was) for new, was in old.items() if new in name), name): array
        for name, array in published.items()
    }


LAYOUTS: dict[str, Callable[[Arrays], Arrays]] = {
    "as exported": lambda t: t,
    "of old, with gamma and beta": renamed,
    "without the prefix": lambda t: {name.removeprefix("m."): array for name, array in renamed(t).items()},
    "with copies": lambda t: {
        **t,
        **dict.fromkeys(("cls.decoder.weight", "m.encoder.embed_tokens.weight"), t["m.shared.weight"]),
    },
    "with a copy in the place of the first": lambda t: {
        name.replace("shared", "encoder.embed_tokens"): array for name, array in t.items()
    },
    "with what is ignored": lambda t: {**t, "m.position_ids": np.arange(5)},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_loads(model: tuple[Spec, Graph], place: Path, layout: str) -> None:
    arrays, published = export(model, place / "hf")
    write_tensors(place / "hf" / "model.safetensors", LAYOUTS[layout](published))
    spec, _ = model
    graph = elaborate(spec, settings_for("hf", spec.weights, spec=spec))
    found = load_weights("hf", graph, spec.weights)
    assert list(found) == list(arrays)
    assert all(np.array_equal(found[name], arrays[name]) for name in arrays)


def test_a_body_is_read_from_weights_with_a_head_where_the_section_ignores_the_rest(
    model: tuple[Spec, Graph], place: Path
) -> None:
    arrays, _ = export(model, place / "hf")
    spec, _ = model
    graph = elaborate(spec, settings_for("hf", spec.weights, {"head": "none"}, spec=spec))
    found = load_weights("hf", graph, spec.weights)
    assert arrays.keys() - found.keys() == {"transform.weight", "transform.bias"}
    assert all(np.array_equal(found[name], arrays[name]) for name in found)


def test_old_and_new_names_that_differ_are_an_error(model: tuple[Spec, Graph], place: Path) -> None:
    _, published = export(model, place / "hf")
    name = "m.encoder.layer.0.LayerNorm.gamma"
    for changes in (
        {name: published[name.replace("gamma", "weight")] + 1},
        {"final_logits_bias": published["final_logits_bias"] + 1},
    ):
        write_tensors(place / "hf" / "model.safetensors", {**published, **changes})
        with pytest.raises(AttnError) as raised:
            load_weights("hf", model[1], model[0].weights)
        assert codes(raised.value) == ["E0610"]
    del published["final_logits_bias"]
    write_tensors(place / "hf" / "model.safetensors", published)
    with pytest.raises(AttnError) as raised:
        load_weights("hf", model[1], model[0].weights)
    assert codes(raised.value) == ["E0605"]
