"""GPT-3 against GPT-2 with what is different changed: heads of a size of their own, and a band in every second layer.

GPT-3's weights were never published, so the spec has no `weights` section; here it goes by GPT-2's names.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from attndsl.elaborate import shipped
from tests.parity.families import gpt2
from tests.parity.harness import Config, Family, Published


def sized(
    depth: int, width: int, heads: int, head: int, *, band: int | None = None, vocab: int = 50257, context: int = 2048
) -> Config:
    sizes = {"n_layer": depth, "n_embd": width, "n_head": heads, "head_size": head, "band": band}
    return {**sizes, "vocab_size": vocab, "n_positions": context}


CONFIGS: dict[str, Config] = {
    "banded by three": sized(3, 12, 3, 4, band=3, vocab=61, context=10),
    "each by itself": sized(4, 5, 5, 1, band=1, vocab=17, context=7),
    "heads that are more than the width": sized(2, 10, 3, 5, vocab=33, context=9),
    "heads that are less than the width": sized(3, 13, 3, 2, band=2, vocab=33, context=9),
    "wider than the context": sized(2, 16, 4, 4, band=99, vocab=16, context=16),
}
LARGEST = sized(96, 12288, 96, 128)
PUBLISHED = (
    Published("small", sized(12, 768, 12, 64), 125_226_240),
    Published("medium", sized(24, 1024, 16, 64), 355_871_744),
    Published("large", sized(24, 1536, 16, 96), 760_300_032),
    Published("xl", sized(24, 2048, 24, 128), 1_517_123_584),
    Published("2_7b", sized(32, 2560, 32, 80), 2_651_553_280),
    Published("6_7b", sized(32, 4096, 32, 128), 6_658_404_352),
    Published("13b", sized(40, 5140, 40, 128), 12_936_488_380),
    Published("175b", LARGEST, 174_604_259_328),
    Published("sparse", {**LARGEST, "band": 128}, 174_604_259_328),
)


@cache
def layout() -> str:
    """GPT-2's section, for GPT-3."""
    text = Path(shipped()["gpt2"]).read_text(encoding="utf-8")
    section = text[text.index("weights GPT2 from") : text.index("train GPT2 {")]
    return section.replace("weights GPT2", "weights GPT3").replace(
        "heads = n_head\n", "heads = n_head\n    head = head_size, band = band or none\n"
    )


@cache
def published_class() -> Any:
    import torch
    import transformers
    from transformers.pytorch_utils import Conv1D

    def banded(module: Any, arguments: Any, named: dict[str, Any]) -> Any:
        length = (arguments[0] if arguments else named["hidden_states"]).shape[1]
        behind = torch.arange(length)[:, None] - torch.arange(length)
        seen = (behind >= 0) & (behind < module.config.band)
        return arguments, {**named, "attention_mask": seen[None, None]}

    class GPT3(transformers.GPT2LMHeadModel):
        def __init__(self, config: Any) -> None:
            heads, config.n_head = config.n_head, 1  # GPT-2 insists on a number that divides the width
            super().__init__(config)
            config.n_head, inner = heads, heads * config.head_size
            for i, block in enumerate(self.transformer.h):
                attention = block.attn
                attention.head_dim, attention.split_size = config.head_size, inner
                attention.scaling = config.head_size**-0.5
                attention.c_attn, attention.c_proj = Conv1D(3 * inner, config.n_embd), Conv1D(config.n_embd, inner)
                if i % 2 and isinstance(getattr(config, "band", None), int):
                    attention.register_forward_pre_hook(banded, with_kwargs=True)

    return GPT3


def oracle(config: Config) -> Any:
    """GPT-3 was not published. This is GPT-2 with heads of a size of their own and, where there is a band, the mask of
    every second layer replaced by it."""
    import transformers

    return published_class()(transformers.GPT2Config(**config, bos_token_id=0, eos_token_id=0))


def reduced(config: Config) -> Config:
    """Two numbers to a head."""
    return {**gpt2.reduced(config), "head_size": 2, "band": config["band"] and 8}


FAMILIES = (
    Family(
        name="gpt3",
        spec="gpt3",
        configs=CONFIGS,
        oracle=oracle,
        inputs=gpt2.inputs,
        ask=gpt2.ask,
        layout=layout,
        published=PUBLISHED,
        reduced=reduced,
        short=lambda config, rng: gpt2.batch(config, rng, 1, 24),
    ),
)
