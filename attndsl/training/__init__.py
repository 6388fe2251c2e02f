"""Training: the loop, its checkpoints and its reports.

Given a graph, a recipe, data and a folder; gives a folder with the trained parameters, from which the same training
resumes after an interruption as if there had been none. What needs NumPy is imported when asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attndsl.recipe.recipe import Recipe, read_recipe

if TYPE_CHECKING:
    from attndsl.training.console import Console, console_for
    from attndsl.training.loop import Outcome, train
    from attndsl.training.measuring import Evaluation

__all__ = ["Console", "Evaluation", "Outcome", "Recipe", "console_for", "read_recipe", "train"]


def __getattr__(name: str) -> Any:
    if name in ("Console", "console_for"):
        from attndsl.training import console

        return getattr(console, name)
    if name == "Evaluation":
        from attndsl.training.measuring import Evaluation

        return Evaluation
    if name in ("Outcome", "train"):
        from attndsl.training import loop

        return getattr(loop, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
