"""Sampling against the definitions, spelled out naively."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attndsl.decoding.sampling import largest
from attndsl.diagnostics import AttnError
from attndsl.generation import Sampling

logits_lists = st.lists(st.integers(-40, 40).map(lambda n: n / 8), min_size=1, max_size=12)


def naive(logits: list[float], temperature: float, top_k: int | None, top_p: float | None) -> list[float]:
    weights = [math.exp((x - max(logits)) / temperature) for x in logits]
    ranked = sorted(range(len(logits)), key=lambda i: (-logits[i], i))
    kept = set(ranked[:top_k])
    total = sum(weights[i] for i in kept)
    if top_p is not None:
        reached = 0.0
        nucleus = set()
        for i in (i for i in ranked if i in kept):
            if reached >= top_p * total:
                break
            nucleus.add(i)
            reached += weights[i]
        kept = nucleus
    total = sum(weights[i] for i in kept)
    return [weights[i] / total if i in kept else 0.0 for i in range(len(logits))]


@given(
    logits_lists,
    st.sampled_from([0.25, 0.8, 1.0, 3.0]),
    st.none() | st.integers(1, 14),
    st.none() | st.sampled_from([0.001, 0.3, 0.55, 0.9]),
)
def test_the_probabilities_are_as_defined(
    logits: list[float], temperature: float, top_k: int | None, top_p: float | None
) -> None:
    found = Sampling(temperature, top_k, top_p).probabilities(np.array(logits, dtype=np.float32))
    expected = naive(logits, temperature, top_k, top_p)
    assert found.sum() == pytest.approx(1)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_tokens_come_as_often_as_their_probability() -> None:
    logits = np.log(np.array([0.5, 0.3, 0.15, 0.05], dtype=np.float32))
    counts = Counter(Sampling(seed=4).choose(logits, index) for index in range(4000))
    shares = [counts[token] / 4000 for token in range(4)]
    np.testing.assert_allclose(shares, [0.5, 0.3, 0.15, 0.05], atol=0.03)


@given(logits_lists)
def test_no_temperature_is_the_likeliest(logits: list[float]) -> None:
    array = np.array(logits, dtype=np.float32)
    assert Sampling(temperature=0).choose(array, 5) == int(np.argmax(array))
    assert Sampling(top_k=1).choose(array, 5) == int(np.argmax(array))
    assert array[Sampling(temperature=1e-300).choose(array, 5)] == array.max()


def test_the_seed_and_the_place_decide() -> None:
    logits = np.zeros(1000, dtype=np.float32)
    first = [Sampling(seed=1).choose(logits, index) for index in range(5)]
    assert first == [Sampling(seed=1).choose(logits, index) for index in range(5)]
    assert first != [Sampling(seed=2).choose(logits, index) for index in range(5)]
    assert len(set(first)) == 5


def test_the_type_of_equal_logits_does_not_matter() -> None:
    logits = np.arange(50, dtype=np.float32) / 8
    assert all(
        Sampling(seed=seed).choose(logits, 0) == Sampling(seed=seed).choose(logits.astype(np.float64), 0)
        for seed in range(50)
    )


@pytest.mark.parametrize(
    "values",
    [
        {"temperature": -0.1},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"top_k": 0},
        {"top_k": -3},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"top_p": math.nan},
    ],
)
def test_values_that_mean_nothing(values: dict[str, float]) -> None:
    with pytest.raises(AttnError) as problem:
        Sampling(**values)  # type: ignore[arg-type]
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.code == "E0740"
    assert diagnostic.helps


@pytest.mark.parametrize("logits", [[math.nan, 1.0], [math.inf, 0.0], [-math.inf, -math.inf]])
def test_logits_that_are_no_numbers(logits: list[float]) -> None:
    with pytest.raises(AttnError) as problem:
        Sampling().choose(np.array(logits), 0)
    assert problem.value.diagnostics[0].code == "E0741"
    assert "--set lr=" in problem.value.diagnostics[0].helps[0]  # `generate` takes no checkpoint by name


def test_a_token_may_be_ruled_out() -> None:
    assert {Sampling(seed=s).choose(np.array([-math.inf, 0.0]), 0) for s in range(20)} == {1}


@given(st.integers(0, 2**31), st.integers(1, 200), st.integers(1, 12), st.integers(1, 6))
def test_the_largest_of_many(seed: int, length: int, count: int, different: int) -> None:
    values = np.random.default_rng(seed).integers(0, different * length // 4 + 1, length).astype(np.float32)
    expected = np.lexsort((np.arange(length), -values))[:count]
    assert largest(values, count).tolist() == expected.tolist()
