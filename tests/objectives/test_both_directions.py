"""Words as characters, with the words on either side of them as answers, against the texts that they come from."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from attndsl.data.table import read_table
from attndsl.data.tokenizers import Bytes
from attndsl.diagnostics import AttnError
from attndsl.objectives import OBJECTIVES, Objective
from attndsl.objectives.base import IGNORED, Known

Make = Callable[..., Objective]
BOTH = "both_directions(characters, next_word, previous_word, valid=valid, words=12)"
CLASSES = "classify(characters, label, valid=valid)"


@pytest.fixture
def documents(text: Any, tokenizer: Bytes) -> list[list[str]]:
    """The words of each document, told apart by hand."""
    parts = np.split(text, np.flatnonzero(text == tokenizer.separator))
    plain = [tokenizer.decode([token for token in part.tolist() if token < 256]) for part in parts]
    return [re.sub(r"([.,?!])", r" \1 ", part).split() for part in plain]


@pytest.fixture
def both(make: Make, text: Any, tokenizer: Bytes) -> Callable[..., Objective]:
    def made(**settings: Any) -> Objective:
        choice = make(BOTH).choice
        return make(BOTH, labels=OBJECTIVES["both_directions"].labels_in(choice, text, tokenizer), settings=settings)

    return made


def read(characters: Any, tokenizer: Bytes) -> list[str]:
    """The words of a row of characters, up to its padding. Each begins and ends as a word does, and is filled up."""
    begin, end, pad = (tokenizer.special[role] for role in ("begin", "end", "pad"))
    found = []
    for word in characters.tolist():
        if word == [pad] * len(word):
            break
        length = word.index(end)
        assert word[0] == begin
        assert word[length + 1 :] == [pad] * (len(word) - length - 1)
        found.append(tokenizer.decode(word[1:length]))
    return found


def place_of(words: Sequence[str], documents: list[list[str]]) -> set[tuple[str | None, str | None]]:
    """What may stand before and behind these words, wherever they stand in a document as they are."""
    found = set()
    for document in documents:
        cut = [word[:6] for word in document]  # of eight characters two begin and end a word
        for at in range(len(document) - len(words) + 1):
            if cut[at : at + len(words)] == words:
                after = at + len(words)
                found.add((document[at - 1] if at else None, document[after] if after < len(document) else None))
    return found


def test_the_vocabulary_has_the_most_frequent_words_of_all_documents(both: Any, documents: list[list[str]]) -> None:
    labels = both().labels
    counts = {word: sum(document.count(word) for document in documents) for document in documents for word in document}
    assert labels[0] == "<unknown>"
    assert len(labels) == 12
    assert labels[1:] == tuple(sorted(counts, key=lambda word: (-counts[word], word))[:11])


@pytest.mark.parametrize("length", [7, 500])
def test_targets_are_the_words_on_either_side(
    both: Any, text: Any, tokenizer: Bytes, documents: list[list[str]], length: int
) -> None:
    objective = both(length=length)
    numbers = {word: number for number, word in enumerate(objective.labels)}
    data, ends, unknown = objective.prepare(text), 0, 0
    batches = [objective.training(data, step) for step in range(12)] + list(objective.evaluation(data, 40))
    for batch in batches:
        rows = zip(*(batch[name] for name in ("characters", "valid", "next_word", "previous_word")), strict=True)
        for characters, valid, following, preceding in rows:
            words = read(characters, tokenizer)
            assert valid.tolist() == [True] * len(words) + [False] * (len(valid) - len(words))
            assert (following[len(words) :] == IGNORED).all()
            assert (preceding[len(words) :] == IGNORED).all()
            around = place_of(words, documents)
            assert around, "a window is no piece of one document"
            said = preceding[: len(words)].tolist(), following[: len(words)].tolist()
            assert said in [
                (
                    [IGNORED if before is None else numbers.get(before, 0), *inside[:-1]],
                    [*inside[1:], IGNORED if behind is None else numbers.get(behind, 0)],
                )
                for before, behind in around
                for inside in _whole(words, documents, numbers)
            ]
            ends += IGNORED in said[0] or IGNORED in said[1]
            unknown += said[0].count(0) > 0
        assert objective.counted(batch) == (batch["next_word"] >= 0).sum() + (batch["previous_word"] >= 0).sum()
        assert objective.positions(batch) == batch["valid"].size
    assert ends
    assert unknown


def _whole(words: Sequence[str], documents: list[list[str]], numbers: dict[str, int]) -> list[list[int]]:
    """The numbers of words that may have been cut, as they stand in a document."""
    for document in documents:
        for at in range(len(document) - len(words) + 1):
            if [word[:6] for word in document[at : at + len(words)]] == list(words):
                return [[numbers.get(word, 0) for word in document[at : at + len(words)]]]
    return []


def test_batches_depend_on_seed_step_and_part_alone(both: Any, text: Any) -> None:
    one, other = both(), both(seed=1)
    data = one.prepare(text)
    for name, array in one.training(data, 3, 1).items():
        assert (array == both().training(both().prepare(text), 3, 1)[name]).all()
    shown = [
        objective.training(data, step, part)["next_word"].tolist()
        for objective, step, part in ((one, 3, 1), (one, 4, 1), (one, 3, 0), (other, 3, 1))
    ]
    assert all(a != b for number, a in enumerate(shown) for b in shown[:number])


def test_what_is_not_text_to_train_on_has_a_vocabulary_all_the_same(both: Any, tokenizer: Bytes) -> None:
    objective = both()
    held_out = objective.prepare(tokenizer.encode("the unheard-of zebra"))
    (batch,) = objective.evaluation(held_out, 1)
    the = objective.labels.index("the")
    assert batch["previous_word"].tolist() == [[IGNORED, the, 0, 0, 0]]
    assert list(objective.evaluation(objective.prepare(tokenizer.encode("")), 4)) == []


def test_long_words_are_cut_and_counted_in_training_and_refused_in_use(both: Any, text: Any, tokenizer: Bytes) -> None:
    said: list[str] = []
    objective = both()
    objective.prepare(text, said.append)
    (told,) = said
    assert re.match(r"(\d+) of \d+ different words are longer than 6 characters", told)
    given = objective.inputs(["the 123456", "a"])
    assert [read(row, tokenizer) for row in given["characters"]] == [["the", "123456"], ["a"]]
    assert given["valid"].tolist() == [[True, True], [True, False]]
    assert set(given) == {"characters", "valid"}
    with pytest.raises(AttnError, match="the word `1234567` has 7 characters, and Spelled reads 6") as raised:
        objective.inputs(["the", "a 1234567"])
    (diagnostic,) = raised.value.diagnostics
    assert (diagnostic.code, len(diagnostic.helps)) == ("E0767", 2)
    with pytest.raises(AttnError, match="several bytes"):
        objective.inputs(["äöüß"])


def test_too_little_text(both: Any, make: Make, tokenizer: Bytes) -> None:
    with pytest.raises(AttnError, match="E0704"):
        OBJECTIVES["both_directions"].labels_in(make(BOTH).choice, tokenizer.encode("word"), tokenizer)


def test_cross_entropies_are_those_of_each_direction(both: Any, text: Any) -> None:
    """Beside the entropy of the words, which is what the frequencies of words themselves would reach."""
    objective = both(length=500)
    data = objective.prepare(text)
    count, (classes,) = len(objective.labels), {60}
    shares = np.bincount(data.following[data.following >= 0], minlength=count) / (data.following >= 0).sum()
    frequent = np.log(np.maximum(np.pad(shares, (0, classes - count)), 1e-12))

    def predict(batch: Any, outputs: Sequence[str]) -> dict[str, Any]:
        assert set(batch) == {"characters", "valid"}
        plain = np.zeros((*batch["valid"].shape, classes))
        return {"next": plain + frequent, "previous": plain}

    metrics = {m.name: m for m in objective.metrics(predict, data, 40, Known(loss=1.0))}
    ahead, entropy = metrics["next word"].value, metrics["loss per word"].baseline
    asked = np.concatenate([batch["next_word"][batch["next_word"] >= 0] for batch in objective.evaluation(data, 40)])
    assert ahead == pytest.approx(-frequent[asked].mean())
    assert entropy == pytest.approx(-float((shares * np.log(np.where(shares > 0, shares, 1))).sum()))
    assert metrics["previous word"].value == pytest.approx(math.log(classes))
    mean = (ahead + math.log(classes)) / 2
    assert metrics["loss per word"].value == pytest.approx(mean)
    assert metrics["perplexity"].value == pytest.approx(math.exp(mean))
    assert metrics["minimised loss"].value == 1.0


def test_a_classifier_reads_words_too(make: Make, tokenizer: Bytes) -> None:
    """Without tokens that begin and end a text: they begin and end words."""
    rows = read_table({"text": ["a fox jumps", "over", "so many words, and more"], "label": ["x", "y", "x"]})
    said: list[str] = []
    objective = make("classify(characters, label, valid=valid, last=last)", labels=("x", "y"), settings={"length": 4})
    (batch,) = objective.evaluation(objective.prepare(rows, said.append), 1)
    assert [read(row, tokenizer) for row in batch["characters"]] == [
        ["a", "fox", "jumps"], ["over"], ["so", "many", "words", ","],
    ]  # fmt: skip
    assert batch["valid"].sum(1).tolist() == [3, 1, 4]
    assert batch["last"].tolist() == [2, 0, 3]
    assert batch["label"].tolist() == [0, 1, 0]
    assert said == ["1 of 3 texts are longer than 4 words: their ends are cut off"]
    given = objective.inputs(["over a fox"])
    assert read(given["characters"][0], tokenizer) == ["over", "a", "fox"]
    pair = make(CLASSES, labels=("x", "y")).inputs([("a fox", "over")])
    assert read(pair["characters"][0], tokenizer) == ["a", "fox", "over"]
    with pytest.raises(AttnError, match="E0767"):
        objective.inputs(["a mistaken word"])
