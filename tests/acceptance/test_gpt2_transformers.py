"""`attndsl` against `transformers`: the same checkpoint gives the same logits, both ways."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attndsl.elaborate import load, open_spec
from attndsl.weights import export_huggingface, load_weights, settings_for

pytestmark = [pytest.mark.torch, pytest.mark.oracle]

ALLOWED = {"float32": 1e-4, "float64": 1e-9}
Array = np.ndarray

CONFIGS: dict[str, dict[str, Any]] = {
    "three heads": {"n_layer": 2, "n_embd": 12, "n_head": 3, "vocab_size": 61, "n_positions": 10},
    "five heads of one": {"n_layer": 3, "n_embd": 5, "n_head": 5, "vocab_size": 17, "n_positions": 7, "n_inner": 20},
    "one layer, one head": {"n_layer": 1, "n_embd": 8, "n_head": 1, "vocab_size": 3, "n_positions": 1},
    "square, where a transposition hides": {
        "n_layer": 2, "n_embd": 16, "n_head": 4, "vocab_size": 16, "n_positions": 16, "n_inner": None,
    },
    "a long context": {"n_layer": 1, "n_embd": 20, "n_head": 5, "vocab_size": 64, "n_positions": 512},
    "other settings": {
        "n_layer": 2, "n_embd": 24, "n_head": 3, "vocab_size": 96, "n_positions": 12, "layer_norm_epsilon": 1e-2,
        "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "activation_function": "gelu_pytorch_tanh",
    },
}  # fmt: skip
FULL: dict[str, Any] = {"n_layer": 12, "n_embd": 768, "n_head": 12, "vocab_size": 50257, "n_positions": 1024}


def oracle(config: dict[str, Any], noise: float = 0.3) -> Any:
    """A model in evaluation mode whose parameters all differ from each other, from zero and from one."""
    import torch
    import transformers

    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**config, bos_token_id=0, eos_token_id=0)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=noise)
    return model


def logits_of(model: Any, tokens: Array) -> dict[str, Array]:
    """What the model answers in each precision; it is left in float64."""
    import torch

    with torch.no_grad():
        single = model.float()(torch.from_numpy(tokens)).logits.numpy()
        double = model.double()(torch.from_numpy(tokens)).logits.numpy()
    return {"float32": single, "float64": double}


def tokens_for(config: dict[str, Any], rows: int = 2, length: int | None = None) -> Array:
    """Whole windows: as long as the context allows."""
    shape = (rows, length or config["n_positions"])
    return np.random.default_rng(3).integers(0, config["vocab_size"], shape)


def ours(attndsl, folder: Path, weights: Path, tokens: Array, backend: str, dtype: str) -> Array:
    np.savez(folder / "in.npz", tokens=tokens)
    done = attndsl(
        "run", "gpt2", "--weights", weights, "--inputs", folder / "in.npz", "-o", folder / "out.npz",
        "--backend", backend, "--dtype", dtype,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert not done.err, "nothing to remark on a published checkpoint"
    with np.load(folder / "out.npz") as arrays:
        assert arrays.files == ["logits"]
        assert arrays["logits"].dtype == dtype
        return arrays["logits"]


def assert_same_logits(attndsl, folder: Path, weights: Path, model: Any, tokens: Array) -> dict[str, float]:
    found = {}
    for dtype, theirs in logits_of(model, tokens).items():
        for backend in ("numpy", "torch"):
            difference = float(np.abs(ours(attndsl, folder, weights, tokens, backend, dtype) - theirs).max())
            assert difference < ALLOWED[dtype], (backend, dtype)
            found[f"{backend} {dtype}"] = difference
    return found


def reloaded(folder: Path) -> Any:
    """What `transformers` makes of an export, with nothing missing, unexpected or of another shape."""
    from transformers import AutoModelForCausalLM, GPT2LMHeadModel

    model, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True, dtype="auto")
    assert type(model) is GPT2LMHeadModel
    assert not any(info.values()), info
    return model.eval()


@pytest.mark.parametrize("name", CONFIGS)
def test_a_saved_model_gives_its_logits(attndsl, tmp_path: Path, name: str) -> None:
    model = oracle(CONFIGS[name])
    model.save_pretrained(tmp_path / "hf")
    assert_same_logits(attndsl, tmp_path, tmp_path / "hf", model, tokens_for(CONFIGS[name]))


def test_the_hubs_own_layout_gives_the_same_logits(attndsl, tmp_path: Path) -> None:
    """No prefix, no copy of the embedding, and the causal masks as buffers; an old config without the newer keys."""
    import torch
    from safetensors.torch import save_file

    config = CONFIGS["three heads"]
    model = oracle(config)
    tensors = {n.removeprefix("transformer."): t for n, t in model.state_dict().items() if n != "lm_head.weight"}
    for i in range(config["n_layer"]):
        tensors[f"h.{i}.attn.bias"] = torch.tril(torch.ones(1, 1, 10, 10))
        tensors[f"h.{i}.attn.masked_bias"] = torch.tensor(-1e4)
    folder = tmp_path / "hub"
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    keys = {"n_layer", "n_embd", "n_head", "vocab_size", "n_positions", "layer_norm_epsilon", "initializer_range"}
    old = {key: value for key, value in model.config.to_dict().items() if key in keys}
    old |= {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_ctx": 10, "activation_function": "gelu_new"}
    old |= {"attn_pdrop": 0.1, "embd_pdrop": 0.1, "resid_pdrop": 0.1}
    (folder / "config.json").write_text(json.dumps(old))
    assert_same_logits(attndsl, tmp_path, folder, model, tokens_for(config))


def test_a_half_precision_checkpoint_in_parts_gives_the_same_logits(attndsl, tmp_path: Path) -> None:
    import torch

    model = oracle(CONFIGS["square, where a transposition hides"]).to(torch.bfloat16)
    model.save_pretrained(tmp_path / "hf", max_shard_size="4KB")
    assert (tmp_path / "hf" / "model.safetensors.index.json").is_file()
    tokens = tokens_for(CONFIGS["square, where a transposition hides"])
    assert_same_logits(attndsl, tmp_path, tmp_path / "hf", model, tokens)


@pytest.mark.parametrize("name", CONFIGS)
def test_there_and_back(attndsl, tmp_path: Path, name: str) -> None:
    """Loaded, exported, loaded by `transformers`: every tensor is the one that was saved."""
    import torch

    model = oracle(CONFIGS[name])
    model.save_pretrained(tmp_path / "theirs")
    spec = open_spec("gpt2")
    graph = load("gpt2", settings_for(tmp_path / "theirs", spec.weights))
    arrays = load_weights(tmp_path / "theirs", graph, spec.weights)
    export_huggingface(tmp_path / "ours", graph, arrays, spec.weights[0])
    back = reloaded(tmp_path / "ours")
    for key, tensor in model.state_dict().items():
        assert torch.equal(back.state_dict()[key], tensor), key
    tokens = tokens_for(CONFIGS[name])
    before, after = logits_of(model, tokens), logits_of(back, tokens)
    for dtype in before:
        np.testing.assert_allclose(after[dtype], before[dtype], rtol=0, atol=ALLOWED[dtype])


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_what_was_trained_here_speaks_there(attndsl, tmp_path: Path, backend: str) -> None:
    text = tmp_path / "song.txt"
    text.write_text("".join(f"{i} bottles of beer on the wall, {i} bottles of beer.\n" for i in range(100)))
    settings = {
        "depth": 2, "width": 12, "heads": 3, "context": 16, "tokenizer": "bytes", "batch": 2, "warmup": 1, "lr": 0.01,
    }  # fmt: skip
    flags = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    run, out = tmp_path / "run", tmp_path / "hf"
    done = attndsl(
        "train", "gpt2", "--data", text, "--out", run, "--steps", 5, "--backend", backend, "--device", "cpu", *flags
    )
    assert done.code == 0, done.err
    done = attndsl("export", run, "--to", "huggingface", out)
    assert done.code == 0, done.err
    back = reloaded(out)
    config = {"vocab_size": 256, "n_positions": 16}
    tokens = tokens_for(config)
    assert_same_logits(attndsl, tmp_path, out, back, tokens)
    assert_same_logits(attndsl, tmp_path, run, back, tokens)


@pytest.mark.slow
def test_the_published_size(attndsl, tmp_path: Path) -> None:
    """The 124M configuration, with initial weights made less regular; a few hundred tokens."""
    model = oracle(FULL, noise=0.02)
    assert sum(parameter.numel() for parameter in model.parameters()) == 124_439_808
    model.save_pretrained(tmp_path / "hf")
    tokens = tokens_for(FULL, rows=1, length=64)
    found = assert_same_logits(attndsl, tmp_path, tmp_path / "hf", model, tokens)
    print(found)
