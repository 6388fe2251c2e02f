"""The PyTorch backend: a graph as a readable Python file, and that very file run.

Given a graph; gives the text of a module that needs nothing but PyTorch, and a `TorchProgram` that runs it. Nothing
here imports torch before a program is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any


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

__all__ = ["TorchProgram", "generate_source"]
