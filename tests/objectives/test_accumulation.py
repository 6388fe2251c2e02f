"""A step over several batches is that of one batch of all their rows, for every objective and on both backends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from attndsl.data.table import Table
from attndsl.objectives import OBJECTIVES, Objective
from attndsl.running import backends

TEXTS = [("word " * (1 + 5 * (i % 4))).strip() for i in range(16)]
ROWS = {
    "text": TEXTS,
    "label": [i % 2 for i in range(16)],
    "source": TEXTS,
    "target": [text[: 1 + 3 * (i % 7)] for i, text in enumerate(TEXTS)],
    "tokens": [text.split() for text in TEXTS],
    "question": [f"which {i}?" for i in range(16)],
    "context": TEXTS,
    "answer": ["word"] * 16,
    "start": [0] * 16,
    "tags": [["N"] * len(text.split()) for text in TEXTS],
    "image": np.arange(16 * 36, dtype=np.uint8).reshape(16, 6, 6),
}
CASES: dict[str, tuple[str, str, tuple[str, ...] | None]] = {
    "next_token": ("next_token(tokens, targets)", "lm", None),
    "masked_tokens": ("masked_tokens(tokens, targets, valid=valid, segment=segment, next=next_label)", "both", None),
    "denoise": ("denoise(source, target, targets, valid=valid)", "loss", None),
    "span_corruption": ("span_corruption(source, target, targets, valid=valid)", "loss", None),
    "both_directions": (
        "both_directions(characters, next_word, previous_word, valid=valid)",
        "words",
        ("?", "the", "a"),
    ),
    "sequence_to_sequence": ("sequence_to_sequence(source, target, targets, valid=valid)", "loss", None),
    "classify": ("classify(tokens, label, valid=valid)", "loss", ("0", "1")),
    "tag": ("tag(tokens, tags, valid=valid)", "tag_loss", ("N", "O")),
    "answer": ("answer(tokens, first_label, last_label, valid=valid)", "answer_loss", None),
    "classify_images": ("classify_images(image, label)", "loss", ("0", "1")),
    "reconstruct": ("reconstruct(image)", "loss", None),
    "text_to_image": ('text_to_image(caption, grid, valid=valid, caption="text")', "loss", None),
}
FILLERS = {"targets": -100, "next_word": -100, "previous_word": -100, "valid": False}


def test_every_objective_is_tried() -> None:
    """But those that compare all examples of a batch: they refuse it, see `test_contrast`."""
    assert set(CASES) == {name for name, about in OBJECTIVES.items() if not about.joint}


def one_width(objective: Objective, batches: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The batches as wide as the widest, so that they can stand in one."""
    roles = {name: role for role, name in objective.choice.roles.items()}
    found: list[dict[str, Any]] = []
    for batch in batches:
        padded = {}
        for name, array in batch.items():
            more = [(0, 0)] * array.ndim
            if array.ndim in (2, 3):
                more[1] = (0, max(other[name].shape[1] for other in batches) - array.shape[1])
            padded[name] = np.pad(array, more, constant_values=FILLERS.get(roles[name], objective_filler(objective)))
        found.append(padded)
    return found


def objective_filler(objective: Objective) -> int:
    return objective.padding if objective.reads_texts() else 0


@pytest.mark.parametrize("backend", ["numpy", pytest.param("torch", marks=pytest.mark.torch)])
@pytest.mark.parametrize("kind", CASES)
def test_the_update_is_that_of_one_batch(make: Callable[..., Objective], text: Any, kind: str, backend: str) -> None:
    batches, minimize, labels = CASES[kind]
    settings = {"batch": 2, "accumulate": 3, "minimize": minimize, "precision": "float64", "optimizer": "sgd"}
    objective = make(batches, labels=labels, settings=settings)
    data = objective.prepare(text if OBJECTIVES[kind].data.name == "TEXT" else Table(dict(ROWS), "rows"))
    parts = one_width(objective, [objective.training(data, 0, part) for part in range(3)])
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    recipe: Any = objective.recipe
    apart = backends.find(backend).trainer(objective.graph, recipe)
    together = backends.find(backend).trainer(objective.graph, replace(recipe, accumulate=1))
    found, expected = apart.step(parts, 0), together.step([whole], 0)
    np.testing.assert_allclose([found.loss, found.grad_norm], [expected.loss, expected.grad_norm], rtol=1e-9)
    for address, array in apart.parameters().items():
        np.testing.assert_allclose(array, together.parameters()[address], rtol=1e-9, atol=1e-12, err_msg=address)
