"""The PyTorch backend: a graph as a readable Python file, and that very file run. Nothing here imports torch before a
program is made."""

from __future__ import annotations

from typing import Any

from attndsl.diagnostics import error


def require_torch() -> Any:
    """The module torch; E0810 says how to install it where it is missing."""
    try:
        import torch
    except ImportError as problem:
        raise error(
            "E0810",
            "the PyTorch backend needs torch, which is not installed",
            note=str(problem) if "torch" not in str(problem) else (),
            help=['install it with `pip install "attndsl[torch]"`', "or use `--backend numpy`"],
        ) from None
    return torch


__all__ = ["require_torch"]
