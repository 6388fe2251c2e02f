"""T5 and its version 1.1, against `T5ForConditionalGeneration`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from tests.parity.families.bart import ask
from tests.parity.families.transformer import counted, defaults, padded
from tests.parity.harness import Config, Family, Inputs, Patch, Published


def sized(
    layers: tuple[int, int], width: int, heads: int, head: int, hidden: int, vocab: int = 32128, **more: Any
) -> Config:
    return {
        "num_layers": layers[0], "num_decoder_layers": layers[1], "d_model": width, "num_heads": heads, "d_kv": head,
        "d_ff": hidden, "vocab_size": vocab, **more,
    }  # fmt: skip


def gated(layers: int, width: int, heads: int, hidden: int, vocab: int = 32128, head: int = 64, **more: Any) -> Config:
    more = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, **more}
    return sized((layers, layers), width, heads, head, hidden, vocab, **more)


CONFIGS: dict[str, Config] = {
    "three heads": sized((2, 3), 12, 3, 5, 20, 61),
    "five heads of one": sized((1, 2), 6, 5, 1, 9, 17, relative_attention_num_buckets=8),
    "square, where a transposition hides": sized((2, 2), 16, 4, 4, 16, 16, relative_attention_max_distance=20),
    "one layer, one head": sized((1, 1), 8, 1, 8, 8, 5, dropout_rate=0.0, layer_norm_epsilon=1e-3),
    "gated, not tied": gated(2, 12, 3, 20, 61, 5),
    "gated by silu, tied": gated(1, 8, 2, 10, 13, 4, feed_forward_proj="gated-silu", tie_word_embeddings=True),
    "gated, tied and not scaled": gated(2, 9, 3, 10, 13, 2, tie_word_embeddings=True, scale_decoder_outputs=False),
}


def oracle(config: Config) -> Any:
    """Where it is not tied, as in version 1.1, the head gets a matrix of its own: `transformers` makes one only when it
    finds one in a file."""
    import torch
    import transformers

    model = transformers.T5ForConditionalGeneration(transformers.T5Config(**config))
    if not config.get("tie_word_embeddings", True):
        model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight) * 0.1)
    return model


def inputs(config: Config, rng: np.random.Generator) -> Mapping[str, Inputs]:
    tokens = config["vocab_size"]
    return {
        "padded": padded(rng, tokens, (3, 9), 6),
        "beyond the furthest bucket": padded(rng, tokens, (2, 150), 140),
        "one row": padded(rng, tokens, (1, 4), 7),
        "one token": padded(rng, tokens, (2, 1), 1),
    }


@contextmanager
def norm_in_full() -> Iterator[None]:
    from transformers.models.t5 import modeling_t5

    def forward(self: Any, x: Any) -> Any:
        return self.weight * x * (x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon).rsqrt()

    kept, modeling_t5.T5LayerNorm.forward = modeling_t5.T5LayerNorm.forward, forward
    try:
        yield
    finally:
        modeling_t5.T5LayerNorm.forward = kept


def as_published(tensors: dict[str, Any], config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The hub's files have every copy of the embedding, and a bias of the cross-attention that nothing uses; their
    configurations lack what came later."""
    import torch

    shared, tied = tensors["shared.weight"], config["scale_decoder_outputs"]
    unused = torch.ones(config["relative_attention_num_buckets"], config["num_heads"])
    copies = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight", *(["lm_head.weight"] if tied else [])]
    later = ("scale_decoder_outputs", "dense_act_fn", "is_gated_act", "tie_word_embeddings", "dtype")
    kept = {key: value for key, value in config.items() if key not in later}
    more = {} if tied else {"tie_word_embeddings": False}
    name = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    return {**tensors, **dict.fromkeys(copies, shared), name: unused}, {**kept, "n_positions": 512, **more}


SMALL = sized((6, 6), 512, 8, 64, 2048)

FAMILIES = (
    Family(
        name="t5",
        spec="t5",
        configs=CONFIGS,
        oracle=oracle,
        inputs=inputs,
        ask=ask,
        counted=counted,
        defaults=defaults,
        auto="AutoModelForSeq2SeqLM",
        patches=(Patch("T5's norm takes its mean in float32, whatever the model's precision", enter=norm_in_full),),
        hub={"as published": as_published},
        published=(
            Published("small", SMALL, 60_506_624),
            Published("base", sized((12, 12), 768, 12, 64, 3072), 222_903_552),
            Published("large", sized((24, 24), 1024, 16, 64, 4096), 737_668_096),
            Published("3b", sized((24, 24), 1024, 32, 128, 16384), 2_851_598_336),
            Published("11b", sized((24, 24), 1024, 128, 128, 65536), 11_307_321_344),
            Published("v1.1-small", gated(8, 512, 6, 1024), 76_961_152),
            Published("v1.1-base", gated(12, 768, 12, 2048), 247_577_856),
            Published("v1.1-large", gated(24, 1024, 16, 2816), 783_150_080),
            Published("v1.1-xl", gated(24, 2048, 32, 5120), 2_849_757_184),
            Published("v1.1-xxl", gated(24, 4096, 64, 10240), 11_135_332_352),
        ),
        smallest=SMALL,
        short=lambda config, rng: padded(rng, config["vocab_size"], (2, 17), 13),
    ),
)
