"""Captions and codes in batches, and pictures drawn code by code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from attndsl.data.table import Table
from attndsl.decoding.sampling import Sampling
from attndsl.diagnostics import AttnError
from attndsl.objectives import Objective
from attndsl.objectives.base import Known

Make = Callable[..., Objective]
IMAGES = (np.arange(4)[:, None, None, None] / 3 * np.ones((4, 1, 6, 6))).astype(np.float32)
ROWS = {"image": IMAGES, "caption": ["one", "a two", "", "the third of them"]}


@pytest.fixture
def objective(make: Make) -> Objective:
    return make("text_to_image(caption, grid, valid=valid)", settings={"batch": 4})


def test_a_batch_is_captions_and_codes(objective: Objective) -> None:
    batch = next(objective.evaluation(objective.prepare(Table(dict(ROWS), "rows")), 1))
    assert batch.keys() == {"caption", "valid", "grid"}
    assert batch["grid"].tolist() == [[0] * 9, [1] * 9, [3] * 9, [4] * 9]
    lengths = batch["valid"].sum(1) - objective.frame
    assert lengths.tolist() == [len(text) for text in ROWS["caption"]]
    shown = [row[valid][1:-1].tolist() for row, valid in zip(batch["caption"], batch["valid"], strict=True)]
    assert [objective.tokenizer.decode(row) for row in shown] == list(ROWS["caption"])
    assert objective.counted(batch) == 36


def test_each_code_is_chosen_from_those_before_it(objective: Objective) -> None:
    """A model that always says the code after the last one, and the length of the caption first."""
    asked: list[np.ndarray] = []

    def predict(given: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
        asked.append(given["grid"].copy())
        before = np.concatenate([given["valid"].sum(1)[:, None] - objective.frame - 1, given["grid"][:, :-1]], 1)
        return {outputs[0]: 9.0 * np.eye(5)[(before + 1) % 5]}

    found = objective.draw(predict, ["abc", "a"], Sampling(temperature=0))
    assert found.shape == (2, 1, 6, 6)
    assert (4 * found[:, 0, ::2, ::2]).reshape(2, 9).tolist() == [
        [3, 4, 0, 1, 2, 3, 4, 0, 1], [1, 2, 3, 4, 0, 1, 2, 3, 4]
    ]  # fmt: skip
    assert len(asked) == 9
    assert not asked[0].any()


def test_the_loss_of_a_code_stands_beside_their_entropy(objective: Objective) -> None:
    """A model that takes three of the five codes to be equally likely, of which the right one is always one."""
    data = objective.prepare(Table(dict(ROWS), "rows"))

    def predict(given: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
        likely = (np.arange(5) - given["grid"][..., None]) % 5 < 3
        return {outputs[0]: np.where(likely, 2.0, -80.0)}

    _, found = objective.metrics(predict, data, 1, Known(loss=1.0))
    assert (found.name, found.value, found.baseline) == (
        "loss per code",
        pytest.approx(np.log(3)),
        pytest.approx(np.log(4)),
    )
    assert len(objective.metrics(predict, objective.prepare(Table(ROWS, "rows").take(np.arange(0))), 1, Known())) == 1


def test_draws_depend_on_the_seed_and_the_number_of_the_caption(objective: Objective) -> None:
    def predict(given: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
        return {outputs[0]: np.zeros((*given["grid"].shape, 5))}

    one, same, other = (objective.draw(predict, ["abc", "a"], Sampling(seed=seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert not np.array_equal(one[0], one[1])
    assert np.array_equal(objective.draw(predict, ["a"], Sampling(seed=1), first=1)[0], one[1])


def test_a_grid_that_does_not_fit(objective: Objective) -> None:
    with pytest.raises(AttnError, match="makes 4 × 4 codes of a picture of 8 × 8, and Drawn takes 9") as caught:
        objective.prepare(Table({"image": np.zeros((2, 8, 8)), "caption": ["a", "b"]}, "rows"))
    assert [(told.code, bool(told.helps)) for told in caught.value.diagnostics] == [("E0766", True)]


def test_more_codes_than_the_model_takes(objective: Objective) -> None:
    objective.codebook.codes = 6  # type: ignore[attr-defined]
    with pytest.raises(AttnError, match="has 6 codes, and Drawn takes 5"):
        objective.prepare(Table(dict(ROWS), "rows"))
