"""The small GPT-2 for trying things out, against `GPT2LMHeadModel`, by the names of GPT-2's `weights` section."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from attndsl.elaborate import shipped
from tests.parity.families import gpt2
from tests.parity.harness import Config, Family, Published

NANO: Config = {"vocab_size": 1024, "n_positions": 128, "n_layer": 4, "n_embd": 256, "n_head": 8}


@cache
def layout() -> str:
    """GPT-2's section, for a model whose epsilon is not a hyperparameter."""
    text = Path(shipped()["gpt2"]).read_text(encoding="utf-8")
    section = text[text.index("weights GPT2 from") : text.index("train GPT2 {")]
    return section.replace("weights GPT2", "weights GPTNano").replace(
        ", eps = layer_norm_epsilon or 1e-5\n", ", require layer_norm_epsilon == 1e-5 or absent\n"
    )


FAMILIES = (
    Family(
        name="gpt_nano",
        spec="gpt_nano",
        configs={name: config for name, config in gpt2.CONFIGS.items() if "layer_norm_epsilon" not in config},
        oracle=gpt2.oracle,
        inputs=gpt2.inputs,
        ask=gpt2.ask,
        layout=layout,
        published=(Published(None, NANO, 3_454_464),),
        smallest=NANO,
        short=lambda config, rng: gpt2.batch(config, rng, 1, 24),
    ),
)
