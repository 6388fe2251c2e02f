"""Answers are the likeliest parts of the text, by the model's own logits."""

from __future__ import annotations

import numpy as np
import pytest

from attndsl.diagnostics import AttnError
from attndsl.generation.embed import embed
from attndsl.generation.predict import predict

PAIR = ("how?", "12 apples")


@pytest.mark.parametrize("backend", ["numpy", pytest.param("torch", marks=pytest.mark.torch)])
def test_the_answer_is_the_likeliest_part(run_of, backend):
    run = run_of("answer")
    special = run.tokenizer.special
    question, text = (run.tokenizer.encode(it).tolist() for it in PAIR)
    row = [special["begin"], *question, special["end"], *text, special["end"]]
    first = len(question) + 2
    segment = [0] * first + [1] * (len(text) + 1)
    names = ["start_logits", "end_logits"]
    said = run.program("numpy").run({"tokens": np.array([row]), "segment": np.array([segment])}, names)
    start, end = (np.float64(said[name][0]) for name in names)
    every = {"": np.exp(start[0] + end[0])}
    for a in range(len(text)):
        for b in range(a, min(a + 3, len(text))):
            part = PAIR[1][a : b + 1].strip()
            every[part] = every.get(part, 0.0) + np.exp(start[first + a] + end[first + b])
    whole = sum(every.values())
    ((prediction,),) = predict(run, [PAIR], 4, backend=backend)
    best = sorted(every, key=lambda part: -every[part])[:4]
    assert [it.name for it in prediction.choices] == best
    assert [it.probability for it in prediction.choices] == pytest.approx([every[it] / whole for it in best], rel=1e-4)


def test_texts_may_be_longer_than_the_model_takes(run_of):
    run = run_of("answer")
    text = "apples " * 20
    rows = [{"question": "how?", "context": text}, ("how?", "1 2")]
    found = predict(run, rows[:1], 2, backend="numpy") + predict(run, rows[1:], 2, backend="numpy")
    assert all(choice.name in text for choice in found[0][0].choices)
    with pytest.raises(AttnError, match="E0752"):
        embed(run, rows[:1], backend="numpy")


def test_a_question_needs_a_text(run_of):
    with pytest.raises(AttnError, match="give a question and a text, as a pair"):
        predict(run_of("answer"), ["how?"], backend="numpy")
