"""Llama and `LlamaForCausalLM`; and what the oracles of other decoders of its kind need, too."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from tests.parity.harness import Config, Family, Inputs, Patch, Published

# ---------------------------------------------------------------- what these oracles compute in float32


class _Doubled:
    """torch, with float64 in the place of float32."""

    def __getattr__(self, name: str) -> Any:
        import torch

        return torch.float64 if name in ("float", "float32") else getattr(torch, name)


def _norm_in_full(self: Any, x: Any) -> Any:
    eps = self.variance_epsilon if hasattr(self, "variance_epsilon") else self.eps
    gain = self.weight if hasattr(self, "variance_epsilon") else 1 + self.weight
    return x * (x.pow(2).mean(-1, keepdim=True) + eps).rsqrt() * gain


def _angles_in_full(self: Any, x: Any, position_ids: Any, layer_type: str | None = None) -> Any:
    """The cosines and sines by the oracle's own functions of the configuration, in float64."""
    import torch
    from transformers import modeling_rope_utils

    kind = self.rope_type if layer_type is None else self.rope_type[layer_type]
    rates = modeling_rope_utils.ROPE_INIT_FUNCTIONS.get(kind, self.compute_default_rope_parameters)
    more: dict[str, Any] = {} if layer_type is None else {"layer_type": layer_type}
    with mock.patch.object(torch.Tensor, "float", torch.Tensor.double):
        rate, gain = rates(self.config, device=None, seq_len=int(position_ids.max()) + 1, **more)
    angle = position_ids[..., None].double() * rate
    angle = torch.cat((angle, angle), -1)
    return gain * angle.cos(), gain * angle.sin()


def in_full(module: str, kind: str) -> tuple[Patch, ...]:
    """The rotary tables and RMS norms of `transformers.models.MODULE`, whose classes are called after KIND."""

    @contextmanager
    def rotary() -> Iterator[None]:
        there = importlib.import_module(f"transformers.models.{module}.modeling_{module}")
        with ExitStack() as stack:
            for where in (there, importlib.import_module("transformers.modeling_rope_utils")):
                stack.enter_context(mock.patch.object(where, "torch", _Doubled()))
            stack.enter_context(mock.patch.object(getattr(there, f"{kind}RotaryEmbedding"), "forward", _angles_in_full))
            yield

    @contextmanager
    def norm() -> Iterator[None]:
        there = importlib.import_module(f"transformers.models.{module}.modeling_{module}")
        with mock.patch.object(getattr(there, f"{kind}RMSNorm"), "forward", _norm_in_full):
            yield

    patches = (Patch("Angles of rotary positions are computed in float32, whatever the model's precision", rotary),)
    if kind == "GPTNeoX":  # has layer norms
        return patches
    return (*patches, Patch("Its norm takes its mean in float32, whatever the model's precision", norm))


# ---------------------------------------------------------------- what a decoder is asked


def batch(config: Config, rng: np.random.Generator, rows: int, length: int) -> Inputs:
    """Tokens, and what they should have been followed by; the first half of each row does not count."""
    tokens, targets = rng.integers(0, config["vocab_size"], (2, rows, length))
    targets[:, : length // 2] = -100
    return {"tokens": tokens, "targets": targets}


def inputs(config: Config, rng: np.random.Generator) -> Mapping[str, Inputs]:
    limit = config["max_position_embeddings"]
    return {
        "at the limit": batch(config, rng, 2, limit),
        "one row": batch(config, rng, 1, (limit + 1) // 2),
        "one token": batch(config, rng, 3, 1),
    }


def ask(model: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
    """The oracle shifts its labels itself; here the loss is said to it outright, on targets that are not shifted."""
    from torch.nn.functional import cross_entropy

    logits = model(batch["tokens"]).logits
    return {"logits": logits, "loss": cross_entropy(logits.transpose(1, 2), batch["targets"])}


def oracle(kind: str) -> Callable[[Config], Any]:
    """`transformers.KINDForCausalLM`; without a padding token, whose embedding would get no gradient."""

    def make(config: Config) -> Any:
        import transformers

        own = getattr(transformers, f"{'Gemma3Text' if kind == 'Gemma3' else kind}Config")
        return getattr(transformers, f"{kind}ForCausalLM")(own(**{**config, "pad_token_id": None}))

    return make


def save(model: Any, folder: Path) -> Path:
    """In several files, where it is small."""
    small = sum(parameter.numel() for parameter in model.parameters()) < 100_000
    model.save_pretrained(folder, **({"max_shard_size": "10KB"} if small else {}))
    return folder


def as_before(tensors: dict[str, Any], config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Before there were `rope_parameters`, and heads of a size of their own; the first files also have the angles that
    each layer begins with."""
    import torch

    old = {key: value for key, value in config.items() if key != "rope_parameters"}
    if old["head_dim"] * old["num_attention_heads"] == old["hidden_size"]:
        del old["head_dim"]
    scaling = dict(config["rope_parameters"])
    old["rope_theta"], kind = scaling.pop("rope_theta"), scaling.pop("rope_type")
    if kind != "default":
        old["rope_scaling"] = scaling | {"rope_type" if kind == "llama3" else "type": kind}
    rates = torch.ones(config["hidden_size"] // config["num_attention_heads"] // 2)
    layers = range(config["num_hidden_layers"])
    return {**tensors, **{f"model.layers.{i}.self_attn.rotary_emb.inv_freq": rates for i in layers}}, old


# ---------------------------------------------------------------- Llama


def sized(
    layers: int, width: int, heads: int, hidden: int, vocab: int = 32000, context: int = 2048, **more: Any
) -> Config:
    return {
        "num_hidden_layers": layers, "hidden_size": width, "num_attention_heads": heads, "intermediate_size": hidden,
        "vocab_size": vocab, "max_position_embeddings": context, **more,
    }  # fmt: skip


def unscaled(base: float) -> Config:
    return {"rope_parameters": {"rope_type": "default", "rope_theta": base}}


def trained_on(length: int) -> Config:
    return {"original_max_position_embeddings": length}


def scaled(kind: str, factor: float, base: float = 100.0, **more: Any) -> Config:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": base, "factor": factor, **more}}


LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
CONFIGS: dict[str, Config] = {
    "three heads": sized(2, 12, 3, 20, 61, 10),
    "five heads of two, shared keys": sized(3, 10, 5, 9, 17, 7, num_key_value_heads=1, hidden_act="gelu"),
    "square, where a transposition hides": sized(2, 16, 4, 16, 16, 16, num_key_value_heads=2, tie_word_embeddings=True),
    "one layer, one head": sized(1, 8, 1, 8, 5, 1, rms_norm_eps=1e-2, attention_dropout=0.1),
    "heads of their own size": sized(2, 12, 2, 11, 23, 9, head_dim=10, **unscaled(50.0)),
    "twice as long": sized(2, 16, 2, 12, 13, 40, **scaled("linear", 2.0)),
    "longer by yarn": sized(2, 32, 2, 12, 13, 80, **scaled("yarn", 4.0, **trained_on(20))),
    "longer as Llama 3": sized(2, 32, 2, 12, 13, 80, **scaled("llama3", 8.0, **LLAMA3, **trained_on(40))),
    "dynamic": sized(2, 16, 2, 12, 13, 20, **scaled("dynamic", 3.0)),
}  # fmt: skip
SHARED = {"num_key_value_heads": 8, "rms_norm_eps": 1e-5}
OF_3 = {**SHARED, "vocab": 128256, "context": 8192, **unscaled(500000.0)}
OF_31 = {**OF_3, "context": 131072, **scaled("llama3", 8.0, 500000.0, **LLAMA3, **trained_on(8192))}
OF_32 = {**OF_31, **scaled("llama3", 32.0, 500000.0, **LLAMA3, **trained_on(8192)), "tie_word_embeddings": True}
PUBLISHED = (
    Published("7b", sized(32, 4096, 32, 11008), 6_738_415_616),
    Published("13b", sized(40, 5120, 40, 13824), 13_015_864_320),
    Published("30b", sized(60, 6656, 52, 17920), 32_528_943_616),
    Published("65b", sized(80, 8192, 64, 22016), 65_285_660_672),
    Published("2-7b", sized(32, 4096, 32, 11008, context=4096, rms_norm_eps=1e-5), 6_738_415_616),
    Published("2-13b", sized(40, 5120, 40, 13824, context=4096, rms_norm_eps=1e-5), 13_015_864_320),
    Published("2-70b", sized(80, 8192, 64, 28672, context=4096, **SHARED), 68_976_648_192),
    Published("3-8b", sized(32, 4096, 32, 14336, **OF_3), 8_030_261_248),
    Published("3-70b", sized(80, 8192, 64, 28672, **OF_3), 70_553_706_496),
    Published("3.1-8b", sized(32, 4096, 32, 14336, **OF_31), 8_030_261_248),
    Published("3.1-70b", sized(80, 8192, 64, 28672, **OF_31), 70_553_706_496),
    Published("3.1-405b", sized(126, 16384, 128, 53248, **OF_31), 405_853_388_800),
    Published("3.2-1b", sized(16, 2048, 32, 8192, **OF_32), 1_235_814_400),
    Published("3.2-3b", sized(28, 3072, 24, 8192, **{**OF_32, "head_dim": 128}), 3_212_749_824),
)  # fmt: skip


def longer(config: Config, rng: np.random.Generator) -> Mapping[str, Inputs]:
    """With dynamic scaling, also beyond the length that was trained on."""
    found = dict(inputs(config, rng))
    if config.get("rope_parameters", {}).get("rope_type") == "dynamic":
        found["beyond it"] = batch(config, rng, 1, 2 * config["max_position_embeddings"] + 3)
    return found


def reduced(config: Config) -> Config:
    """Two numbers to a head."""
    return {
        **config,
        "vocab_size": 64,
        "hidden_size": 2 * config["num_attention_heads"],
        "head_dim": 2,
        "intermediate_size": 40,
    }


FAMILIES = (
    Family(
        name="llama",
        spec="llama",
        configs=CONFIGS,
        oracle=oracle("Llama"),
        inputs=longer,
        ask=ask,
        save=save,
        auto="AutoModelForCausalLM",
        patches=in_full("llama", "Llama"),
        hub={"as before": as_before},
        published=PUBLISHED,
        reduced=reduced,
        short=lambda config, rng: batch(config, rng, 1, 24),
    ),
)
