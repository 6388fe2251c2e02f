"""DALL-E's discrete VAE, against modules of `torch.nn` written from the paper, as it draws what it is surest of.

Its weights are published in a form of their own, so the spec has no `weights` section; here it goes by these modules'
names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from tests.parity.families.transformer import load_state, save_state
from tests.parity.harness import Config, Family, Inputs, Published

PAPER: Config = {"channels": 3, "codes": 8192, "width": 256, "start": 128, "stages": 4, "depth": 2, "kernel": 7}
CONFIGS: dict[str, Config] = {
    "two stages": {"channels": 1, "codes": 7, "width": 8, "start": 5, "stages": 2, "depth": 1, "kernel": 3},
    "three stages of two, in colour": {
        "channels": 3, "codes": 5, "width": 4, "start": 4, "stages": 3, "depth": 2, "kernel": 5, "floor": 0.2,
        "narrow": 0.0,
    },
    "square, where a transposition hides": {
        "channels": 8, "codes": 8, "width": 8, "start": 8, "stages": 2, "depth": 2, "kernel": 1,
    },
}  # fmt: skip

LAYOUT = """
weights DVAE from torch {
  "encoder.conv." <-> conv2d(encoder.conv)
  "encoder.head." <-> conv2d(encoder.head)
  "decoder.conv." <-> conv2d(decoder.conv)
  "decoder.head." <-> conv2d(decoder.head)
  prefix "encoder.stages.{s}.{b}." {
    "convs.{k}.weight": [out, in, rows, columns] <-> encoder.stage[s].block[b].path.i[k].conv.weight
    "convs.{k}.bias"                             <-> encoder.stage[s].block[b].path.i[k].conv.bias
    "skip.weight": [out, in, rows, columns]      <-> encoder.stage[s].block[b].path.skip.weight optional
    "skip.bias"                                  <-> encoder.stage[s].block[b].path.skip.bias optional
  }
  prefix "decoder.stages.{s}.{b}." {
    "convs.{k}.weight": [out, in, rows, columns] <-> decoder.stage[s].block[b].path.i[k].conv.weight
    "convs.{k}.bias"                             <-> decoder.stage[s].block[b].path.i[k].conv.bias
    "skip.weight": [out, in, rows, columns]      <-> decoder.stage[s].block[b].path.skip.weight optional
    "skip.bias"                                  <-> decoder.stage[s].block[b].path.skip.bias optional
  }
}
"""


@cache
def modules() -> Any:
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, given: int, out: int, kernels: tuple[int, ...], share: float) -> None:
            super().__init__()
            widths = [given, *[out // 4] * 3, out]
            self.convs = nn.ModuleList(
                nn.Conv2d(a, b, k, padding=k // 2) for a, b, k in zip(widths, widths[1:], kernels, strict=False)
            )
            self.skip = nn.Conv2d(given, out, 1) if given != out else nn.Identity()
            self.share = share

        def forward(self, x: Any) -> Any:
            y = x
            for conv in self.convs:
                y = conv(torch.relu(y))
            return self.skip(x) + self.share * y

    class Side(nn.Module):
        def __init__(self, config: Config, encodes: bool) -> None:
            super().__init__()
            width, depth, count = config["width"], config["depth"], config["stages"]
            outs = [width * 2**stage for stage in range(count)]
            kernels = (3, 3, 3, 1) if encodes else (1, 3, 3, 3)
            if encodes:
                last = width
                self.conv = nn.Conv2d(config["channels"], width, config["kernel"], padding=config["kernel"] // 2)
            else:
                last = config["start"]
                self.conv = nn.Conv2d(config["codes"], last, 1)
                outs.reverse()
            self.stages = nn.ModuleList()
            for out in outs:
                blocks = [Block(last if b == 0 else out, out, kernels, 1 / (count * depth) ** 2) for b in range(depth)]
                self.stages.append(nn.ModuleList(blocks))
                last = out
            self.head = nn.Conv2d(last, config["codes"] if encodes else 2 * config["channels"], 1)
            self.between = nn.MaxPool2d(2) if encodes else nn.Upsample(scale_factor=2, mode="nearest")

        def forward(self, x: Any) -> Any:
            x = self.conv(x)
            for number, stage in enumerate(self.stages):
                x = self.between(x) if number else x
                for block in stage:
                    x = block(x)
            return self.head(torch.relu(x))

    class DVAE(nn.Module):
        def __init__(self, config: Config) -> None:
            super().__init__()
            self.sizes, self.floor = config, config.get("floor", 0.1)
            self.encoder, self.decoder = Side(config, True), Side(config, False)

    return DVAE


def oracle(config: Config) -> Any:
    return modules()(config)


def ask(model: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
    import torch
    from torch.distributions import Categorical, kl_divergence

    image, floor, sizes = batch["image"], model.floor, model.sizes
    logits = model.encoder(image).permute(0, 2, 3, 1)
    tokens = batch.get("code", logits.argmax(-1))
    one_hot = torch.nn.functional.one_hot(tokens, sizes["codes"]).to(image.dtype)
    mean, log_scale = model.decoder(one_hot.permute(0, 3, 1, 2)).chunk(2, 1)
    log_scale = log_scale.clamp(min=sizes.get("narrow", -math.inf))
    picture = ((torch.sigmoid(mean) - floor) / (1 - 2 * floor)).clamp(0, 1)
    x = (1 - 2 * floor) * image + floor
    # The logarithm of the density of the logit-Laplace distribution (appendix A.3, equation 2).
    density = torch.exp(-(torch.logit(x) - mean).abs() / log_scale.exp()) / (2 * log_scale.exp() * x * (1 - x))
    reconstruction = -density.log().mean()
    kl = kl_divergence(Categorical(logits=logits), Categorical(logits=torch.zeros_like(logits))).mean()
    weight = batch.get("kl_weight", torch.tensor(sizes.get("beta", 6.6), dtype=image.dtype))
    squares = sizes["channels"] * 4 ** (sizes["stages"] - 1)
    loss = reconstruction + weight * kl / squares
    return {"tokens": tokens, "picture": picture, "reconstruction": reconstruction, "kl": kl, "loss": loss}


def pictures(config: Config, rng: np.random.Generator, rows: int, height: int, width: int) -> Inputs:
    """`height` and `width` in codes."""
    side = 2 ** (config["stages"] - 1)
    return {"image": rng.uniform(0, 1, (rows, config["channels"], height * side, width * side))}


def inputs(config: Config, rng: np.random.Generator) -> Mapping[str, Inputs]:
    given = {"code": rng.integers(0, config["codes"], (2, 3, 2)), "kl_weight": np.array(0.5)}
    return {
        "wider than high": pictures(config, rng, 3, 2, 3),
        "one code": pictures(config, rng, 1, 1, 1),
        "codes that are given": pictures(config, rng, 2, 3, 2) | given,
    }


FAMILIES = (
    Family(
        name="dvae",
        spec="dvae",
        configs=CONFIGS,
        oracle=oracle,
        inputs=inputs,
        ask=ask,
        section="torch",
        layout=lambda: LAYOUT,
        settings=dict,
        save=save_state,
        reload=load_state,
        published=(Published(None, PAPER, 97_616_006),),
        noise=0.1,
    ),
)
