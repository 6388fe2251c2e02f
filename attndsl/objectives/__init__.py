"""Objectives: what a model learns from, how data fill its inputs, for training and for use, and how good it then is.

A class each, in a file each, which says all that a recipe, the checker, the trainer and the verbs that use a trained
model need to know. `OBJECTIVES` knows the classes by name, and `OBJECTIVES.register` adds one; `make_objective` makes
the one that a recipe names. Given a graph and data; gives batches by input. What needs NumPy loads it at first use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attndsl.objectives.base import Batching, Known, Objective, Use
from attndsl.objectives.choice import OBJECTIVES
from attndsl.objectives.roles import Data, Role

if TYPE_CHECKING:
    from attndsl.data.tokenizers import Tokenizer
    from attndsl.graph import Graph

__all__ = ["OBJECTIVES", "Data", "Known", "Objective", "Role", "Use", "make_objective"]


def make_objective(
    recipe: Batching, graph: Graph, tokenizer: Tokenizer | None = None, labels: Sequence[str] | None = None
) -> Objective:
    """The objective of `recipe` for `graph`.

    `.training(data, step, part)` and `.evaluation(data, batches)` give batches of data that went through `.prepare(…)`,
    `.inputs(examples)` what the model is given in use. `tokenizer` is None for images, `labels` (the names of the
    classes) for what has none. Raises E0737 (too few sentinels).
    """
    return recipe.objective.about(recipe, graph, tokenizer, labels)
