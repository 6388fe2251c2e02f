"""Gemma 3's decoder of text and `Gemma3ForCausalLM`."""

from __future__ import annotations

from typing import Any

from tests.parity.families.llama import ask, batch, in_full, inputs, oracle, reduced, save
from tests.parity.families.llama import sized as sized_as_llama
from tests.parity.harness import Config, Family, Patch, Published


def sized(
    layers: int, width: int, heads: int, hidden: int, vocab: int = 262144, context: int = 32768, **more: Any
) -> Config:
    more = {"num_key_value_heads": 1, "head_dim": 256, "sliding_window": 512, **more}
    return sized_as_llama(layers, width, heads, hidden, vocab, context, **more)


def bases(far: float, near: float, **scaling: Any) -> Config:
    full = {"rope_type": "default", "rope_theta": far, **scaling}
    return {
        "rope_parameters": {"full_attention": full, "sliding_attention": {"rope_type": "default", "rope_theta": near}}
    }


KINDS = ["full_attention", "sliding_attention", "full_attention"]
CONFIGS: dict[str, Config] = {
    "three heads, every third sees all": sized(
        4, 12, 3, 20, 61, 10, head_dim=4, sliding_window=3, sliding_window_pattern=3
    ),
    "five heads of two, in an order of its own": sized(
        3, 10, 5, 9, 17, 7, head_dim=2, sliding_window=1, layer_types=KINDS, hidden_activation="gelu"
    ),
    "square, where a transposition hides": sized(
        2, 16, 4, 16, 16, 16, head_dim=4, num_key_value_heads=4, sliding_window=5, sliding_window_pattern=2,
        query_pre_attn_scalar=7, **bases(50.0, 20.0),
    ),
    "one layer, one head, bounded logits": sized(
        1, 8, 1, 8, 5, 1, head_dim=6, rms_norm_eps=1e-2, final_logit_softcapping=3.0, attention_dropout=0.1
    ),
    "longer": sized(
        2, 12, 2, 12, 13, 40, head_dim=8, num_key_value_heads=2, sliding_window=7, sliding_window_pattern=2,
        tie_word_embeddings=False, **bases(100.0, 20.0, rope_type="linear", factor=4.0),
    ),
}  # fmt: skip
LONG = {"context": 131072, "vocab": 262208, "sliding_window": 1024, **bases(1e6, 1e4, rope_type="linear", factor=8.0)}


def scale_in_full(model: Any) -> None:
    embed = model.model.embed_tokens
    embed.embed_scale.fill_(embed.scalar_embed_scale)


def as_before(tensors: dict[str, Any], config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Before there were `rope_parameters` and, where every so many layers see everything, `layer_types`."""
    old = {key: value for key, value in config.items() if key not in ("rope_parameters", "_sliding_window_pattern")}
    scaling = config["rope_parameters"]
    old["rope_local_base_freq"] = scaling["sliding_attention"]["rope_theta"]
    far = dict(scaling["full_attention"])
    old["rope_theta"] = far.pop("rope_theta")
    if far["rope_type"] != "default":
        old["rope_scaling"] = far
    return tensors, old


def narrow(config: Config) -> Config:
    """Eight numbers to a head: the gradients through a norm of two are mostly rounding."""
    heads = config["num_attention_heads"]
    return {**reduced(config), "hidden_size": 8 * heads, "head_dim": 8, "sliding_window": 8}


def published(name: str, count: int, *sizes: int, **more: Any) -> Published:
    return Published(name, sized(*sizes, **more), count)


FAMILIES = (
    Family(
        name="gemma3",
        spec="gemma3",
        configs=CONFIGS,
        oracle=oracle("Gemma3"),
        inputs=inputs,
        ask=ask,
        save=save,
        auto="AutoModelForCausalLM",
        patches=(
            *in_full("gemma3", "Gemma3"),
            Patch("The root of the width, which embeddings are multiplied by, is kept in float32", mend=scale_in_full),
        ),
        hub={"as before": as_before},
        published=(
            published("270m", 268_098_176, 18, 640, 4, 2048),
            published("1b", 999_885_952, 26, 1152, 4, 6912),
            published("4b", 3_880_263_168, 34, 2560, 8, 10240, num_key_value_heads=4, **LONG),
            published("12b", 11_766_034_176, 48, 3840, 16, 15360, num_key_value_heads=8, **LONG),
            published(
                "27b", 27_009_346_304, 62, 5376, 32, 21504, num_key_value_heads=16,
                query_pre_attn_scalar=168, **{**LONG, "head_dim": 128},
            ),
        ),
        reduced=narrow,
        short=lambda config, rng: batch(config, rng, 1, 24),
    ),
)  # fmt: skip
