"""One GPU: GPT-2 in training and decoding, and attention under masks, in bfloat16; five minutes in all.

    python benchmarks/cuda.py                         on one NVIDIA GPU
    python benchmarks/cuda.py --device cpu --small    the same code at toy sizes, to see that it runs

- training: tokens/s, and the model's products as a share of the card's measured matrix product rate (MFU), beside GPT-2
  by hand and `transformers`, each compiled by `torch.compile`;
- decoding: batch 1, beside `transformers` with its dynamic cache, and with a static one and compiled;
- masks: forward and backward, beside a dense mask given to `F.scaled_dot_product_attention`, and on a GPU beside the
  same mask given to FlexAttention by hand; of a causal one, beside `is_causal` by each of torch's kernels.

Each round takes all sides in turn; printed are medians and ratios.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from by_hand import GPT, Size
from in_turn import in_turn, machine, table
from transformers import GPT2Config, GPT2LMHeadModel

import attndsl
from attndsl.backends.pytorch import TorchProgram
from attndsl.elaborate import elaborate, load, open_text
from attndsl.passes.incremental import incremental
from attndsl.running.reader import Reader

MASKS = {
    "causal": "causal",
    "window of 512": "window(512)",
    "prefix of 1,024": "prefix(1024)",
}
RULES: dict[str, Callable[..., torch.Tensor]] = {
    "causal": lambda b, h, row, key: key <= row,
    "window of 512": lambda b, h, row, key: (key <= row) & (key > row - 512),
    "prefix of 1,024": lambda b, h, row, key: (key <= row) | (key < 1024),
}
"""The same in FlexAttention's words: whether a row sees a key."""


@dataclass(frozen=True)
class Scale:
    """What is measured: GPT-2's size, rows and length in training, tokens decoded, length and heads under masks."""

    size: Size
    rows: int
    length: int
    tokens: int
    masked: int
    heads: int
    rounds: int


FULL = Scale(Size(), rows=16, length=1024, tokens=256, masked=8192, heads=12, rounds=10)
SMALL = Scale(Size(384, 64, 2, 64, 2), rows=2, length=32, tokens=8, masked=2048, heads=2, rounds=2)


def settings(size: Size) -> dict[str, int]:
    return {name: getattr(size, name) for name in ("vocab", "context", "depth", "width", "heads")}


def theirs(size: Size) -> GPT2LMHeadModel:
    config = GPT2Config(
        vocab_size=size.vocab, n_positions=size.context, n_layer=size.depth, n_embd=size.width, n_head=size.heads,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
    )  # fmt: skip
    return GPT2LMHeadModel(config)


def waiting(run: Callable[[], object], device: str) -> Callable[[], None]:
    """`run` until the device has done it."""

    def finished() -> None:
        run()
        if device == "cuda":
            torch.cuda.synchronize()

    return finished


@contextmanager
def bfloat16(device: str) -> Iterator[None]:
    with torch.autocast(device, dtype=torch.bfloat16):
        yield


def product_rate(device: str, n: int) -> float:
    """FLOP/s of a bfloat16 matrix product on this machine."""
    a, b = (torch.randn(n, n, device=device, dtype=torch.bfloat16) for _ in range(2))
    times = in_turn({"product": waiting(lambda: a @ b, device)}, 20, warm=3)
    return 2 * n**3 / times.median("product")


def training(scale: Scale, device: str, rate: float) -> None:
    size = scale.size
    ours = TorchProgram(load("gpt2", {**settings(size), "p": 0.0}), device=device).module
    models = {
        "attndsl, compiled": (ours, lambda model, x, y: model(tokens=x, targets=y)["loss"]),
        "by hand, compiled": (GPT(size).to(device), lambda model, x, y: model(x, y)),
        "transformers, compiled": (
            theirs(size).to(device),
            lambda model, x, y: F.cross_entropy(model(x).logits.flatten(0, 1).float(), y.flatten()),
        ),
    }
    text = torch.randint(0, size.vocab, (scale.rows, scale.length + 1), device=device)
    tokens, targets = text[:, :-1].contiguous(), text[:, 1:].contiguous()

    def side(model: torch.nn.Module, loss: Callable[..., torch.Tensor]) -> Callable[[], None]:
        model.train()
        compiled = torch.compile(model)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

        def step() -> None:
            with bfloat16(device):
                found = loss(compiled, tokens, targets)
            found.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        return waiting(step, device)

    times = in_turn({name: side(*pair) for name, pair in models.items()}, scale.rounds, warm=3)
    amount = scale.rows * scale.length
    table(f"training, {scale.rows} x {scale.length}", times, "by hand, compiled", amount=amount)
    parameters = sum(value.numel() for value in ours.parameters()) - size.context * size.width
    flops = 6 * parameters * amount + 6 * size.depth * size.width * scale.length * amount  # causal: half of T x T
    for name in times.of:
        print(f"  {name:34} {100 * flops / times.median(name) / rate:5.1f} % of the rate of products")


def decoding(scale: Scale, device: str) -> None:
    size, prompt = scale.size, 16
    graph = incremental(load("gpt2", {**settings(size), "p": 0.0}))
    program = TorchProgram(graph, device=device, dtype="bfloat16")
    text = np.random.default_rng(0).integers(0, size.vocab, prompt).tolist()

    def ours() -> None:
        reader = Reader(program, "tokens", "logits", prompt + scale.tokens)
        new = text
        for _ in range(scale.tokens):
            new = [int(reader.read([new])[0].argmax())]

    sides: dict[str, Callable[[], object]] = {"attndsl": ours}
    model = theirs(size).to(device, torch.bfloat16).eval()
    given = torch.tensor([text], device=device)
    for name, more in {"transformers": {}, "transformers, static": {"cache_implementation": "static"}}.items():
        if more and device != "cuda":  # `generate` compiles for a static cache on accelerators alone
            continue
        sides[name] = lambda more=more: model.generate(
            given, max_new_tokens=scale.tokens, min_new_tokens=scale.tokens, do_sample=False, pad_token_id=0, **more
        )
    with torch.inference_mode():
        times = in_turn({n: waiting(run, device) for n, run in sides.items()}, max(scale.rounds // 3, 2), warm=2)
    table(f"decoding, {scale.tokens} tokens, batch 1", times, "transformers", amount=scale.tokens)


def masked(scale: Scale, device: str) -> None:
    heads, length, width = scale.heads, scale.masked, 64 * scale.heads
    for name, mask in MASKS.items():
        text = (
            f"model M(width={width}) {{\n  input q: [B, heads={heads}, T, head=64]\n"
            f"  input k: [B, heads={heads}, S=T, head=64]\n  input v: [B, heads={heads}, S=T, value=64]\n"
            f"  output y = attend(q, k, v, mask={mask})\n}}\n"
        )
        module = torch.compile(TorchProgram(elaborate(open_text(text), {}), device=device, dtype="bfloat16").module)
        q, k, v = (
            torch.randn(1, heads, length, 64, device=device, dtype=torch.bfloat16, requires_grad=True) for _ in "qkv"
        )
        rule = RULES[name]
        seen = rule(0, 0, torch.arange(length, device=device)[:, None], torch.arange(length, device=device))
        ways: dict[str, Callable[[], torch.Tensor]] = {
            "attndsl, compiled": lambda module=module, given=(q, k, v): module(*given)["y"],
            "dense mask": lambda given=(q, k, v), seen=seen: F.scaled_dot_product_attention(*given, attn_mask=seen),
        }
        if device == "cuda":
            ways |= others(name, q, k, v)

        def both_ways(way: Callable[[], torch.Tensor]) -> Callable[[], None]:
            return waiting(lambda: way().sum().backward(), device)

        times = in_turn({n: both_ways(way) for n, way in ways.items()}, scale.rounds, warm=3)
        table(f"attention, {name}, {length} positions", times, "dense mask")


def others(name: str, *given: torch.Tensor) -> dict[str, Callable[[], torch.Tensor]]:
    """FlexAttention by hand, and torch's kernels of their own for what is causal and nothing else."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    length, flex = given[0].shape[2], torch.compile(flex_attention)
    blocks = create_block_mask(RULES[name], None, None, length, length, device="cuda")
    ways: dict[str, Callable[[], torch.Tensor]] = {"FlexAttention by hand": lambda: flex(*given, block_mask=blocks)}

    def by(kernel: SDPBackend) -> Callable[[], torch.Tensor]:
        def attend() -> torch.Tensor:
            with sdpa_kernel([kernel]):
                return F.scaled_dot_product_attention(*given, is_causal=True)

        return attend

    if name == "causal":
        kernels = (SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION, SDPBackend.EFFICIENT_ATTENTION)
        ways |= {f"torch, {kernel.name.lower()}": by(kernel) for kernel in kernels}
    return ways


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--small", action="store_true", help="toy sizes")
    options = parser.parse_args()
    scale = SMALL if options.small else FULL
    torch.set_float32_matmul_precision("high")
    print(f"attndsl {attndsl.__version__}; {machine()}")
    if options.device == "cuda":
        print(torch.cuda.get_device_name())
    rate = product_rate(options.device, 256 if options.small else 8192)
    print(f"a bfloat16 product: {rate / 1e12:.2f} TFLOP/s")
    training(scale, options.device, rate)
    decoding(scale, options.device)
    masked(scale, options.device)


if __name__ == "__main__":
    main()
