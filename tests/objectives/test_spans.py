"""Span corruption (Raffel et al., 2020, section 3.1.4) and the five noises (Lewis et al., 2020, section 2.2)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from attndsl.data.special import SpecialTokens
from attndsl.data.tokenizers import Bytes
from attndsl.diagnostics import AttnError
from attndsl.objectives import Objective
from attndsl.objectives.denoise import Denoise, infilled
from attndsl.objectives.draws import Draws, poisson
from attndsl.objectives.span_corruption import SpanCorruption

Make = Callable[..., Objective]
SPANS = "span_corruption(source, target, targets, valid=valid)"
NOISE = "denoise(source, target, targets, valid=valid)"
QUIET = {f"batches.{name}": 0 for name in ("mask", "delete", "infill", "permute", "rotate")}


def rows(batch: dict[str, Any]) -> list[tuple[list[int], list[int], list[int]]]:
    """Source, target and targets of each row, without padding."""
    found = []
    for source, valid, target, targets in zip(
        batch["source"], batch["valid"], batch["target"], batch["targets"], strict=True
    ):
        n, m = int(valid.sum()), int((targets >= 0).sum())
        assert not valid[n:].any()
        assert (targets[m:] == -100).all()
        found.append((source[:n].tolist(), target[:m].tolist(), targets[:m].tolist()))
    return found


def test_spans_and_sentinels_give_the_text_back(make: Make, text: Any, tokenizer: Bytes) -> None:
    objective = make(SPANS)
    assert isinstance(objective, SpanCorruption)
    data = objective.prepare(text)
    whole, end = tokenizer.decode(text.tolist()), tokenizer.special["end"]
    first, start = tokenizer.special["begin"], tokenizer.special["start"]
    sentinels = {token: number for number, token in enumerate(tokenizer.sentinels)}
    for step in range(30):
        for source, target, targets in rows(objective.training(data, step)):
            assert target == [start, *targets[:-1]]
            assert source[0] == targets[0] == first
            assert source[-1] == targets[-1] == end
            source, targets = source[1:-1], targets[1:-1]
            spans: dict[int, list[int]] = {}
            order = [sentinels[token] for token in targets if token in sentinels]
            assert order == list(range(len(order))), "sentinels are not in their order, or the last one is missing"
            for token in targets:
                if token in sentinels:
                    spans[current := sentinels[token]] = []
                else:
                    spans[current].append(token)
            assert spans.pop(len(order) - 1) == [], "nothing stands behind the last sentinel"
            assert all(spans.values())
            assert [sentinels[token] for token in source if token in sentinels] == list(spans)
            assert source[0] not in sentinels
            restored = [t for token in source for t in (spans[sentinels[token]] if token in sentinels else [token])]
            assert tokenizer.decode(restored) in whole
            gone = sum(map(len, spans.values()))
            assert gone == max(1, round(0.15 * len(restored)))
            assert len(spans) == max(1, round(gone / 3))
            assert max(len(source), len(targets)) + 2 <= 48


def test_divisions_are_even(make: Make) -> None:
    """Every division of 7 into 3 is as likely as any other: 15 of them."""
    from attndsl.objectives.span_corruption import _divided

    found = Counter(tuple(_divided(7, 3, Draws(step)).tolist()) for step in range(3000))
    assert len(found) == math.comb(6, 2)
    assert all(sum(parts) == 7 and min(parts) >= 1 for parts in found)
    assert max(abs(count - 200) for count in found.values()) < 5 * math.sqrt(200)


def test_the_window_fills_the_length(make: Make, text: Any) -> None:
    objective = make(SPANS, settings={"length": 64})
    batch = objective.training(objective.prepare(text), 0)
    assert 60 <= batch["source"].shape[1] <= 64


def test_too_few_sentinels(make: Make) -> None:
    with pytest.raises(AttnError) as problem:
        make(SPANS, settings={"length": 64}, special=SpecialTokens(pad="<pad>", end="</s>", sentinels=3))
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.code == "E0737"
    assert "sentinels=4" in diagnostic.helps[0]


@pytest.mark.parametrize("mean", [1.0, 3.0, 10.0])
def test_lengths_are_poisson(mean: float) -> None:
    drawn = poisson(Draws(1).uniform(20000), mean)
    assert abs(drawn.mean() - mean) < 5 * math.sqrt(mean / 20000)
    assert abs(drawn.var() - mean) < 0.1 * mean
    share = math.exp(-mean)
    assert abs((drawn == 0).mean() - share) <= 5 * math.sqrt(share / 20000)


def test_infilling_can_be_undone(tokenizer: Bytes) -> None:
    """What is left stands in its order, no two masks touch, and just the wanted number of tokens is gone."""
    row = np.arange(100, 160)
    lengths: Counter[int] = Counter()
    for step in range(400):
        found = infilled(row, 7, 18, 3.0, Draws(step), 60)
        kept = found[found != 7]
        assert len(kept) == 42
        assert (np.diff(kept) > 0).all()
        assert not ((found[1:] == 7) & (found[:-1] == 7)).any()
        # Between two neighbours in the text lies what the mask there stands for.
        around = np.concatenate([[99], np.where(found == 7, -1, found), [160]])
        places = np.flatnonzero(around == -1)
        gaps = around[places + 1] - around[places - 1] - 1
        assert gaps.sum() == 18, "a token is gone without a mask"
        lengths.update(gaps.tolist())
    # The last span of a text is cut to fit, so the distribution is Poisson's but for that.
    total = sum(lengths.values())
    mean = sum(length * count for length, count in lengths.items()) / total
    assert 2.4 < mean < 3.0
    assert 0.03 < lengths[0] / total < 0.09


def test_the_span_that_was_cut_to_fit_may_be_any() -> None:
    lengths: list[list[int]] = [[], []]
    for step in range(1500):
        found = infilled(np.arange(100, 160), 7, 18, 3.0, Draws(step), 60)
        around = np.concatenate([[99], np.where(found == 7, -1, found), [160]])
        places = np.flatnonzero(around == -1)[[0, -1]]
        for at, place in enumerate(places.tolist()):
            lengths[at].append(int(around[place + 1] - around[place - 1] - 1))
    first, last = (np.mean(each) for each in lengths)
    assert abs(first - last) < 5 * np.std(lengths) * math.sqrt(2 / 1500)


def denoise(make: Make, **settings: Any) -> Denoise:
    objective = make(NOISE, settings={**QUIET, **{f"batches.{name}": value for name, value in settings.items()}})
    assert isinstance(objective, Denoise)
    return objective


def noised(objective: Denoise, text: Any, tokenizer: Bytes, steps: int = 15) -> list[tuple[list[int], list[int]]]:
    """Source and text, without what begins and ends them."""
    data = objective.prepare(text)
    begin, end, start = (tokenizer.special[role] for role in ("begin", "end", "start"))
    found = []
    for step in range(steps):
        for source, target, targets in rows(objective.training(data, step)):
            assert (source[0], source[-1], targets[0]) == (begin, end, begin)
            assert target == [start, *targets[:-1]]
            whole = targets[-1] == end
            said = targets[1:-1] if whole else targets[1:]
            # A window that stops before its document does has no end that could be learnt.
            stops = {int(stop) for stop in data.stops}
            places = [at for at in range(len(text)) if text[at : at + len(said)].tolist() == said]
            assert places
            assert any((at + len(said) in stops) == whole for at in places)
            found.append((source[1:-1], said))
    assert {len(said) for _, said in found} == {objective.room}
    return found


def test_without_noise_the_source_is_the_text(make: Make, text: Any, tokenizer: Bytes) -> None:
    assert all(source == said for source, said in noised(denoise(make), text, tokenizer))


def test_token_masking(make: Make, text: Any, tokenizer: Bytes) -> None:
    mask = tokenizer.special["mask"]
    for source, said in noised(denoise(make, mask=0.2), text, tokenizer):
        assert len(source) == len(said)
        assert all(a in (mask, b) for a, b in zip(source, said, strict=True))
        assert source.count(mask) == round(0.2 * len(said))


def test_token_deletion(make: Make, text: Any, tokenizer: Bytes) -> None:
    for source, said in noised(denoise(make, delete=0.2), text, tokenizer):
        assert len(source) == len(said) - round(0.2 * len(said))
        left = iter(said)
        assert all(token in left for token in source), "what is left is not in its order"


def test_document_rotation(make: Make, text: Any, tokenizer: Bytes) -> None:
    turned = 0
    for source, said in noised(denoise(make, rotate=1), text, tokenizer):
        at = next(at for at in range(len(said)) if said[at:] + said[:at] == source)
        turned += at > 0
    assert turned > 100


def test_sentence_permutation(make: Make, text: Any, tokenizer: Bytes) -> None:
    moved = 0
    ends = tokenizer.sentence_ends()
    for source, said in noised(denoise(make, permute=1), text, tokenizer, 30):
        assert sorted(source) == sorted(said)
        sentences = [[]]  # type: list[list[int]]
        for place, token in enumerate(said):
            sentences[-1].append(token)
            if ends[token] and place + 1 < len(said) and not ends[said[place + 1]]:
                sentences.append([])
        rest = list(source)
        left = list(sentences)
        while left:
            found = next((s for s in sorted(left, key=len, reverse=True) if rest[: len(s)] == s), None)
            assert found is not None, "a sentence was taken apart"
            left.remove(found)
            rest = rest[len(found) :]
        moved += source != said
    assert moved > 50


def test_all_noises_together_fit_the_length(make: Make, text: Any, tokenizer: Bytes) -> None:
    objective = denoise(make, mask=0.1, delete=0.1, infill=0.5, mean=1, permute=1, rotate=0.5)
    data = objective.prepare(text)
    for step in range(30):
        batch = objective.training(data, step)
        assert batch["source"].shape[1] <= 48
        assert batch["target"].shape[1] <= 48


def test_the_recipe_of_the_paper_is_the_default(make: Make) -> None:
    options = make(NOISE).choice.options
    assert (options["infill"], options["mean"], options["permute"]) == (0.3, 3.0, 1.0)
    assert (options["mask"], options["delete"], options["rotate"]) == (0, 0, 0)


@pytest.mark.parametrize("form", [SPANS, NOISE])
@pytest.mark.parametrize("size", [0, 1, 2, 3])
def test_very_short_texts(make: Make, tokenizer: Bytes, form: str, size: int) -> None:
    objective = make(form)
    data = objective.prepare(tokenizer.encode("a. b"[:size]).astype(np.uint16))
    for batch in objective.evaluation(data, 2):
        assert batch["target"].shape == batch["targets"].shape


@pytest.mark.parametrize("form", [SPANS, NOISE])
def test_the_same_step_is_the_same_batch(make: Make, text: Any, form: str) -> None:
    one, two = make(form), make(form)
    data, again = one.prepare(text), two.prepare(text)
    late = two.training(again, 5, 1)
    for step in range(6):
        batch = one.training(data, step, 1)
    assert all((batch[name] == late[name]).all() for name in late)
