"""Training: the loop, its checkpoints and its reports.

Given a graph, a recipe, data and a folder; gives a folder with the trained parameters, from which the same training
resumes after an interruption as if there had been none. What needs NumPy is imported when asked for.
"""

from typing import TYPE_CHECKING

from attndsl.lazy import lazily

if TYPE_CHECKING:
    from attndsl.training.console import Console, console_for
    from attndsl.training.loop import Outcome, train
    from attndsl.training.measuring import Evaluation

__all__ = ["Console", "Evaluation", "Outcome", "console_for", "train"]

__getattr__, __dir__ = lazily(__name__)
