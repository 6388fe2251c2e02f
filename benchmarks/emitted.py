"""The module that attndsl writes for GPT-2 against one written by hand with the same kernels: forward, and forward and
backward, at 6 layers of 384.

    python benchmarks/emitted.py

The module by hand (`by_hand.py`) multiplies by the same function as the written one, so that what is measured is the
text between the products. Both have the same weights, and first have to agree.
"""

from __future__ import annotations

import torch
from by_hand import GPT, Size
from in_turn import in_turn, machine, table
from torch import Tensor, nn

import attndsl

SIZE = Size(vocab=8192, context=256, depth=6, width=384, heads=6)
ROWS, LENGTH, ROUNDS = 12, 256, 9


def written() -> nn.Module:
    sizes = {name: getattr(SIZE, name) for name in ("vocab", "context", "depth", "width", "heads")}
    return attndsl.load("gpt2", **sizes, p=0.0).torch()


def by_hand(ours: nn.Module) -> GPT:
    """The module by hand with the weights of the written one, and its function for products."""
    model = GPT(SIZE, type(ours).forward.__globals__["linear"])
    values = ours.state_dict()

    def copy(linear: nn.Module, *paths: str) -> None:
        linear.weight.copy_(torch.cat([values[f"{path}.weight"].t() for path in paths]))
        linear.bias.copy_(torch.cat([values[f"{path}.bias"] for path in paths]))

    def norm(layer: nn.LayerNorm, path: str) -> None:
        layer.weight.copy_(values[f"{path}.scale"])
        layer.bias.copy_(values[f"{path}.shift"])

    with torch.no_grad():
        model.token.weight.copy_(values["wte.table"])
        model.position.weight.copy_(values["wpe.table"])
        norm(model.norm, "ln_f")
        for at, layer in enumerate(model.layers):
            norm(layer.before_attention, f"h.{at}.ln_1")
            norm(layer.before_mlp, f"h.{at}.ln_2")
            copy(layer.qkv, *(f"h.{at}.attn.{part}" for part in "qkv"))
            copy(layer.out, f"h.{at}.attn.out")
            copy(layer.up, f"h.{at}.mlp.up")
            copy(layer.down, f"h.{at}.mlp.down")
    return model


def main() -> None:
    print(machine())
    ours = written()
    theirs = by_hand(ours)
    text = torch.randint(0, SIZE.vocab, (ROWS, LENGTH + 1), generator=torch.Generator().manual_seed(0))
    tokens, targets = text[:, :-1].contiguous(), text[:, 1:].contiguous()

    @torch.inference_mode()
    def logits_of(ours_too: bool) -> Tensor:
        return ours(tokens)["logits"] if ours_too else theirs(tokens)

    def both_ways(ours_too: bool) -> None:
        loss = ours(tokens, targets)["loss"] if ours_too else theirs(tokens, targets)
        loss.backward()
        (ours if ours_too else theirs).zero_grad()

    torch.testing.assert_close(logits_of(True), logits_of(False), rtol=1e-4, atol=1e-4)
    amount = ROWS * LENGTH
    for title, run in {"forward": logits_of, "forward and backward": both_ways}.items():
        sides = {"written": lambda run=run: run(True), "by hand": lambda run=run: run(False)}
        table(f"{title}, {ROWS} x {LENGTH}", in_turn(sides, ROUNDS), "by hand", amount=amount)


if __name__ == "__main__":
    main()
