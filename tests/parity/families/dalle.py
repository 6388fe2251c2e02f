"""DALL-E's transformer, against `torch.nn.TransformerEncoder` with dense masks that are made place by place.

Its weights were never published, so the spec has no `weights` section; here it goes by these modules' names.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from tests.parity.families.transformer import load_state, save_state
from tests.parity.harness import Config, Family, Inputs, Published

CONFIGS: dict[str, Config] = {
    "five layers": {
        "vocab": 13, "codes": 7, "text": 5, "side": 4, "depth": 5, "width": 12, "heads": 3, "square": 3,
    },
    "a square of everything around": {
        "vocab": 9, "codes": 9, "text": 3, "side": 5, "depth": 2, "width": 8, "heads": 2, "square": 5,
    },
    "one layer, square, where a transposition hides": {
        "vocab": 4, "codes": 8, "text": 4, "side": 2, "depth": 1, "width": 8, "heads": 1, "square": 1,
    },
}  # fmt: skip
PAPER: Config = {
    "vocab": 16384, "codes": 8192, "text": 256, "side": 32, "depth": 64, "width": 3968, "heads": 62, "square": 11,
}  # fmt: skip

LAYOUT = """
weights DALLE from torch {
  "word.weight": [vocab + text, width] <-> word.table
  "place.weight": [text, width]        <-> place.table
  "row.weight": [side, width]          <-> row.table
  "column.weight": [side, width]       <-> column.table
  "code.weight": [codes, width]        <-> code.table
  prefix "body.layers.{i}." {
    "self_attn.in_proj_weight": [out, in] <-> concat(
      h[i].attn.q.weight, h[i].attn.k.weight, h[i].attn.v.weight, over=out)
    "self_attn.in_proj_bias"              <-> concat(h[i].attn.q.bias, h[i].attn.k.bias, h[i].attn.v.bias, over=out)
    "self_attn.out_proj."                 <-> linear(h[i].attn.out)
    "linear1."                            <-> linear(h[i].mlp.up)
    "linear2."                            <-> linear(h[i].mlp.down)
    "norm1."                              <-> layer_norm(h[i].norm_1)
    "norm2."                              <-> layer_norm(h[i].norm_2)
  }
  prefix ""
  "norm."    <-> layer_norm(norm)
  "to_code." <-> linear(to_code)
  "to_word." <-> linear(to_word)
}
"""


def seen(config: Config, layer: int) -> list[list[bool]]:
    """What each place of the caption and the picture sees in a layer (appendix B.1 and figure 11)."""
    text, side, reach = config["text"], config["side"], config["square"] // 2
    kind = "square" if layer == config["depth"] - 1 else "column" if (layer + 1 - 2) % 4 == 0 else "row"
    around = {down * side + right for down in range(-reach, reach + 1) for right in range(-reach, reach + 1)}

    def sees(q: int, k: int) -> bool:
        if k > q:
            return False
        if k < text:
            return True
        q, k = q - text, k - text
        if kind == "row":
            return q - k <= side
        return q % side == k % side if kind == "column" else k - q in around

    length = text + side * side
    return [[sees(q, k) for k in range(length)] for q in range(length)]


@cache
def module() -> Any:
    import torch
    from torch import nn

    class DALLE(nn.Module):
        def __init__(self, config: Config) -> None:
            super().__init__()
            self.sizes, width, side = config, config["width"], config["side"]
            self.word = nn.Embedding(config["vocab"] + config["text"], width)
            self.place = nn.Embedding(config["text"], width)
            self.row, self.column = nn.Embedding(side, width), nn.Embedding(side, width)
            self.code = nn.Embedding(config["codes"], width)
            layer = nn.TransformerEncoderLayer(
                width, config["heads"], 4 * width, activation="gelu", batch_first=True, norm_first=True
            )
            self.body = nn.TransformerEncoder(layer, config["depth"], enable_nested_tensor=False)
            self.norm = nn.LayerNorm(width)
            self.to_code, self.to_word = nn.Linear(width, config["codes"]), nn.Linear(width, config["vocab"])

        def forward(self, caption: Any, valid: Any, picture: Any) -> tuple[Any, Any]:
            text, side = self.sizes["text"], self.sizes["side"]
            rows = [
                self.word.weight[torch.where(valid[:, i], caption[:, i], self.sizes["vocab"] + i)] for i in range(text)
            ]
            words = torch.stack(rows, 1) + self.place.weight
            cells = torch.stack(
                [
                    self.code(picture[:, i]) + self.row.weight[i // side] + self.column.weight[i % side]
                    for i in range(side**2)
                ],
                1,
            )
            x = torch.cat([words, cells], 1)
            for number, layer in enumerate(self.body.layers):
                x = layer(x, src_mask=~torch.tensor(seen(self.sizes, number)))
            x = self.norm(x)
            return self.to_word(x[:, : text - 1]), self.to_code(x[:, text - 1 : -1])

    return DALLE


def oracle(config: Config) -> Any:
    return module()(config)


def ask(model: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
    from torch.nn.functional import cross_entropy

    caption, picture = batch["caption"], batch["picture"]
    valid = batch.get("valid", caption >= 0)
    words, logits = model(caption, valid, picture)
    said = caption[:, 1:].masked_fill(~valid[:, 1:], -100)
    text = cross_entropy(words.mT, said) if (said >= 0).any() else words.sum() * 0
    image = cross_entropy(logits.mT, picture)
    return {"logits": logits, "text_loss": text, "picture_loss": image, "loss": text / 8 + 7 * image / 8}


def batch(config: Config, rng: np.random.Generator, rows: int, longest: int) -> Inputs:
    lengths = rng.integers(1, longest + 1, rows)
    lengths[0] = longest
    return {
        "caption": rng.integers(0, config["vocab"], (rows, config["text"])),
        "valid": np.arange(config["text"]) < lengths[:, None],
        "picture": rng.integers(0, config["codes"], (rows, config["side"] ** 2)),
    }


def inputs(config: Config, rng: np.random.Generator) -> Mapping[str, Inputs]:
    return {
        "captions of several lengths": batch(config, rng, 3, config["text"]),
        "a caption of one token": batch(config, rng, 1, 1),
    }


def reduced(config: Config) -> Config:
    """As deep and with as many heads, but narrow, and over a small picture: masks are dense here."""
    side = min(config["side"], 6)
    small = {"vocab": 64, "codes": 32, "text": 8, "side": side, "square": min(config["square"], side - 1 + side % 2)}
    return {**config, **small, "width": 2 * config["heads"]}


FAMILIES = (
    Family(
        name="dalle",
        spec="dalle",
        configs=CONFIGS,
        oracle=oracle,
        inputs=inputs,
        ask=ask,
        defaults=lambda config, batch: {"valid": np.ones_like(batch["caption"], dtype=bool)},
        section="torch",
        layout=lambda: LAYOUT,
        settings=dict,
        save=save_state,
        reload=load_state,
        reduced=reduced,
        published=(Published("12b", PAPER, 12_292_833_024),),
    ),
)
