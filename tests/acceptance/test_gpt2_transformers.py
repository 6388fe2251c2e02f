"""The commands against `transformers`: `run` gives the logits of a checkpoint as it was saved, in half precision and in
parts too, and what `train` made and `export` wrote speaks there as it does here. That every spec agrees with its
published implementation is tested in `tests/parity`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = [pytest.mark.torch, pytest.mark.oracle]

ALLOWED = {"float32": 1e-4, "float64": 1e-9}
Array = np.ndarray

CONFIG: dict[str, Any] = {"n_layer": 2, "n_embd": 16, "n_head": 4, "vocab_size": 16, "n_positions": 16, "n_inner": None}
"""Square tables, where a transposition would hide."""


def oracle(config: dict[str, Any]) -> Any:
    """A model in evaluation mode whose parameters all differ from each other, from zero and from one."""
    import torch
    import transformers

    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**config, bos_token_id=0, eos_token_id=0)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return model


def logits_of(model: Any, tokens: Array) -> dict[str, Array]:
    """What the model answers in each precision; it is left in float64."""
    import torch

    with torch.no_grad():
        single = model.float()(torch.from_numpy(tokens)).logits.numpy()
        double = model.double()(torch.from_numpy(tokens)).logits.numpy()
    return {"float32": single, "float64": double}


def tokens_for(config: dict[str, Any]) -> Array:
    """Whole windows: as long as the context allows."""
    return np.random.default_rng(3).integers(0, config["vocab_size"], (2, config["n_positions"]))


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


def assert_same_logits(attndsl, folder: Path, weights: Path, model: Any, tokens: Array) -> None:
    for dtype, theirs in logits_of(model, tokens).items():
        for backend in ("numpy", "torch"):
            difference = float(np.abs(ours(attndsl, folder, weights, tokens, backend, dtype) - theirs).max())
            assert difference < ALLOWED[dtype], (backend, dtype)


def reloaded(folder: Path) -> Any:
    """What `transformers` makes of an export, with nothing missing, unexpected or of another shape."""
    from transformers import AutoModelForCausalLM, GPT2LMHeadModel

    model, info = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True, dtype="auto")
    assert type(model) is GPT2LMHeadModel
    assert not any(info.values()), info
    return model.eval()


def test_a_saved_model_gives_its_logits(attndsl, tmp_path: Path) -> None:
    model = oracle(CONFIG)
    model.save_pretrained(tmp_path / "hf")
    assert_same_logits(attndsl, tmp_path, tmp_path / "hf", model, tokens_for(CONFIG))


def test_a_half_precision_checkpoint_in_parts_gives_the_same_logits(attndsl, tmp_path: Path) -> None:
    import torch

    model = oracle(CONFIG).to(torch.bfloat16)
    model.save_pretrained(tmp_path / "hf", max_shard_size="4KB")
    assert (tmp_path / "hf" / "model.safetensors.index.json").is_file()
    tokens = tokens_for(CONFIG)
    assert_same_logits(attndsl, tmp_path, tmp_path / "hf", model, tokens)


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
