"""Both ways with the published implementation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attndsl.diagnostics import collected
from attndsl.weights import export_huggingface, load_weights, settings_for
from tests.weights.models import GPT2, arrays_for, gpt2_graph, section_of

pytestmark = [pytest.mark.oracle, pytest.mark.torch]

SECTION = section_of(GPT2)
SHAPES: dict[str, dict[str, Any]] = {
    "small": {"n_layer": 2, "n_embd": 8, "n_head": 2, "vocab_size": 11, "n_positions": 6},
    "one layer, one head": {"n_layer": 1, "n_embd": 5, "n_head": 1, "vocab_size": 3, "n_positions": 1},
    "square": {"n_layer": 3, "n_embd": 12, "n_head": 4, "vocab_size": 12, "n_positions": 12, "n_inner": 48},
    "no dropout": {
        "n_layer": 2, "n_embd": 8, "n_head": 4, "vocab_size": 64, "n_positions": 16, "layer_norm_epsilon": 1e-3,
        "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "activation_function": "gelu_pytorch_tanh",
    },
}  # fmt: skip


def model_of(shape: str, kind: str = "GPT2LMHeadModel") -> Any:
    import torch
    import transformers

    torch.manual_seed(0)
    config = transformers.GPT2Config(**SHAPES[shape], bos_token_id=0, eos_token_id=0)
    model = getattr(transformers, kind)(config).eval()
    for parameter in model.parameters():  # so that no two are equal by chance of their initial values
        torch.nn.init.normal_(parameter)
    return model


def expected(model: Any) -> dict[str, np.ndarray]:
    """The parameters by our addresses, taken out of the modules by hand."""
    body = getattr(model, "transformer", model)
    found = {"wte.table": body.wte.weight, "wpe.table": body.wpe.weight}
    for i, block in enumerate(body.h):
        for norm in ("ln_1", "ln_2"):
            found[f"h.{i}.{norm}.scale"] = getattr(block, norm).weight
            found[f"h.{i}.{norm}.shift"] = getattr(block, norm).bias
        width = block.attn.embed_dim
        for at, name in enumerate("qkv"):
            found[f"h.{i}.attn.{name}.weight"] = block.attn.c_attn.weight[:, at * width : (at + 1) * width]
            found[f"h.{i}.attn.{name}.bias"] = block.attn.c_attn.bias[at * width : (at + 1) * width]
        for name, layer in (
            ("attn.out", block.attn.c_proj),
            ("mlp.up", block.mlp.c_fc),
            ("mlp.down", block.mlp.c_proj),
        ):
            found[f"h.{i}.{name}.weight"], found[f"h.{i}.{name}.bias"] = layer.weight, layer.bias
    found["ln_f.scale"], found["ln_f.shift"] = body.ln_f.weight, body.ln_f.bias
    return {name: tensor.detach().float().numpy() for name, tensor in found.items()}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", ["GPT2LMHeadModel", "GPT2Model"])
def test_what_save_pretrained_writes_is_loaded(tmp_path: Path, shape: str, kind: str) -> None:
    model = model_of(shape, kind)
    model.save_pretrained(tmp_path)
    with collected() as heard:
        settings = settings_for(tmp_path, [SECTION])
    assert settings["width"] == SHAPES[shape]["n_embd"]
    assert settings["depth"] == SHAPES[shape]["n_layer"]
    assert not heard
    loaded, right = load_weights(tmp_path, gpt2_graph(**settings), [SECTION]), expected(model)
    assert loaded.keys() == right.keys()
    assert all(np.array_equal(loaded[n], right[n]) for n in right)


def test_parts_and_bfloat16(tmp_path: Path) -> None:
    import torch

    model = model_of("small").to(torch.bfloat16)
    model.save_pretrained(tmp_path, max_shard_size="1KB")
    assert (tmp_path / "model.safetensors.index.json").exists()
    graph = gpt2_graph(**settings_for(tmp_path, [SECTION]))
    loaded, right = load_weights(tmp_path, graph, [SECTION]), expected(model)
    assert all(loaded[n].dtype == np.float32 and np.array_equal(loaded[n], right[n]) for n in right)


def test_the_layout_of_the_hubs_own_file(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    model = model_of("square")
    tensors = {n.removeprefix("transformer."): t for n, t in model.state_dict().items() if n != "lm_head.weight"}
    for i in range(3):
        tensors[f"h.{i}.attn.bias"] = torch.tril(torch.ones(1, 1, 12, 12))
    model.config.save_pretrained(tmp_path)
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    loaded, right = load_weights(tmp_path, gpt2_graph(**settings_for(tmp_path, [SECTION])), [SECTION]), expected(model)
    assert all(np.array_equal(loaded[n], right[n]) for n in right)


@pytest.mark.parametrize(("shape", "largest"), [*((shape, 10**9) for shape in SHAPES), ("small", 1000)])
def test_an_export_is_loaded_with_nothing_missing_and_gives_the_same_logits(
    tmp_path: Path, shape: str, largest: int
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = model_of(shape)
    model.save_pretrained(tmp_path / "theirs")
    settings = settings_for(tmp_path / "theirs", [SECTION])
    graph = gpt2_graph(**settings)
    read = load_weights(tmp_path / "theirs", graph, [SECTION])
    export_huggingface(tmp_path / "ours", graph, read, SECTION, largest=largest)
    assert (tmp_path / "ours" / "model.safetensors.index.json").exists() == (largest == 1000)
    back, info = AutoModelForCausalLM.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert type(back) is type(model)
    assert not any(info.values()), info
    for name, tensor in model.state_dict().items():
        assert torch.equal(back.state_dict()[name], tensor), name
    tokens = torch.arange(SHAPES[shape]["n_positions"])[None] % SHAPES[shape]["vocab_size"]
    with torch.no_grad():  # the two spellings of the activation differ in their last bits
        torch.testing.assert_close(back.eval()(tokens).logits, model(tokens).logits, rtol=1e-5, atol=1e-5)
    assert settings_for(tmp_path / "ours", [SECTION]) == settings


def test_float64_survives_both_ways(tmp_path: Path) -> None:
    import torch
    from transformers import GPT2LMHeadModel

    graph = gpt2_graph()
    arrays = arrays_for(graph, dtype="float64")
    export_huggingface(tmp_path / "hf", graph, arrays, SECTION)
    model = GPT2LMHeadModel.from_pretrained(tmp_path / "hf", dtype="auto")
    assert model.dtype == torch.float64
    model.save_pretrained(tmp_path / "back")
    loaded = load_weights(tmp_path / "back", graph, [SECTION])
    assert all(np.array_equal(loaded[n], arrays[n]) for n in arrays)
