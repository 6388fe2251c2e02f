"""The small GPT-2 for trying things out, against `GPT2LMHeadModel`."""

from __future__ import annotations

from tests.parity.families import gpt2
from tests.parity.harness import Config, Family, Published

FIXED: Config = {"embd_pdrop": 0.0}  # it drops nothing out of its embeddings
NANO: Config = {"vocab_size": 1024, "n_positions": 128, "n_layer": 4, "n_embd": 256, "n_head": 8, **FIXED}


FAMILIES = (
    Family(
        name="gpt_nano",
        spec="gpt_nano",
        configs={name: {**c, **FIXED} for name, c in gpt2.CONFIGS.items() if "layer_norm_epsilon" not in c},
        oracle=gpt2.oracle,
        inputs=gpt2.inputs,
        ask=gpt2.ask,
        auto="AutoModelForCausalLM",
        published=(Published(None, NANO, 3_454_464),),
        smallest=NANO,
        short=lambda config, rng: gpt2.batch(config, rng, 1, 24),
    ),
)
