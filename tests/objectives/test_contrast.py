"""Pairs of pictures and texts: which text stands beside a picture, how it ends, and what does not fit."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from attndsl.data.table import Table
from attndsl.diagnostics import AttnError
from attndsl.elaborate import elaborate, open_text
from attndsl.objectives import OBJECTIVES, Objective, make_objective
from attndsl.recipe.fitting import check_recipe
from attndsl.recipe.recipe import Recipe, read_recipe
from attndsl.values import hyperparameters_of
from tests.objectives.conftest import SPECIAL

SPEC = """
model Towers(size=4, channels=1, vocab=400, context=20, width=8) {
  input image: [B, channels, size, across=size]
  input tokens: int[N, T] where T <= context, tokens < vocab
  input valid: bool[N, T] optional = true
  input last: int[N] optional = 0 where last < T
  a = rearrange(image, [channels, size, across] -> [channels * size * across]) |> linear(width)
  b = take(embedding(tokens, vocab, width) * valid, last, over=T)
  output scores = dot(a, b, over=width)
  input match: int[B] optional where match < N
  output loss = contrastive_loss(scores, match)
}
train Towers { batches = contrast(image, tokens, match, valid=valid, last=last) }
"""


def made(tokenizer: Any, labels: Any = None, **settings: Any) -> Objective:
    spec = open_text(SPEC)
    graph = elaborate(spec, {})
    recipe: Recipe = read_recipe(spec.train, hyperparameters_of(graph)).override({"batch": 4, "length": 12, **settings})
    return make_objective(replace(recipe, special=SPECIAL), graph, tokenizer, labels)


def rows(count: int = 8) -> Table:
    images = np.arange(count * 16, dtype=np.uint8).reshape(count, 4, 4)
    captions = [f"n{row}" if row % 2 else [f"n{row}", f"m{row} longer"] for row in range(count)]
    return Table({"image": images, "caption": captions, "label": [row % 2 for row in range(count)]}, "rows")


def test_each_picture_stands_beside_a_text_of_its_own(tokenizer: Any) -> None:
    objective = made(tokenizer)
    data, table = objective.prepare(rows()), rows()
    begin, end, pad = (tokenizer.special[role] for role in ("begin", "end", "pad"))
    seen: Counter[str] = Counter()
    for step in range(40):
        batch = objective.training(data, step)
        assert batch["match"].tolist() == [0, 1, 2, 3]
        for image, tokens, valid, last in zip(*(batch[n] for n in ("image", "tokens", "valid", "last")), strict=True):
            kept = tokens[: last + 1].tolist()
            assert (kept[0], kept[-1], set(tokens[last + 1 :]) <= {pad}) == (begin, end, True)
            assert valid.tolist() == [place <= last for place in range(len(tokens))]
            row = round((image[0, 0, 0] / 2 + 0.5) * 255) // 16
            text = bytes(kept[1:-1]).decode()
            own = table.columns["caption"][row]
            assert text in ([own] if isinstance(own, str) else own)
            seen[text] += 1
    assert set(seen) == {text for texts in table.captions("caption") for text in texts}
    assert 20 <= seen["n1"] <= 20
    assert 4 < seen["m0 longer"] < 16
    np.testing.assert_array_equal(objective.training(data, 3)["tokens"], objective.training(data, 3)["tokens"])


def test_evaluation_takes_the_first_text(tokenizer: Any) -> None:
    objective = made(tokenizer)
    batches = list(objective.evaluation(objective.prepare(rows(6)), 9))
    assert [len(batch["match"]) for batch in batches] == [4, 2]
    assert [bytes(row[1:3].tolist()) for batch in batches for row in batch["tokens"]] == [
        f"n{row}".encode() for row in range(6)
    ]


def test_long_captions_are_cut_in_training_and_refused_in_use(tokenizer: Any) -> None:
    said: list[str] = []
    objective = made(tokenizer)
    data = objective.prepare(
        Table({"image": rows(2).columns["image"], "caption": ["a" * 50, "b"]}, "rows"), said.append
    )
    assert said == ["1 of 2 captions are longer than 12 tokens: their ends are cut off"]
    (batch,) = objective.evaluation(data, 1)
    assert batch["tokens"][0, batch["last"][0]] == tokenizer.special["end"]
    with pytest.raises(AttnError, match="text 2 has 21 tokens, and Towers takes 20"):
        objective.inputs(["a", "a" * 19])
    assert set(objective.inputs(["a"])) == {"tokens", "valid", "last"}
    assert set(objective.inputs([np.zeros((4, 4))])) == {"image"}


def test_a_class_that_cannot_be_named_is_told_before_training(tokenizer: Any) -> None:
    settings = {"batches.label": "label", "batches.template": "a picture of the digit {}"}
    with pytest.raises(AttnError, match="text 1 has 26 tokens, and Towers takes 20"):
        made(tokenizer, labels=("0", "1"), **settings).prepare(rows())
    with pytest.raises(AttnError, match="E0759"):
        made(tokenizer, labels=("0",), **{"batches.label": "label"}).prepare(rows(1))


def test_channels_have_means_of_their_own(tokenizer: Any) -> None:
    objective = made(tokenizer, **{"batches.mean": [0.1, 0.2, 0.3]})
    with pytest.raises(AttnError, match="`mean` has 3 numbers, and the pictures in rows have 1 channel"):
        objective.prepare(rows())
    choice = objective.choice.with_option("mean", [0.1]).with_option("std", (0.5,))
    batch = make_objective(replace(objective.recipe, objective=choice), objective.graph, tokenizer)  # type: ignore[type-var]
    (image,) = batch.inputs([np.ones((4, 4))])["image"]
    np.testing.assert_allclose(image, 1.8, rtol=1e-6)


@pytest.mark.parametrize(
    ("columns", "code", "says"),
    [
        ({"caption": ["a", 3]}, "E0716", "row 1 of rows: `caption` is `3` and not a text, or several"),
        ({"caption": ["a", []]}, "E0716", "not a text, or several"),
        ({"text": ["a", "b"]}, "E0711", "no column `caption`"),
        ({"caption": ["a", "b"], "image": np.zeros((2, 5, 5), np.uint8)}, "E0756", "5 × 5"),
    ],
)
def test_rows_that_do_not_fit(tokenizer: Any, columns: dict[str, Any], code: str, says: str) -> None:
    table = Table({"image": rows(2).columns["image"], **columns}, "rows")
    with pytest.raises(AttnError) as problem:
        made(tokenizer).prepare(table)
    (told,) = problem.value.diagnostics
    assert (told.code, says in told.message) == (code, True), told.message


def test_several_batches_are_refused(tokenizer: Any) -> None:
    """They would not be one: each has fewer texts to tell apart."""
    objective = made(tokenizer, accumulate=4)
    with pytest.raises(AttnError) as problem:
        check_recipe(objective.recipe, objective.graph)  # type: ignore[arg-type]
    (told,) = problem.value.diagnostics
    assert (told.code, told.helps[0]) == ("E0721", "leave it out, or give a larger batch: `--set batch=16`")


def test_what_it_reaches_is_measured(tokenizer: Any) -> None:
    """With scores that know the right answer all is found; with classes, the zero-shot accuracy beside it."""

    def predict(batch: dict[str, Any], outputs: Any) -> dict[str, Any]:
        digits = np.round((batch["image"][:, 0, 0, 0] / 2 + 0.5) * 255).astype(int) // 16
        texts = [bytes(t for t in row.tolist() if t < 256).decode() for row in batch["tokens"]]
        right = [[text[-1] == str(d % 2 if len(text) > 2 else d) for text in texts] for d in digits.tolist()]
        return {"scores": np.array(right, dtype=float)}

    objective: Any = made(tokenizer, labels=("0", "1"), **{"batches.label": "label", "batches.template": "a {}"})
    data = objective.prepare(rows())
    found = {metric.name: metric for metric in objective.metrics(predict, data, 1, _Known())}
    assert (found["own text"].value, found["own text"].baseline) == (1.0, 0.25)
    assert found["zero-shot accuracy"].value == 1.0
    assert objective.columns(objective.choice) == ("image", "caption", "label")
    assert OBJECTIVES["contrast"].labels_of(objective.choice, rows()) == ("0", "1")


class _Known:
    cross_entropy, loss = None, 1.0
