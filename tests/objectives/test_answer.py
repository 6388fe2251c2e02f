"""Questions about texts: where the answer's tokens are, windows over long texts, and which part of a text is said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from attndsl.data.table import Table
from attndsl.data.tokenizers import Bytes, Characters, Published
from attndsl.data.tokenizers.trained import train_pairs, train_wordpiece
from attndsl.diagnostics import AttnError
from attndsl.elaborate import elaborate, open_text
from attndsl.objectives import make_objective
from attndsl.objectives.metrics import answer_metrics
from attndsl.objectives.spans import Window, likeliest_answers, windows
from attndsl.recipe.recipe import Recipe, read_recipe
from attndsl.values import hyperparameters_of
from tests.objectives.conftest import SPECIAL, WORDS

SPEC = """
model Reader(vocab=400, context=60, width=8) {
  input tokens: int[B, T] where T <= context, tokens < vocab
  input valid: bool[B, T] optional = true
  input segment: int[B, T] optional = 0 where segment < 2
  x = embedding(tokens, vocab, width) + embedding(segment, 2, width)
  output first_scores = where(valid, linear(x, 1)[1=0], 0)
  output last_scores = where(valid, linear(x, 1)[1=0], 0)
  input first: int[B] optional where first >= -100, first < T
  input last: int[B] optional where last >= -100, last < T
  output loss = cross_entropy(first_scores, first, over=T) + cross_entropy(last_scores, last, over=T)
}
train Reader { batches = answer(tokens, first, last, valid=valid, segment=segment) }
"""
TEXTS = ["Größe ist  wichtig: 12 cm, nicht mehr. ", "the quick brown fox", "«naïve» 日本 text"]


def made(tokenizer: Any, special: Any = SPECIAL, **settings: Any) -> Any:
    graph = elaborate(open_text(SPEC), {})
    recipe: Recipe = read_recipe(open_text(SPEC).train, hyperparameters_of(graph))
    recipe = replace(recipe.override({"batch": 4, "length": 40, **settings}), special=special)
    return make_objective(recipe, graph, tokenizer)


def rows(*found: tuple[str, str, Any, Any]) -> Table:
    names = ("question", "context", "answer", "start")
    return Table({name: [row[at] for row in found] for at, name in enumerate(names)}, "rows")


# ---------------------------------------------------------------------------------------------- places


def tokenizers() -> list[Any]:
    texts = [*TEXTS, WORDS * 3]
    pieces = [
        Published(train_wordpiece(150, texts, SPECIAL), "wordpiece:150", special=SPECIAL),
        Published(train_pairs(340, texts, SPECIAL), "bpe:340", special=SPECIAL),
    ]
    return [Bytes(SPECIAL), Characters("".join(texts), SPECIAL), *pieces]


@pytest.mark.parametrize("place", range(4), ids=["bytes", "chars", "wordpiece", "bpe"])
def test_tokens_know_where_they_stand(place: int) -> None:
    tokenizer = tokenizers()[place]
    for text, (tokens, spans), plain in zip(
        TEXTS, tokenizer.encode_spans(TEXTS), tokenizer.encode_batch(TEXTS), strict=True
    ):
        np.testing.assert_array_equal(tokens, plain)
        assert spans.shape == (len(tokens), 2)
        assert (np.diff(spans[:, 0]) >= 0).all()
        assert ((spans[:, 1] > spans[:, 0]) & (spans[:, 1] <= len(text))).all()
        covered = {at for first, last in spans.tolist() for at in range(first, last)}
        assert all(text[at].isspace() for at in range(len(text)) if at not in covered)
    assert [spans.shape for _, spans in tokenizer.encode_spans([""])] == [(0, 2)]


@pytest.mark.parametrize("place", range(4), ids=["bytes", "chars", "wordpiece", "bpe"])
@pytest.mark.parametrize("answer", ["12 cm", "Größe", "nicht mehr.", "ist  wichtig", " 12 ", ":"])
def test_the_answers_tokens_are_those_of_its_characters(place: int, answer: str) -> None:
    objective = made(tokenizers()[place], length=60)
    data = objective.prepare(rows(("how?", TEXTS[0], answer, TEXTS[0].index(answer))))
    (window,), (start,), (end,) = data.windows, data.starts.tolist(), data.ends.tolist()
    first, last = window.spans[start - window.first], window.spans[end - window.first]
    assert TEXTS[0][first[0] : last[1]].strip() == answer.strip()


def test_a_window_is_question_and_text(tokenizer: Bytes) -> None:
    objective = made(tokenizer)
    (batch,) = objective.evaluation(objective.prepare(rows(("q?", "an answer", "answer", 3), ("w", "x", "", -1))), 1)
    begin, end, pad = (tokenizer.special[role] for role in ("begin", "end", "pad"))
    assert batch["tokens"].tolist()[0] == [begin, *b"q?", end, *b"an answer", end]
    assert batch["tokens"].tolist()[1] == [begin, *b"w", end, *b"x", end] + [pad] * 9
    assert batch["segment"].tolist()[0] == [0] * 4 + [1] * 10
    assert batch["segment"].tolist()[1] == [0] * 3 + [1] * 2 + [0] * 9
    assert batch["valid"].sum(1).tolist() == [14, 5]
    assert (batch["first"].tolist(), batch["last"].tolist()) == ([7, 0], [12, 0])  # none: the first token
    assert objective.counted(batch) == 2
    given = objective.inputs([("q?", "an answer"), ("w", "x")])
    for name, array in given.items():
        np.testing.assert_array_equal(array, batch[name])
    assert set(given) == {"tokens", "valid", "segment"}
    with pytest.raises(AttnError, match="text 2 has 61 tokens"):
        objective.inputs([("q", "a"), ("q", "a" * 57)])


def test_long_texts_are_read_in_windows_that_overlap(tokenizer: Bytes) -> None:
    said: list[str] = []
    objective = made(tokenizer, **{"batches.stride": 10})
    text = "".join(chr(97 + at % 26) for at in range(70))
    data = objective.prepare(rows(("1234567", text, text[33:37], 33)), said.append)
    assert said == ["1 texts are read in 5 windows of up to 40 tokens"]
    firsts = [window.spans[0, 0] for window in data.windows]
    assert firsts == [0, 10, 20, 30, 40]
    assert [len(window.row) for window in data.windows] == [40, 40, 40, 40, 40]
    inside = [first <= 33 and first + 30 >= 37 for first in firsts]
    found = [
        bytes(w.row[s : e + 1].tolist()).decode()
        for w, s, e in zip(data.windows, data.starts, data.ends, strict=True)
        if s
    ]
    assert (data.starts > 0).tolist() == inside
    assert found == [text[33:37]] * sum(inside)


@pytest.mark.parametrize(("count", "room", "stride"), [(0, 5, 2), (5, 5, 3), (6, 5, 3), (23, 7, 4), (23, 7, 99)])
def test_windows_cover_everything(count: int, room: int, stride: int) -> None:
    pieces = list(windows(count, room, stride))
    assert {at for first, last in pieces for at in range(first, last)} == set(range(count))
    assert all(last - first <= room for first, last in pieces)
    assert pieces[-1][1] == count
    assert all(last < count for _, last in pieces[:-1])


@pytest.mark.parametrize(
    ("answer", "start", "says"),
    [
        ("fox", 4, "does not have the answer `fox` at its character 4"),
        ("Fox", 16, "letter by letter"),
        ("fox", None, "at its character None"),
        ("fox", 99, "it stands at 16"),
    ],
)
def test_answers_that_stand_elsewhere(tokenizer: Bytes, answer: str, start: Any, says: str) -> None:
    with pytest.raises(AttnError) as problem:
        made(tokenizer).prepare(rows(("what?", TEXTS[1], answer, start)))
    (told,) = problem.value.diagnostics
    assert told.code == "E0760"
    assert says in f"{told.message} {' '.join(told.helps)}"


# ---------------------------------------------------------------------------------------------- answers


def test_the_likeliest_part_over_all_windows() -> None:
    """Against all parts one by one."""
    text, rng = "ab cd ab ef gh", np.random.default_rng(0)
    words = np.array([[0, 2], [3, 5], [6, 8], [9, 11], [12, 14]])
    found = []
    for first, last in ((0, 3), (2, 5)):
        window = Window(0, np.zeros(last - first + 4, np.int64), 3, words[first:last])
        found.append((window, rng.normal(size=9) * 3, rng.normal(size=9) * 3))
    every: dict[str, float] = {"": min(np.exp(start[0] + end[0]) for _, start, end in found)}
    for window, start, end in found:
        for a in range(3):
            for b in range(a, min(a + 2, 3)):
                part = text[window.spans[a, 0] : window.spans[b, 1]]
                every[part] = every.get(part, 0) + np.exp(start[3 + a] + end[3 + b])
    whole = sum(every.values())
    answers = likeliest_answers(text, found, 2, 99, nowhere=True)
    assert {it.name: it.probability for it in answers} == pytest.approx({n: e / whole for n, e in every.items()})
    assert [it.probability for it in answers] == sorted((it.probability for it in answers), reverse=True)
    assert answers[:2] == likeliest_answers(text, found, 2, 2, nowhere=True)
    assert "" not in {it.name for it in likeliest_answers(text, found, 2, 99, nowhere=False)}
    assert sum(it.probability for it in likeliest_answers(text, found, 2, 99, nowhere=False)) == pytest.approx(1)


def test_words_are_compared_without_case_punctuation_and_articles() -> None:
    truth, said = [["The cat."], ["one two", "three"], [""], ["a dog"]], ["cat", "three four", "", "bird"]
    exact, f1 = answer_metrics(truth, said, ["the cat sat", "one two three", "x", "dog"])
    assert (exact.value, f1.value) == (0.5, pytest.approx((1 + 2 / 3 + 1 + 0) / 4))
    assert (exact.baseline, f1.baseline) == (0.25, pytest.approx((2 / 3 + 0.8 + 0 + 1) / 4))


def test_what_a_model_says_is_a_part_of_the_text(tokenizer: Bytes) -> None:
    """A model that points at what is between the brackets, in whichever window they are."""

    def predict(batch: dict[str, Any], outputs: Any) -> dict[str, Any]:
        tokens = batch["tokens"]
        return {
            "first_scores": np.where(np.roll(tokens, 1, 1) == ord("["), 9.0, 0.0) * batch["segment"],
            "last_scores": np.where(np.roll(tokens, -1, 1) == ord("]"), 9.0, 0.0) * batch["segment"],
        }

    objective = made(tokenizer, **{"batches.stride": 20, "batches.longest": 8})
    long = "x" * 90 + "[here]" + "y" * 30
    found = objective.predictions(predict, [("where?", "it is [there] now"), {"question": "q", "context": long}], 2)
    assert [prediction.choices[0].name for (prediction,) in found] == ["there", "here"]
    data = objective.prepare(rows(("a", long, "here", 91), ("b", "so [be] it", ["be", "it"], [4, 8])))
    known: Any = type("Known", (), {"cross_entropy": None, "loss": 1.0})
    metrics = {metric.name: metric.value for metric in objective.metrics(predict, data, 1, known)}
    assert metrics == {"loss": 1.0, "exact match": 1.0, "F1": 1.0}
