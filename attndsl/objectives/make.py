"""The objective that a recipe names."""

from __future__ import annotations

from collections.abc import Sequence

from attndsl.data.tokenizers import Tokenizer
from attndsl.graph import Graph
from attndsl.objectives.base import Objective
from attndsl.objectives.classify import Classify
from attndsl.objectives.classify_images import ClassifyImages
from attndsl.objectives.denoise import Denoise
from attndsl.objectives.masked_tokens import MaskedTokens
from attndsl.objectives.next_token import NextTokens
from attndsl.objectives.sequence_to_sequence import SequenceToSequence
from attndsl.objectives.span_corruption import SpanCorruption
from attndsl.objectives.tag import Tag
from attndsl.recipe.recipe import Recipe

OBJECTIVES: dict[str, type[Objective]] = {
    "next_token": NextTokens,
    "masked_tokens": MaskedTokens,
    "denoise": Denoise,
    "span_corruption": SpanCorruption,
    "sequence_to_sequence": SequenceToSequence,
    "classify": Classify,
    "tag": Tag,
    "classify_images": ClassifyImages,
}


def make_objective(
    recipe: Recipe, graph: Graph, tokenizer: Tokenizer | None = None, labels: Sequence[str] | None = None
) -> Objective:
    """The objective of `recipe` for `graph`.

    `.training(data, step, part)` and `.evaluation(data, batches)` give batches of data that went through `.prepare(…)`,
    `.inputs(examples)` what the model is given in use. `tokenizer` is None for images, `labels` (the names of the
    classes) for what has none. Raises E0737 (too few sentinels).
    """
    return OBJECTIVES[recipe.objective.kind](recipe, graph, tokenizer, labels)
