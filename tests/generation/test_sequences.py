"""Beam search against every sequence there is, and against the published implementation; greedy; batches."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest

from attndsl.decoding.sampling import Sampling, log_probabilities
from attndsl.decoding.sequences import Beam, Hypothesis, beam_search, sample
from attndsl.diagnostics import AttnError

VOCAB, END, MOST = 4, 2, 4
GREEDY = Sampling(temperature=0)


def model(seed: int, vocab: int = VOCAB, calls: list[np.ndarray] | None = None) -> Callable:
    """Logits that depend on the row and the whole prefix, drawn once for each."""

    def logits(prefixes, rows):
        if calls is not None:
            calls.append(rows)
        return np.stack(
            [
                2 * np.random.default_rng((seed, int(row), *map(int, prefix))).standard_normal(vocab)
                for prefix, row in zip(prefixes, rows, strict=True)
            ]
        )

    return logits


def every_sequence(logits: Callable, row: int, alpha: float) -> list[tuple[float, tuple[int, ...]]]:
    """All that can be written with their scores, the best first: what ends, and what is cut at MOST tokens."""
    found = []

    def follow(tokens: tuple[int, ...], total: float) -> None:
        if len(tokens) == MOST:
            found.append((total / ((5 + MOST) / 6) ** alpha, tokens))
            return
        raw = logits(np.array([[0, *tokens]]), np.array([row]))[0]
        shares = raw - np.log(np.exp(raw).sum())
        for token in range(VOCAB):
            if token == END:
                found.append(((total + shares[token]) / ((5 + len(tokens) + 1) / 6) ** alpha, tokens))
            else:
                follow((*tokens, token), total + shares[token])

    follow((), 0.0)
    return sorted(found, key=lambda pair: -pair[0])


@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
@pytest.mark.parametrize("seed", range(5))
def test_a_wide_beam_finds_the_best_of_all_sequences(seed, alpha):
    logits = model(seed)
    found = beam_search(logits, 3, [0], END, MOST, Beam(VOCAB**MOST, alpha), best=5)
    for row, hypotheses in enumerate(found):
        best = every_sequence(logits, row, alpha)[:5]
        assert [h.tokens for h in hypotheses] == [tokens for _, tokens in best]
        np.testing.assert_allclose([h.score for h in hypotheses], [score for score, _ in best])


def test_the_length_penalty_matters_and_is_that_of_the_paper():
    assert Beam(1, 0.6).penalty(7) == 2**0.6
    logits = model(1)
    lengths = [
        [len(h[0].tokens) for h in beam_search(logits, 8, [0], END, MOST, Beam(64, alpha))] for alpha in (0.0, 5.0)
    ]
    assert sum(lengths[0]) < sum(lengths[1])


@pytest.mark.parametrize("seed", range(10))
def test_greedy_is_a_beam_of_one(seed):
    logits = model(seed)
    greedy = sample(logits, 4, [0], END, MOST, GREEDY)
    beam = [found for (found,) in beam_search(logits, 4, [0], END, MOST, Beam(1, 0))]
    assert [h.tokens for h in greedy] == [h.tokens for h in beam]
    assert [h.ended for h in greedy] == [h.ended for h in beam]
    np.testing.assert_allclose([h.log_probability for h in greedy], [h.log_probability for h in beam])


def test_greedy_takes_the_likeliest_token_each_time():
    logits, prefix = model(3), [0]
    while len(prefix) <= MOST and (token := int(np.argmax(logits(np.array([prefix]), np.array([0]))[0]))) != END:
        prefix.append(token)
    assert list(sample(logits, 1, [0], END, MOST, GREEDY)[0].tokens) == prefix[1:]


@pytest.mark.parametrize("width", [1, 2, 3])
def test_rows_do_not_depend_on_each_other(width):
    logits = model(7)
    together = beam_search(logits, 6, [0, 1], END, MOST, Beam(width))
    for row in range(6):
        (alone,) = beam_search(lambda p, r, row=row: logits(p, r + row), 1, [0, 1], END, MOST, Beam(width))
        assert alone == together[row]


def test_the_beam_stays_as_wide_beside_what_ends():
    calls: list[int] = []

    def logits(prefixes, rows):
        calls.append(len(rows))
        return np.tile([1.0, 2.0, 3.0, 0.0], (len(rows), 1))  # END is the likeliest throughout

    # A penalty that favours long answers keeps the search alive.
    found = beam_search(logits, 1, [0], END, 4, Beam(3, 20.0))[0][0]
    assert calls == [1, 3, 3, 3]
    assert found.tokens == (1, 1, 1)
    assert found.ended


def test_rows_that_are_done_are_asked_about_no_more():
    calls: list[np.ndarray] = []

    def logits(prefixes, rows):
        calls.append(rows)
        answers = np.zeros((len(rows), VOCAB))
        answers[np.arange(len(rows)), np.where(prefixes.shape[1] > rows, END, 1)] = 50  # row n ends at n tokens
        return answers

    found = sample(logits, 3, [0], END, 9, GREEDY)
    assert [h.tokens for h in found] == [(), (1,), (1, 1)]
    assert [rows.tolist() for rows in calls] == [[0, 1, 2], [1, 2], [2]]
    calls.clear()
    beams = beam_search(logits, 3, [0], END, 9, Beam(2, 0))
    assert [h[0].tokens for h in beams] == [h.tokens for h in found]
    assert [set(rows.tolist()) for rows in calls] == [{0, 1, 2}, {1, 2}, {2}]


def test_what_does_not_end_is_cut():
    def logits(prefixes, rows):
        return np.tile([0.0, 9.0, -math.inf, 0.0], (len(rows), 1))

    for found in (sample(logits, 1, [0], END, 3, GREEDY)[0], beam_search(logits, 1, [0], END, 3, Beam(3))[0][0]):
        assert found.tokens == (1, 1, 1)
        assert not found.ended
    assert beam_search(logits, 1, [0], None, 2, Beam(3))[0][0].tokens == (1, 1)  # nothing ends it
    assert beam_search(logits, 2, [0], END, 0, Beam(3))[1][0].tokens == ()


def test_ties_go_to_the_lowest_token():
    def logits(prefixes, rows):
        return np.zeros((len(rows), VOCAB))

    assert sample(logits, 1, [0], END, 2, GREEDY)[0].tokens == (0, 0)
    found = beam_search(logits, 1, [0], None, 2, Beam(16, 0), best=16)[0]
    assert [h.tokens for h in found] == list(itertools.product(range(VOCAB), repeat=2))
    assert beam_search(logits, 1, [0], None, 2, Beam(3, 0), best=3)[0] == found[:3]


def test_sampling_follows_the_seed_and_the_row():
    def logits(prefixes, rows):
        return np.zeros((len(rows), 50))

    first = sample(logits, 3, [0], None, 8, Sampling(seed=1))
    assert first == sample(logits, 3, [0], None, 8, Sampling(seed=1))
    assert len({h.tokens for h in first}) == 3
    assert first[0].tokens == tuple(Sampling(seed=1).choose(np.zeros(50), index) for index in range(8))
    np.testing.assert_allclose([h.log_probability for h in first], 8 * math.log(1 / 50))


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
@pytest.mark.parametrize(
    "write",
    [
        lambda logits: sample(logits, 1, [0], END, 2, GREEDY),
        lambda logits: beam_search(logits, 1, [0], END, 2, Beam(2)),
    ],
)
def test_logits_that_are_no_numbers_are_refused(write, wrong):
    with pytest.raises(AttnError, match="E0741"):
        write(lambda prefixes, rows: np.full((len(rows), VOCAB), wrong))


@pytest.mark.parametrize("values", [(0, 0.6), (2, -1.0), (2, math.nan)])
def test_a_beam_that_means_nothing_is_refused(values):
    with pytest.raises(AttnError, match="E0743"):
        Beam(*values)


def test_log_probabilities_are_those_of_a_softmax():
    values = log_probabilities(np.array([1000.0, 1000.0, -math.inf], dtype=np.float32))
    np.testing.assert_allclose(values, [math.log(0.5), math.log(0.5), -math.inf])


# ---------------------------------------------------------------------------------------------- the published one


@pytest.mark.oracle
@pytest.mark.parametrize("width", [1, 2, 4])
def test_beams_are_those_of_transformers(width):
    torch = pytest.importorskip("torch")
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(width)
    config = T5Config(
        vocab_size=12, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, decoder_start_token_id=0,
        pad_token_id=0, eos_token_id=1, dropout_rate=0.0,
        tie_word_embeddings=False,
    )  # fmt: skip
    oracle = T5ForConditionalGeneration(config).eval()
    with torch.no_grad():  # so that it has something to say
        for parameter in oracle.parameters():
            parameter.normal_(0.0, 0.7)
    sources = torch.randint(2, 12, (16, 6))

    def logits(prefixes, rows):
        with torch.no_grad():
            given = {"input_ids": sources[torch.from_numpy(rows)], "decoder_input_ids": torch.from_numpy(prefixes)}
            return oracle(**given).logits[:, -1].numpy()

    ours = [found.tokens for (found,) in beam_search(logits, 16, [0], 1, 7, Beam(width, 0))]
    theirs = oracle.generate(
        input_ids=sources, num_beams=width, do_sample=False, length_penalty=0.0, early_stopping="never",
        max_new_tokens=7,
    )  # fmt: skip
    expected = [tuple(row[: row.index(1)] if 1 in row else row) for row in theirs[:, 1:].tolist()]
    # What is padded with 0 after an end is cut above; a row that never ends is as long as all may be.
    assert ours == expected
    assert len(set(ours)) > 2


def test_a_hypothesis_says_what_it_is():
    found = beam_search(model(0), 1, [0], END, MOST, Beam(4, 0.6))[0][0]
    assert isinstance(found, Hypothesis)
    length = len(found.tokens) + found.ended
    assert found.score == pytest.approx(found.log_probability / ((5 + length) / 6) ** 0.6)
