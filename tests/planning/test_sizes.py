"""Of which sizes a plan is, and what it says of those that nobody gave."""

from __future__ import annotations

import json
import re
from functools import partial

import pytest

from attndsl.elaborate import elaborate, open_spec, open_text
from attndsl.planning import work_of
from attndsl.planning.request import plan_on_paper
from attndsl.planning.work import has_other_rows


@pytest.mark.parametrize(
    ("spec", "size", "said"),
    [
        ("t5:nano", "B=64,S=512,T=256", "64 rows, 49,152 tokens; "),  # what is read, and what is said
        ("clip:nano", "B=8,N=4,T=16", "8 rows, 64 tokens; 1 micro-batch of 1\n"),
        ("elmo", "B=8,T=4", "8 rows, 32 tokens; "),  # words, of some characters each
    ],
)
def test_tokens_are_those_of_all_texts(attndsl, spec, size, said):
    argv = ("inspect", spec, "--machine", "h100x8", "--size", size)
    assert said in attndsl(*argv).out
    assert json.loads(attndsl(*argv, "--json").out)["tokens"] == int(said.split(", ")[1].split()[0].replace(",", ""))


def test_sizes_that_nobody_gave_are_shown(attndsl):
    argv = ("inspect", "clip", "--machine", "h100x8", "--size", "N=256,T=16,Y=8")
    for more in ((), ("--search", "--plan", "micro_batch=4")):
        done = attndsl(*argv, *more)
        assert re.search(r"(?m)^sizes    B = (8|32) \(default\), X = 128 \(default\)$", done.out)
        found = json.loads(attndsl(*argv, *more, "--json").out)
        assert {"name": "X", "value": 128, "reason": "default"} in found["sizes"]
        assert {"name": "Y", "value": 8, "reason": ""} in found["sizes"]
        assert not more or found["runner_up"]["sizes"] == found["sizes"]
    done = attndsl("inspect", "gpt2", "--machine", "h100x8", "--size", "B=64,T=512", "--plan", "micro_batch=3")
    assert "step     64 rows, 32,768 tokens; 3 micro-batches of up to 3\n\n" in done.out


def test_rows_beside_other_rows_are_one_micro_batch():
    """A loss over all pairs of pictures and texts, which would be computed for each micro-batch."""
    opened = open_spec("clip")
    asked = {"machine_name": "h100x8", "nodes": None, "sizes": {"B": 256, "N": 256, "T": 77, "Y": 7, "X": 7}}
    plans = partial(plan_on_paper, opened, elaborate(opened, {}), layout=None, **asked)
    assert (plans(choices="").plan.micro_batch, plans(choices="micro_batch=8").plan.micro_batch) == (32, 8)
    found = plans(choices="", searching=True)
    assert {it.plan.micro_batches for it in (found.best, found.runner_up)} == {1}


PAIRS = """model Pairs(vocab=16, width=8) {
  input tokens: int[2 * B, T]
  input weights: float[B]
  x = embedding(tokens, vocab, width)
  output logits = linear(x, vocab)
}
"""


def test_rows_that_a_batch_decides_are_no_other_rows():
    for text, has in ((PAIRS, False), (PAIRS.replace("weights: float[B]", "weights: float[N]"), True)):
        assert has_other_rows(work_of(elaborate(open_text(text), {}))) == has
