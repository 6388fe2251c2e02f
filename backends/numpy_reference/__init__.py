"""The backend that needs nothing but NumPy, and says what every other one must compute.

Given a graph and parameters; gives a `NumpyProgram`, which runs it node by node, and gradients by a tape. Importing it
does not load NumPy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attndsl.backends.numpy_reference.evaluator import NumpyProgram

__all__ = ["NumpyProgram"]


def __getattr__(name: str) -> Any:
    if name == "NumpyProgram":
        from attndsl.backends.numpy_reference.evaluator import NumpyProgram

        return NumpyProgram
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
