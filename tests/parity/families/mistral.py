"""Mistral and `MistralForCausalLM`."""

from __future__ import annotations

from tests.parity.families.llama import (
    SHARED,
    as_before,
    ask,
    batch,
    in_full,
    inputs,
    oracle,
    reduced,
    save,
    sized,
    unscaled,
)
from tests.parity.harness import Config, Family, Published

CONFIGS: dict[str, Config] = {
    "four heads, three seen": sized(3, 16, 4, 20, 61, 10, num_key_value_heads=2, sliding_window=3),
    "five heads of two, itself seen": sized(
        2, 10, 5, 9, 17, 7, num_key_value_heads=1, sliding_window=1, hidden_act="gelu"
    ),
    "square, where a transposition hides": sized(2, 16, 4, 16, 16, 16, num_key_value_heads=4, sliding_window=99),
    "everything seen": sized(1, 8, 1, 8, 5, 9, num_key_value_heads=1, sliding_window=None, rms_norm_eps=1e-2),
    "heads of their own size, tied": sized(
        2, 12, 2, 11, 23, 9, head_dim=10, num_key_value_heads=1, sliding_window=8, tie_word_embeddings=True,
        **unscaled(50.0),
    ),
}  # fmt: skip


def published(vocab: int, window: int | None, base: float) -> Config:
    return sized(32, 4096, 32, 14336, vocab, 32768, sliding_window=window, **SHARED, **unscaled(base))


FAMILIES = (
    Family(
        name="mistral",
        spec="mistral",
        configs=CONFIGS,
        oracle=oracle("Mistral"),
        inputs=inputs,
        ask=ask,
        save=save,
        auto="AutoModelForCausalLM",
        patches=in_full("mistral", "Mistral"),
        hub={"as before": as_before},
        published=(
            Published("7b", published(32000, 4096, 10000.0), 7_241_732_096),
            Published("7b-v0.2", published(32000, None, 1e6), 7_241_732_096),
            Published("7b-v0.3", published(32768, None, 1e6), 7_248_023_552),
        ),
        reduced=reduced,
        short=lambda config, rng: batch(config, rng, 1, 24),
    ),
)
