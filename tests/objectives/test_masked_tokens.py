"""Hidden tokens, against what Devlin et al. (2019, section 3.1 and appendix A.1) say of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from attndsl.data.tokenizers import Bytes
from attndsl.objectives import Objective

Make = Callable[..., Objective]
PLAIN = "masked_tokens(tokens, targets, valid=valid, segment=segment)"
PAIRED = "masked_tokens(tokens, targets, valid=valid, segment=segment, next=next_label)"


def restored(batch: dict[str, Any]) -> Any:
    """The text before anything was hidden."""
    return np.where(batch["targets"] >= 0, batch["targets"], batch["tokens"])


def within(successes: int, trials: int, share: float) -> bool:
    """Whether a count is one that a share gives: five standard deviations, that is once in two million."""
    return abs(successes - trials * share) <= 5 * math.sqrt(trials * share * (1 - share)) + 1


def batches(objective: Objective, text: Any, steps: int) -> list[dict[str, Any]]:
    data = objective.prepare(text)
    return [objective.training(data, step) for step in range(steps)]


def test_fifteen_percent_are_chosen_and_never_special_tokens(make: Make, text: Any, tokenizer: Bytes) -> None:
    for batch in batches(make(PLAIN), text, 20):
        original, chosen = restored(batch), batch["targets"] >= 0
        lengths = batch["valid"].sum(axis=1)
        assert chosen.sum(axis=1).tolist() == [max(1, round(0.15 * int(n))) for n in lengths]
        assert (original[chosen] < 256).all(), "a special token is to be found again"
        assert not (chosen & ~batch["valid"]).any()
        for row, n in zip(original, lengths, strict=True):
            assert row[0] == tokenizer.special["begin"]
            assert row[n - 1] == tokenizer.special["end"]
            assert (row[n:] == tokenizer.special["pad"]).all()
            assert (row[1 : n - 1] < 256).all(), "a window goes beyond its document"
            assert tokenizer.decode(row[1 : n - 1].tolist()) in tokenizer.decode(text.tolist())


def test_eighty_ten_ten(make: Make, text: Any, tokenizer: Bytes) -> None:
    masked = kept = other = 0
    for batch in batches(make(PLAIN), text, 120):
        chosen = batch["targets"] >= 0
        shown, said = batch["tokens"][chosen], batch["targets"][chosen]
        masked += int((shown == tokenizer.special["mask"]).sum())
        kept += int((shown == said).sum())
        other += int(((shown != said) & (shown < 256)).sum())
    total = masked + kept + other
    assert total > 5000
    assert within(masked, total, 0.8)
    # A random token is the right one once in 256 times.
    assert within(kept, total, 0.1 + 0.1 / 256)
    assert within(other, total, 0.1 * 255 / 256)


def test_every_place_is_as_likely(make: Make, text: Any) -> None:
    found = sum((b["targets"] >= 0).sum(axis=0) for b in batches(make(PLAIN), text, 150))[1:47]
    trials = 150 * 8
    assert all(within(int(count), trials, 7 / 46) for count in found), found


def test_shares_are_options(make: Make, text: Any, tokenizer: Bytes) -> None:
    everything = make(PLAIN, settings={"batches.share": 1, "batches.mask": 0, "batches.random": 0})
    (batch,) = batches(everything, text, 1)
    inside = batch["tokens"] < 256
    assert (batch["targets"][inside] == batch["tokens"][inside]).all()
    nothing_else = make(PLAIN, settings={"batches.mask": 1, "batches.random": 0})
    (batch,) = batches(nothing_else, text, 1)
    assert (batch["tokens"][batch["targets"] >= 0] == tokenizer.special["mask"]).all()


def test_whole_words(make: Make, text: Any, tokenizer: Bytes) -> None:
    objective = make(PLAIN, settings={"batches.whole_words": "true", "batches.share": 0.3})
    chosen_words = 0
    for batch in batches(objective, text, 30):
        original, chosen = restored(batch), batch["targets"] >= 0
        for row, marks, valid in zip(original, chosen, batch["valid"], strict=True):
            count = int(valid.sum())
            assert 0 < marks.sum() <= max(1, round(0.3 * count))
            letters = [chr(token) if token < 256 else "\0" for token in row[:count].tolist()]
            for place in range(2, count - 1):
                if letters[place].isalnum() and letters[place - 1] != "\0":
                    # Letters and digits go on what stands before them: all of it is chosen, or nothing.
                    assert marks[place] == marks[place - 1], "".join(letters)
            chosen_words += int(marks.sum())
    assert chosen_words > 500


def test_the_next_piece_follows_or_comes_from_elsewhere(make: Make, text: Any, tokenizer: Bytes) -> None:
    begin, end = tokenizer.special["begin"], tokenizer.special["end"]
    documents = [tokenizer.decode(part.tolist()) for part in np.split(text, np.flatnonzero(text == end)) if len(part)]
    apart = trials = 0
    for batch in batches(make(PAIRED), text, 60):
        original = restored(batch)
        for row, segment, valid, label in zip(
            original, batch["segment"], batch["valid"], batch["next_label"], strict=True
        ):
            n = int(valid.sum())
            ends = np.flatnonzero(row[:n] == end)
            assert row[0] == begin
            assert len(ends) == 2
            assert ends[1] == n - 1
            assert segment[: ends[0] + 1].tolist() == [0] * (ends[0] + 1)
            assert segment[ends[0] + 1 : n].tolist() == [1] * (n - ends[0] - 1)
            assert n <= 48
            one = tokenizer.decode(row[1 : ends[0]].tolist())
            other = tokenizer.decode(row[ends[0] + 1 : ends[1]].tolist())
            assert one
            assert any(one in document for document in documents)
            assert any(other in document for document in documents)
            if label == 0:
                assert any(one + other in document for document in documents)
            apart += int(label)
            trials += 1
    assert within(apart, trials, 0.5)


def test_pieces_that_do_not_follow_are_of_another_document(make: Make, tokenizer: Bytes) -> None:
    parts = [" ".join([f"{letter}{letter} {letter}."] * 40) for letter in "abcdef"]
    end = tokenizer.separator
    tokens = np.array([t for part in parts for t in (*tokenizer.encode(part).tolist(), end)], dtype=np.uint16)
    for batch in batches(make(PAIRED), tokens, 20):
        original = restored(batch)
        for row, segment, valid, label in zip(
            original, batch["segment"], batch["valid"], batch["next_label"], strict=True
        ):
            letters = [
                {chr(t) for t in row[valid & (segment == part)].tolist() if t < 256 and chr(t).isalpha()}
                for part in (0, 1)
            ]
            assert [len(each) for each in letters] == [1, 1]
            assert (letters[0] == letters[1]) == (label == 0)


def test_the_same_step_is_the_same_batch(make: Make, text: Any) -> None:
    one, two = make(PAIRED), make(PAIRED)
    data = one.prepare(text)
    late = {step: two.training(two.prepare(text), step, 1) for step in (7, 3)}
    for step in range(9):
        batch = one.training(data, step, 1)
        if step in late:
            assert all((batch[name] == late[step][name]).all() for name in batch)
    assert (one.training(data, 3, 0)["tokens"].shape != late[3]["tokens"].shape) or (
        one.training(data, 3, 0)["tokens"] != late[3]["tokens"]
    ).any()
    other = make(PAIRED, settings={"seed": 1}).training(data, 3, 1)
    assert other["tokens"].shape != late[3]["tokens"].shape or (other["tokens"] != late[3]["tokens"]).any()


def test_evaluation_is_always_the_same(make: Make, text: Any) -> None:
    objective = make(PAIRED)
    data = objective.prepare(text)
    first, second = list(objective.evaluation(data, 3)), list(make(PAIRED, settings={"seed": 5}).evaluation(data, 3))
    assert len(first) == 3
    for one, two in zip(first, second, strict=True):
        assert all((one[name] == two[name]).all() for name in one)
    assert list(objective.evaluation(objective.prepare(text[:0]), 3)) == []


@pytest.mark.parametrize("size", [0, 1, 2, 5])
def test_very_short_texts(make: Make, tokenizer: Bytes, size: int) -> None:
    tokens = tokenizer.encode("ab cd"[:size]).astype(np.uint16)
    for form in (PLAIN, PAIRED):
        objective = make(form)
        for batch in objective.evaluation(objective.prepare(tokens), 2):
            assert batch["tokens"].shape == batch["targets"].shape


def test_inputs_for_use_mask_nothing(make: Make, tokenizer: Bytes) -> None:
    given = make(PAIRED).inputs(["a <mask> c", ("one", "two")])
    assert set(given) == {"tokens", "valid", "segment"}
    assert (given["tokens"] == tokenizer.special["mask"]).sum() == 1
    assert given["segment"][1].sum() == 4  # `two` and what ends it
