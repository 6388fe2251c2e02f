"""Training: recipes, the loop, checkpoints, and the records of runs."""

from attndsl.training.console import Console, console_for
from attndsl.training.loop import Evaluation, Outcome, train
from attndsl.training.recipe import Recipe, read_recipe

__all__ = ["Console", "Evaluation", "Outcome", "Recipe", "console_for", "read_recipe", "train"]
