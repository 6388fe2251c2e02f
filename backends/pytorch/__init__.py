"""The PyTorch backend: a graph as a readable Python file, and that very file run.

Given a graph; gives the text of a module that needs nothing but PyTorch, and a `TorchProgram` that runs it. Nothing
here imports torch before a program is made.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from attndsl.running.processes import Launch

if Launch.of_environment() is not None:  # what goes wrong among them is said once: torch reads this as it is imported
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


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
