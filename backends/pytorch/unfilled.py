"""Modules made for their parameters' shapes alone: the values come afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

_DRAWS = (torch.Tensor.normal_, torch.Tensor.uniform_)


class _Shapes(TorchFunctionMode):
    """On the meta device, where nothing is computed, torch takes these functions from its compiler, and loading that
    takes longer than all else that a module of a few layers needs."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _DRAWS:
            return args[0]
        if func is torch.cat:
            return _joined(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _joined(tensors: list[torch.Tensor], dim: int = 0) -> torch.Tensor:
    shape = list(tensors[0].shape)
    shape[dim] = sum(tensor.shape[dim] for tensor in tensors)
    return torch.empty(shape, dtype=tensors[0].dtype)


@contextmanager
def unfilled() -> Iterator[None]:
    """Parameters of what is made here have no memory."""
    with torch.device("meta"), _Shapes():
        yield
