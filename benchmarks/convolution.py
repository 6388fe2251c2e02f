"""What a convolution costs, forward and backward, against the call of torch's that it stands for.

    python benchmarks/convolution.py

The written module of each spec, and the same parameters given to torch.nn.functional by hand, run in turn on the same
image, whose channels come last for the module and first for torch; printed are medians and their ratio.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from in_turn import in_turn

from attndsl.backends.pytorch import TorchProgram
from attndsl.elaborate import elaborate, open_text

Call = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
ROUNDS = 15

#: the call in the language, and torch's of the channels-first x, the weight and the bias
CASES: dict[str, tuple[str, tuple[int, ...], Call]] = {
    "conv 3": ("conv(x, 256, 3, pad=1)", (8, 512, 256), lambda x, w, b: F.conv1d(x, w, b, padding=1)),
    "depthwise 4, causal": (
        "depthwise(x, 4, before=3)",
        (8, 512, 256),
        lambda x, w, b: F.conv1d(F.pad(x, (3, 0)), w, b, groups=256),
    ),
    "conv2d 3": ("conv2d(x, 64, 3, pad=1)", (8, 56, 56, 64), lambda x, w, b: F.conv2d(x, w, b, padding=1)),
    "conv2d 3, stride 2": (
        "conv2d(x, 128, 3, stride=2, pad=1)",
        (8, 56, 56, 64),
        lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1),
    ),
    "conv2d 3, 8 groups": (
        "conv2d(x, 64, 3, pad=1, groups=8)",
        (8, 56, 56, 64),
        lambda x, w, b: F.conv2d(x, w, b, padding=1, groups=8),
    ),
    "conv2d 1": ("conv2d(x, 256, 1)", (8, 56, 56, 64), F.conv2d),
    "depthwise2d 7": (
        "depthwise2d(x, 7, pad=3)",
        (8, 56, 56, 64),
        lambda x, w, b: F.conv2d(x, w, b, padding=3, groups=64),
    ),
    "conv2d_transpose 4, stride 2": (
        "conv2d_transpose(x, 32, 4, stride=2, pad=1)",
        (8, 28, 28, 64),
        lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2, padding=1),
    ),
}


def ours(call: str, shape: tuple[int, ...]) -> torch.nn.Module:
    places = {3: "T", 4: "Y, X"}[len(shape)]
    text = f"model M(width={shape[-1]}) {{\n  input x: [B, {places}, width]\n  output y = {call} as c\n}}\n"
    return TorchProgram(elaborate(open_text(text), {})).module


def theirs(module: torch.nn.Module, call: Call, transposed: bool) -> Callable[[torch.Tensor], torch.Tensor]:
    weight, bias = (dict(module.named_parameters())[f"c.{name}"] for name in ("weight", "bias"))
    *sizes, given, out = range(weight.dim())
    order = (given, out, *sizes) if transposed else (out, given, *sizes)
    laid = weight.detach().permute(order).contiguous().requires_grad_()
    kept = bias.detach().clone().requires_grad_()
    return lambda x: call(x, laid, kept)


def both_ways(run: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> Callable[[], None]:
    def forward_and_backward() -> None:
        y = run(x.detach().requires_grad_())
        y.backward(torch.ones_like(y))

    return forward_and_backward


def main() -> None:
    torch.manual_seed(0)
    for name, (text, shape, call) in CASES.items():
        module = ours(text, shape)
        x = torch.randn(shape)
        by_hand = theirs(module, call, "transpose" in text)
        sides = {
            "ours": both_ways(lambda x, module=module: module(x)["y"], x),
            "torch": both_ways(by_hand, x.movedim(-1, 1).contiguous()),
        }
        times = in_turn(sides, ROUNDS, clock=time.process_time, warm=2)
        mine, torchs = (1e3 * times.median(side) for side in sides)
        print(f"{name:30} {mine:8.2f} ms, torch {torchs:8.2f} ms, ratio {times.ratio('ours', 'torch'):.2f}")


if __name__ == "__main__":
    main()
