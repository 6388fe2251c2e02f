"""The PyTorch backend: a graph as a readable Python file, and that very file run. Nothing here imports torch before a
program is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attndsl.diagnostics import error


def require_torch(otherwise: str = "--backend numpy") -> Any:
    """The module torch. E0810 says what to do where it is missing or cannot be loaded: install it (again), or do
    without, by the option `otherwise`."""
    try:
        import torch
    except Exception as problem:  # a package that is half there fails in any way: OSError for a library, ImportError, …
        if isinstance(problem, ModuleNotFoundError) and problem.name == "torch":
            message, reason = "the PyTorch backend needs torch, which is not installed", ""
            way = 'install it with `pip install "attndsl[torch]"`'
        else:
            message = "the PyTorch backend needs torch, which is installed but cannot be loaded"
            reason = (str(problem).strip() or type(problem).__name__).splitlines()[0]
            way = "reinstall it: `pip install --force-reinstall torch`"
        help = [way, f"or use `{otherwise}`"]
        raise error("E0810", message, note=reason or (), help=help) from None
    return torch


def __getattr__(name: str) -> Any:
    if name == "TorchProgram":
        from attndsl.backends.pytorch.program import TorchProgram

        return TorchProgram
    if name == "generate_source":
        from attndsl.backends.pytorch.source import generate_source

        return generate_source
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if TYPE_CHECKING:
    from attndsl.backends.pytorch.program import TorchProgram
    from attndsl.backends.pytorch.source import generate_source

__all__ = ["TorchProgram", "generate_source", "require_torch"]
