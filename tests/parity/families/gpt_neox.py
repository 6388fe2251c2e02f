"""GPT-NeoX, Pythia, and `GPTNeoXForCausalLM`."""

from __future__ import annotations

from typing import Any

from tests.parity.families.llama import ask, batch, in_full, inputs, oracle, save, sized
from tests.parity.harness import Config, Family, Published


def turned(share: float, base: float = 10000.0) -> Config:
    return {"rope_parameters": {"rope_type": "default", "rope_theta": base, "partial_rotary_factor": share}}


CONFIGS: dict[str, Config] = {
    "three heads, a quarter turned": sized(2, 24, 3, 20, 61, 10),
    "five heads of two, all turned": sized(3, 10, 5, 9, 17, 7, hidden_act="gelu_fast", **turned(1.0, 50.0)),
    "square, where a transposition hides": sized(
        2, 16, 4, 16, 16, 16, attention_bias=False, tie_word_embeddings=True, **turned(0.5)
    ),
    "one layer, one head": sized(1, 8, 1, 8, 5, 1, layer_norm_eps=1e-2, hidden_dropout=0.1, attention_dropout=0.2),
    "one sublayer after the other": sized(
        2, 30, 3, 11, 23, 9, use_parallel_residual=False, hidden_act="relu", **turned(0.6)
    ),
}  # fmt: skip
SIZES = {  # variant: layers, width, heads, vocabulary, parameters
    "20b": (44, 6144, 64, 50432, 20_554_567_680),
    "pythia-70m": (6, 512, 8, 50304, 70_426_624),
    "pythia-160m": (12, 768, 12, 50304, 162_322_944),
    "pythia-410m": (24, 1024, 16, 50304, 405_334_016),
    "pythia-1b": (16, 2048, 8, 50304, 1_011_781_632),
    "pythia-1.4b": (24, 2048, 16, 50304, 1_414_647_808),
    "pythia-2.8b": (32, 2560, 32, 50304, 2_775_208_960),
    "pythia-6.9b": (32, 4096, 32, 50432, 6_857_302_016),
    "pythia-12b": (36, 5120, 40, 50688, 11_846_072_320),
}


def as_before(tensors: dict[str, Any], config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Before there were `rope_parameters`; each layer also has the causal mask, the number that stands for minus
    infinity, and the angles that it begins with."""
    import torch

    old = {key: value for key, value in config.items() if key != "rope_parameters"}
    old["rotary_pct"] = config["rope_parameters"]["partial_rotary_factor"]
    old["rotary_emb_base"] = config["rope_parameters"]["rope_theta"]
    found, limit = dict(tensors), config["max_position_embeddings"]
    for i in range(config["num_hidden_layers"]):
        prefix = f"gpt_neox.layers.{i}.attention"
        found[f"{prefix}.bias"] = torch.tril(torch.ones(1, 1, limit, limit))
        found[f"{prefix}.masked_bias"] = torch.tensor(-1e9)
        found[f"{prefix}.rotary_emb.inv_freq"] = torch.ones(3)
    return found, old


def reduced(config: Config) -> Config:
    """Eight numbers to a head, of which two are turned."""
    return {**config, "vocab_size": 64, "hidden_size": 8 * config["num_attention_heads"], "intermediate_size": 40}


FAMILIES = (
    Family(
        name="gpt_neox",
        spec="gpt_neox",
        configs=CONFIGS,
        oracle=oracle("GPTNeoX"),
        inputs=inputs,
        ask=ask,
        save=save,
        in_files=lambda name: name.replace("lm_head", "embed_out"),
        auto="AutoModelForCausalLM",
        patches=in_full("gpt_neox", "GPTNeoX"),
        hub={"as before": as_before},
        published=tuple(
            Published(
                name,
                sized(
                    depth, width, heads, 4 * width, vocab, hidden_act="gelu_fast" if name == "20b" else "gelu",
                    tie_word_embeddings=False,
                ),
                count,
            )
            for name, (depth, width, heads, vocab, count) in SIZES.items()
        ),
        smallest=sized(6, 512, 8, 2048, 50304),
        reduced=reduced,
        short=lambda config, rng: batch(config, rng, 1, 24),
    ),
)  # fmt: skip
