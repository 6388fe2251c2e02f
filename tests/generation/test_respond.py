"""Texts from encoder-decoders: each answer is what the model says, alone or among others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.decoding.sampling import Sampling, log_probabilities
from attndsl.decoding.sequences import Beam, beam_search
from attndsl.diagnostics import AttnError
from attndsl.generation.fits import objective_of
from attndsl.generation.respond import next_logits, respond, text_of

SOURCES = ["1 apples", "23", "9 apples 99", "", "apples", "38 apples", "1 app"]


def by_hand(run, source, most=19):
    """The likeliest token each time, one row at a time, from whole logits."""
    tokenizer, program = run.tokenizer, run.program("numpy")
    row = [*tokenizer.encode(source).tolist(), tokenizer.special["end"]]
    shown = [tokenizer.special["start"]]
    while len(shown) <= most:
        inputs = {"source": np.array([row]), "target": np.array([shown])}
        token = int(np.argmax(program.run(inputs, ["logits"])["logits"][0, -1, : tokenizer.vocab]))
        if token == tokenizer.special["end"]:
            break
        shown.append(token)
    hidden = set(tokenizer.special.values())
    return tokenizer.decode([token for token in shown if token not in hidden]).strip()


def test_greedy_answers_are_the_models(run_of):
    run = run_of("sequence_to_sequence")
    answers = respond(run, SOURCES, 19, backend="numpy")
    assert answers == [by_hand(run, source) for source in SOURCES]
    assert len(set(answers)) > 2


@pytest.mark.parametrize("options", [{}, {"beam": Beam(3)}, {"sampling": Sampling(1.0, seed=4)}])
def test_an_answer_does_not_depend_on_the_others(run_of, options):
    run = run_of("sequence_to_sequence")
    together = respond(run, SOURCES, 8, backend="numpy", **options)
    assert together[0] == respond(run, SOURCES[:1], 8, backend="numpy", **options)[0]
    if "sampling" not in options:  # each row draws from numbers of its own
        assert together == [respond(run, [source], 8, backend="numpy", **options)[0] for source in SOURCES]


def test_rows_are_answered_in_pieces_as_at_once(run_of, monkeypatch):
    run = run_of("sequence_to_sequence")
    options = {"sampling": Sampling(1.0, seed=2), "backend": "numpy"}
    whole = respond(run, SOURCES, 6, **options)
    monkeypatch.setattr("attndsl.generation.respond.AT_ONCE", 2)
    assert respond(run, SOURCES, 6, **options) == whole
    assert respond(run, SOURCES, 6, sampling=Sampling(1.0, seed=3), backend="numpy") != whole


def test_without_an_input_for_padding_sources_are_never_padded(run_of):
    run = run_of("sequence_to_sequence")
    roles = {role: name for role, name in run.recipe.objective.roles.items() if role != "valid"}
    blind = replace(run, recipe=replace(run.recipe, objective=replace(run.recipe.objective, roles=roles)))
    assert respond(blind, SOURCES, 8, backend="numpy") == respond(run, SOURCES, 8, backend="numpy")


def test_beam_search_finds_what_is_at_least_as_likely(run_of):
    run = run_of("sequence_to_sequence")
    objective = objective_of(run)
    # In float32 the same text scores differently by how many beams are computed beside it.
    program = NumpyProgram(run.graph, dtype="float64", parameters=run.weights)
    logits = next_logits(objective, program.run, objective.inputs(SOURCES))

    def best(width):
        found = beam_search(
            logits, len(SOURCES), [objective.token("start")], objective.special_token("end"), 6, Beam(width, 0)
        )
        return [hypotheses[0] for hypotheses in found]

    for narrow, wide in zip(best(1), best(6), strict=True):
        # The same words in a batch of another size may differ in the last bit.
        assert wide.tokens == narrow.tokens or wide.score >= narrow.score
    row, wide = 1, best(6)[1]
    shown, total = [objective.token("start")], 0.0
    for token in (*wide.tokens, *([objective.special_token("end")] if wide.ended else [])):
        total += float(log_probabilities(logits(np.array([shown]), np.array([row]))[0])[token])
        shown.append(token)
    assert wide.log_probability == pytest.approx(total, abs=1e-5)


def test_answers_are_no_longer_than_asked_or_than_the_model_takes(run_of):
    run = run_of("sequence_to_sequence")
    assert respond(run, ["1"], 0, backend="numpy") == [""]
    assert all(len(answer) <= 3 for answer in respond(run, SOURCES, 3, backend="numpy"))
    assert all(len(answer) <= 20 for answer in respond(run, SOURCES, 10_000, backend="numpy"))


@pytest.mark.torch
def test_both_backends_answer_the_same(run_of):
    run = run_of("sequence_to_sequence")
    for beam in (None, Beam(3)):
        ours, theirs = (respond(run, SOURCES, 8, beam=beam, backend=backend) for backend in ("numpy", "torch"))
        assert ours == theirs


def test_sentinels_stay_and_what_stands_for_no_text_goes(run_of):
    run = run_of("span_corruption")
    objective = objective_of(run)
    first, second = run.tokenizer.sentinels[:2]
    letters = run.tokenizer.encode("is").tolist()
    special = run.tokenizer.special
    said = [special["pad"], first, *letters, second, special["end"]]
    assert text_of(objective, said) == "<extra_id_0>is<extra_id_1>"
    assert len(respond(run, ["Now <extra_id_0> better"], 6, backend="numpy")) == 1
    given = objective.inputs(["Now <extra_id_0> better"])["source"]
    assert first in given  # what was typed is the token, not its letters


def test_a_text_with_noise_is_answered(run_of):
    assert len(respond(run_of("denoise"), ["Now is [MASK] than"], 6, backend="numpy")) == 1


@pytest.mark.parametrize(
    ("kind", "sources", "options", "code"),
    [
        ("sequence_to_sequence", ["x" * 30], {}, "E0752"),
        ("sequence_to_sequence", ["1", "\ud800"], {}, "E0741"),
        ("sequence_to_sequence", ["1"], {"tokens": -1}, "E0740"),
        ("classify", ["1"], {}, "E0744"),
        ("next_token", ["1"], {}, "E0744"),
        ("classify_images", ["1"], {}, "E0744"),
    ],
)
def test_what_cannot_be_answered_is_told(run_of, kind, sources, options, code):
    with pytest.raises(AttnError, match=code):
        respond(run_of(kind), sources, backend="numpy", **options)
