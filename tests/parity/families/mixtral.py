"""Mixtral and `MixtralForCausalLM`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from tests.parity.families.llama import batch, in_full, inputs, save
from tests.parity.harness import Config, Family, Patch, Published


def sized(
    depth: int, width: int, heads: int, kv_heads: int, hidden: int, experts: int, top: int, vocab: int = 32000,
    context: int = 32768, **more: Any,
) -> Config:  # fmt: skip
    return {
        "num_hidden_layers": depth, "hidden_size": width, "num_attention_heads": heads,
        "num_key_value_heads": kv_heads, "intermediate_size": hidden, "num_local_experts": experts,
        "num_experts_per_tok": top, "vocab_size": vocab, "max_position_embeddings": context, **more,
    }  # fmt: skip


CONFIGS: dict[str, Config] = {
    "three experts": sized(2, 12, 3, 1, 10, 3, 2, 61, 10),
    "one of five, and a window": sized(3, 10, 5, 5, 7, 5, 1, 17, 9, sliding_window=3, rope_theta=100.0),
    "square, where a transposition hides": sized(2, 16, 4, 2, 16, 16, 3, 16, 16, router_aux_loss_coef=0.5),
    "all are chosen": sized(1, 8, 2, 1, 6, 4, 4, 13, 8, head_dim=6, hidden_act="gelu", rms_norm_eps=1e-2),
    "tied": sized(2, 8, 2, 2, 5, 2, 1, 19, 6, tie_word_embeddings=True),
}
SIZES = {  # variant: configuration, parameters
    "8x7b": (sized(32, 4096, 32, 8, 14336, 8, 2), 46_702_792_704),
    "8x22b": (sized(56, 6144, 48, 8, 16384, 8, 2, context=65536), 140_620_634_112),
}


def oracle(config: Config) -> Any:
    """In which every expert is a product of its own: torch's grouped products are of float32, and of even sizes."""
    import transformers

    made = transformers.MixtralConfig(**{"pad_token_id": None, **config}, experts_implementation="eager")
    return transformers.MixtralForCausalLM(made)


def reload(model: Any, folder: Path) -> tuple[Any, Mapping[str, Any]]:
    kind = type(model)
    options = {"output_loading_info": True, "dtype": "auto", "experts_implementation": "eager"}
    found: tuple[Any, Mapping[str, Any]] = kind.from_pretrained(folder, **options)
    return found


def ask(model: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
    """The oracle's balance is the sum over the experts that are chosen, ours its mean."""
    import torch
    from torch.nn.functional import cross_entropy

    config = model.config
    n, top = config.num_local_experts, config.num_experts_per_tok
    found = model(batch["tokens"], output_router_logits=True)
    loss = cross_entropy(found.logits.transpose(1, 2), batch["targets"])
    chosen = [layer.topk(top, -1).indices.flatten() for layer in found.router_logits]
    load = torch.stack([torch.bincount(layer, minlength=n).to(loss.dtype) * n / len(layer) for layer in chosen])
    return {
        "logits": found.logits,
        "loss": loss,
        "balance": found.aux_loss / top,
        "busiest": load.amax(-1).mean(),
        "idlest": load.amin(-1).mean(),
        "objective": loss + config.router_aux_loss_coef * found.aux_loss,
    }


def in_memory(tensors: dict[str, Any], config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The names and shapes of the model's own state, in which the experts of a layer are one tensor."""
    import torch

    found = {name: tensor for name, tensor in tensors.items() if "block_sparse_moe" not in name}
    for i in range(config["num_hidden_layers"]):
        there, here = f"model.layers.{i}.block_sparse_moe.", f"model.layers.{i}.mlp."
        one, two, three = (
            torch.stack([tensors[f"{there}experts.{e}.w{w}.weight"] for e in range(config["num_local_experts"])])
            for w in (1, 2, 3)
        )
        found[here + "gate.weight"] = tensors[there + "gate.weight"]
        found[here + "experts.gate_up_proj"] = torch.cat([one, three], 1)
        found[here + "experts.down_proj"] = two
    return found, config


def as_before(tensors: dict[str, Any], config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The base of the angles as a key of its own, as the published files have it."""
    rope = config["rope_parameters"]
    kept = {key: value for key, value in config.items() if key not in ("rope_parameters", "dtype")}
    return tensors, {**kept, "rope_theta": rope["rope_theta"], "torch_dtype": "float32"}


@contextmanager
def scores_in_full() -> Iterator[None]:
    import torch

    with mock.patch.object(torch.Tensor, "float", lambda x: x):
        yield


def reduced(config: Config) -> Config:
    return {**config, "vocab_size": 64, "hidden_size": 2 * config["num_attention_heads"], "intermediate_size": 6}


FAMILIES = (
    Family(
        name="mixtral",
        spec="mixtral",
        configs=CONFIGS,
        oracle=oracle,
        inputs=inputs,
        ask=ask,
        save=save,
        reload=reload,
        auto="AutoModelForCausalLM",
        patches=(
            *in_full("mixtral", "Mixtral"),
            Patch("The scores of its router are taken in float32, whatever the model's precision", scores_in_full),
        ),
        hub={"in memory": in_memory, "as before": as_before},
        published=tuple(Published(name, config, count) for name, (config, count) in SIZES.items()),
        reduced=reduced,
        short=lambda config, rng: batch(config, rng, 1, 24),
    ),
)
