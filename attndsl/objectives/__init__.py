"""Objectives: how data fill a model's inputs, for training and for use, and how good the model then is.

`make_objective` makes the one that a recipe names; there is a file for each. What they are called and what options they
have stands in `attndsl.recipe.objective`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attndsl.objectives.base import Known, Objective
    from attndsl.objectives.make import make_objective
    from attndsl.objectives.metrics import Metric, metrics_table

__all__ = ["Known", "Metric", "Objective", "make_objective", "metrics_table"]

_HOMES = {
    "Known": "base",
    "Objective": "base",
    "make_objective": "make",
    "Metric": "metrics",
    "metrics_table": "metrics",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"attndsl.objectives.{_HOMES[name]}"), name)
