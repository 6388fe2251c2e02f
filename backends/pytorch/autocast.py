"""Mixed precision, the same on the CPU as on CUDA.

`torch.autocast` keeps what sums up or grows quickly in float32 on CUDA, but not all of it on the CPU: there a loss
would be the sum of bfloat16 numbers, and overflow in float16. So on the CPU the operations of CUDA's list
(https://docs.pytorch.org/docs/stable/amp.html) are given float32 here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

NARROW = {"bfloat16": torch.bfloat16, "float16": torch.float16}

_NAMES = (
    "acos", "asin", "cosh", "cosine_similarity", "cross_entropy", "cumprod", "cumsum", "erfinv", "exp", "expm1",
    "layer_norm", "log", "log10", "log1p", "log2", "log_softmax", "logsumexp", "mean", "mse_loss", "nll_loss", "norm",
    "pow", "prod", "reciprocal", "rms_norm", "rsqrt", "sinh", "softmax", "softplus", "sum", "tan", "var", "__pow__",
    "__rpow__", "__rtruediv__",
)  # fmt: skip
_EXACT = frozenset(
    getattr(place, name) for place in (torch, torch.Tensor, F) for name in _NAMES if hasattr(place, name)
)


class _Exact(TorchFunctionMode):
    """Gives float32 to the operations in `_EXACT`."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, arguments: tuple[Any, ...] = (), named: Any = None
    ) -> Any:
        if function in _EXACT and arguments and isinstance(arguments[0], torch.Tensor):
            first = arguments[0]
            if first.dtype in (torch.bfloat16, torch.float16):
                arguments = (first.float(), *arguments[1:])
        if function is torch.Tensor.unflatten:  # a method in Python that calls `super()`, which dynamo cannot follow
            function = torch.unflatten
        return function(*arguments, **(named or {}))


@contextlib.contextmanager
def mixed(precision: str, device: torch.device) -> Iterator[None]:
    """Compute in `precision` where that is safe; nothing changes for float32 and float64."""
    narrow = NARROW.get(precision)
    if narrow is None:
        yield
        return
    with torch.autocast(device.type, dtype=narrow):
        if device.type == "cuda":
            yield
        else:
            with _Exact():
                yield
