"""GPT-2 as one writes it by hand in PyTorch: what the module that attndsl writes is held against. Pre-norm layers, one
matrix for queries, keys and values, `F.scaled_dot_product_attention`, the embedding tied to the head, the loss by
`F.cross_entropy` (Radford et al., 2019). `linear` is the product that all its layers use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Size:
    vocab: int = 50257
    context: int = 1024
    depth: int = 12
    width: int = 768
    heads: int = 12


class Linear(nn.Linear):
    product: Callable[..., Tensor] = staticmethod(F.linear)

    def forward(self, x: Tensor) -> Tensor:
        return self.product(x, self.weight, self.bias)


class Layer(nn.Module):
    def __init__(self, size: Size) -> None:
        super().__init__()
        width = size.width
        self.heads = size.heads
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = Linear(width, 3 * width), Linear(width, width)
        self.up, self.down = Linear(width, 4 * width), Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.qkv(self.before_attention(x)).chunk(3, -1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.before_mlp(x)), approximate="tanh"))


class GPT(nn.Module):
    def __init__(self, size: Size, linear: Callable[..., Tensor] = F.linear) -> None:
        super().__init__()
        self.token = nn.Embedding(size.vocab, size.width)
        self.position = nn.Embedding(size.context, size.width)
        self.layers = nn.ModuleList(Layer(size) for _ in range(size.depth))
        self.norm = nn.LayerNorm(size.width)
        self.head = Linear(size.width, size.vocab, bias=False)
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02)
        self.head.weight = self.token.weight
        for module in self.modules():
            if isinstance(module, Linear):
                module.product = linear

    def forward(self, tokens: Tensor, targets: Tensor | None = None) -> Tensor:
        """tokens: int[B, T] -> logits: float[B, T, vocab], or with targets: int[B, T] the loss."""
        x = self.token(tokens) + self.position(torch.arange(tokens.shape[1], device=tokens.device))
        for layer in self.layers:
            x = layer(x)
        logits = self.head(self.norm(x))
        return logits if targets is None else F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())
