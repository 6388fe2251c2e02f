"""DeepSeek-V3 and `DeepseekV3ForCausalLM`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock

from tests.parity.families.llama import batch, in_full, inputs, save
from tests.parity.families.mixtral import reload
from tests.parity.harness import Config, Family, Patch, Published


def sized(
    depth: int, dense: int, width: int, heads: int, sizes: tuple[int, int, int], ranks: tuple[int | None, int],
    hidden: tuple[int, int], experts: tuple[int, int, int], groups: tuple[int, int], vocab: int, context: int,
    **more: Any,
) -> Config:  # fmt: skip
    """`sizes` are those of a head without positions, of what is rotated and of a value; `ranks` those of queries and of
    keys; `experts` how many there are, are chosen and are shared."""
    return {
        "num_hidden_layers": depth, "first_k_dense_replace": dense, "hidden_size": width,
        "num_attention_heads": heads, "num_key_value_heads": heads, "qk_nope_head_dim": sizes[0],
        "qk_rope_head_dim": sizes[1], "v_head_dim": sizes[2], "q_lora_rank": ranks[0], "kv_lora_rank": ranks[1],
        "intermediate_size": hidden[0], "moe_intermediate_size": hidden[1], "n_routed_experts": experts[0],
        "num_experts_per_tok": experts[1], "n_shared_experts": experts[2], "n_group": groups[0],
        "topk_group": groups[1], "vocab_size": vocab, "max_position_embeddings": context, **more,
    }  # fmt: skip


def yarn(factor: float, original: int, base: float = 10000.0, **more: float) -> dict[str, Any]:
    return {
        "rope_type": "yarn", "factor": factor, "original_max_position_embeddings": original, "rope_theta": base, **more,
    }  # fmt: skip


CONFIGS: dict[str, Config] = {
    "three heads": sized(3, 1, 12, 3, (5, 4, 7), (10, 6), (9, 7), (8, 3, 1), (4, 2), 61, 10),
    "stretched": sized(
        2, 1, 10, 2, (3, 6, 4), (8, 5), (6, 5), (6, 2, 2), (2, 1), 17, 24,
        rope_parameters=yarn(4.0, 6, 100.0, mscale=0.7, mscale_all_dim=0.7),
    ),
    "stretched as by default, queries whole": sized(
        2, 1, 8, 2, (4, 4, 4), (None, 4), (5, 6), (4, 1, 1), (1, 1), 13, 20, rope_parameters=yarn(2.5, 8),
    ),
    "square, where a transposition hides": sized(
        2, 1, 16, 4, (4, 4, 4), (16, 16), (16, 16), (16, 4, 1), (4, 2), 16, 16, rope_interleave=False,
    ),
    "mixtures alone": sized(
        2, 0, 8, 1, (2, 2, 3), (4, 4), (5, 3), (6, 6, 1), (3, 3), 19, 7,
        norm_topk_prob=False, routed_scaling_factor=1.5,
    ),
}  # fmt: skip
WHOLE = sized(
    61, 3, 7168, 128, (128, 64, 128), (1536, 512), (18432, 2048), (256, 8, 1), (8, 4), 129280, 163840,
    rope_parameters=yarn(40.0, 4096, mscale=1.0, mscale_all_dim=1.0),
)  # fmt: skip


def oracle(config: Config) -> Any:
    """In which the corrections, buffers there, are parameters, so that they differ from expert to expert; or, where
    training moves them, buffers that differ."""
    import torch
    import transformers

    made = transformers.DeepseekV3Config(**{"pad_token_id": None, **config}, experts_implementation="eager")
    model = transformers.DeepseekV3ForCausalLM(made)
    for layer in model.model.layers:
        if (gate := getattr(layer.mlp, "gate", None)) is None:
            continue
        if config.get("bias_update_speed"):
            gate.e_score_correction_bias.copy_(torch.linspace(-0.1, 0.1, made.n_routed_experts))
        else:
            gate.e_score_correction_bias = torch.nn.Parameter(gate._buffers.pop("e_score_correction_bias"))
    return model


def ask(model: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
    """The oracle shifts its labels itself; here the loss is said to it outright, on targets that are not shifted."""
    import torch
    from torch.nn.functional import cross_entropy

    chosen: list[Any] = []
    gates = [layer.mlp.gate for layer in model.model.layers if hasattr(layer.mlp, "gate")]
    watching = [gate.register_forward_hook(lambda gate, given, found: chosen.append(found[2])) for gate in gates]
    logits = model(batch["tokens"]).logits
    for each in watching:
        each.remove()
    n = model.config.num_local_experts
    loads = [torch.bincount(layer.flatten(), minlength=n).to(logits.dtype) * n / layer.numel() for layer in chosen]
    return {
        "logits": logits,
        "loss": cross_entropy(logits.transpose(1, 2), batch["targets"]),
        "busiest": torch.stack(loads).amax(-1).mean(),
    }


@contextmanager
def scores_in_full() -> Iterator[None]:
    import torch

    with mock.patch.object(torch.Tensor, "type", lambda x, dtype: x):
        yield


def in_memory(tensors: dict[str, Any], config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The names and shapes of the model's own state, in which the experts of a layer are one tensor."""
    import torch

    found = {name: tensor for name, tensor in tensors.items() if ".experts." not in name}
    for i in range(config["first_k_dense_replace"], config["num_hidden_layers"]):
        here = f"model.layers.{i}.mlp.experts."
        gate, up, down = (
            torch.stack([tensors[f"{here}{e}.{map}_proj.weight"] for e in range(config["n_routed_experts"])])
            for map in ("gate", "up", "down")
        )
        found[here + "gate_up_proj"] = torch.cat([gate, up], 1)
        found[here + "down_proj"] = down
    return found, config


def as_published(tensors: dict[str, Any], config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The keys of the published file: how angles are stretched stands beside their base."""
    rope = dict(config["rope_parameters"])
    base, kind = rope.pop("rope_theta"), rope.pop("rope_type")
    later = ("rope_parameters", "dtype", *(["rope_interleave"] if config["rope_interleave"] else []))
    config = {key: value for key, value in config.items() if key not in later}
    stretched = {"rope_scaling": {**rope, "type": kind}} if kind == "yarn" else {"rope_scaling": None}
    more = {"scoring_func": "sigmoid", "topk_method": "noaux_tc", "moe_layer_freq": 1, "aux_loss_alpha": 0.001}
    return tensors, {**config, **stretched, **more, "rope_theta": base, "torch_dtype": "float32"}


def reduced(config: Config) -> Config:
    return {
        **config, "vocab_size": 64, "hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 4,
        "qk_nope_head_dim": 4, "qk_rope_head_dim": 4, "v_head_dim": 4, "q_lora_rank": 8, "kv_lora_rank": 8,
        "intermediate_size": 16, "moe_intermediate_size": 2,
    }  # fmt: skip


FAMILIES = (
    Family(
        name="deepseek_v3",
        spec="deepseek_v3",
        configs=CONFIGS,
        oracle=oracle,
        inputs=inputs,
        ask=ask,
        save=save,
        reload=reload,
        auto="AutoModelForCausalLM",
        patches=(
            *in_full("deepseek_v3", "DeepseekV3"),
            Patch("The scores of its router are taken in float32, whatever the model's precision", scores_in_full),
        ),
        hub={"in memory": in_memory, "as published": as_published},
        published=(Published("671b", WHOLE, 671_026_419_200),),
        reduced=reduced,
        short=lambda config, rng: batch(config, rng, 1, 24),
    ),
)
