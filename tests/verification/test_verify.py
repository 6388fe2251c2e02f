"""`verify`: what it tries, that a mistake is found where it was planted, and the reason why a claim says nothing of a
model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from attndsl.comparison import tolerance
from attndsl.elaborate import elaborate, open_spec, open_text, shipped
from attndsl.graph import Graph
from attndsl.ops import Tanh
from attndsl.passes.base import Pass, PassReport
from attndsl.passes.incremental import demands
from attndsl.passes.rewrite import Rewriter
from attndsl.passes.rules import Match, apply, simple
from attndsl.running.weights_as import WEIGHTS_AS
from attndsl.sizes import Size
from attndsl.verification import Case, Finding, Verification, calls, reading_on, slopes, verify, ways
from attndsl.verification.padding import padding_inputs
from attndsl.verification.reducing import ENOUGH, reduced, structure

TEXT = """model Small(vocab=7, width=8, heads=2, context=48) {{
  input tokens: int[B, T] where T <= context, tokens < vocab
  input valid: bool[B, T] optional = true
  x = embedding(tokens, vocab, width, init=normal(0.5)) as word
  {body}
  output logits = linear(x, vocab, init=normal(0.5)) as head
}}
train Small {{
  batches = classify(tokens, tokens, valid=valid)
}}
"""
CAUSAL = "x += attention(x, heads, mask=causal) as a"


def graph(body: str) -> Graph:
    return elaborate(open_text(TEXT.format(body=body)), {})


def found(claim: Callable[[Case], Iterator[Finding]], body: str) -> list[Finding]:
    return list(claim(Case(graph(body), padding=("valid",))))


# ---------------------------------------------------------------- right models


def test_a_right_model_is_shown_to_be_one() -> None:
    told: list[Finding] = []
    verification = verify(graph(CAUSAL), padding=("valid",), told=told.append)
    assert verification.ok, verification
    assert list(verification.findings) == told
    assert {finding.claim for finding in told} >= {
        "fused = expanded", "each pass on and off", "gradients = finite differences", "batch = singles",
        "left = right padding", "incremental = full",
    }  # fmt: skip
    exact = [finding for finding in told if not finding.reason and finding.claim != "weights in fewer bits"]
    assert all(0 < finding.tolerance < 1e-5 for finding in exact)


@pytest.mark.torch
def test_every_way_of_a_backend_is_tried() -> None:
    hows = [finding.how + finding.reason for finding in found(ways.every_backend, CAUSAL)]
    for what in ("float64", "float32", "without passes", "--compile"):
        assert any(what in how for how in hows), what


def test_every_way_of_keeping_weights_has_a_bound() -> None:
    assert {*tolerance.KEPT_AS} == {*WEIGHTS_AS} - {"float32"}
    findings = found(ways.fewer_bits, CAUSAL)
    assert all(finding.status == "OK" for finding in findings)
    assert {kind for kind in tolerance.KEPT_AS for finding in findings if kind in finding.how} == {*tolerance.KEPT_AS}


def test_a_loss_is_asked_for_alone() -> None:
    losses = list(ways.every_loss(Case(reduced(open_spec("gpt_nano"), {"depth": 1, "width": 16, "vocab": 64})[0])))
    assert losses[0].tolerance > 0
    assert all(finding.status == "OK" for finding in losses)
    (without,) = found(ways.every_loss, CAUSAL)
    assert "no loss" in without.reason


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.parametrize("name", shipped())
def test_every_shipped_spec_is_shown_to_be_right(name: str) -> None:
    spec = open_spec(name)
    small, changes = reduced(spec, {})
    verification = verify(small, padding=padding_inputs(spec, small), reduced=changes)
    assert verification.ok, verification


# ---------------------------------------------------------------- wrong ones


@dataclass(frozen=True, slots=True)
class WrongPass(Pass):
    """Takes every tanh for a larger one."""

    name = "wrong"

    def rewrite(self, rewriter: Rewriter) -> PassReport:
        def match(algebra: Any, node: Any) -> Match:
            return Match("wrong", lambda out: out.emit(Louder(), *node.inputs))

        return self.report(*apply(rewriter, (simple("wrong", (Tanh,), match),)))


@dataclass(frozen=True, slots=True)
class Louder(Tanh):
    name = "louder"

    def evaluate(self, call: Any, *arrays: Any) -> Any:
        return (Tanh.evaluate(self, call, *arrays) * 1.0001).astype(call.float_dtype)


def test_a_wrong_pass_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways, "PIPELINE", (*ways.PIPELINE, WrongPass()))
    alone, left_out = found(ways.each_pass, "x = tanh(x)")
    assert alone.status == left_out.status == "FAIL"
    assert "wrong alone" in alone.how
    assert "wrong left out" not in left_out.how


def test_a_wrong_gradient_is_found_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Tanh.gradient

    def wrong(self: Tanh, *given: Any) -> Any:
        return tuple(None if each is None else each * 1.001 for each in right(self, *given))

    monkeypatch.setattr(Tanh, "gradient", wrong)
    (finding,) = found(slopes.finite_differences, "x = tanh(linear(x, width) as up)")
    assert finding.status == "FAIL"
    assert finding.divergence is not None
    assert finding.divergence.address in ("up.weight", "up.bias", "word.table")
    assert finding.divergence.spans


def test_a_window_that_is_kept_too_short_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = demands.Demands.window

    def short(self: demands.Demands, node: Any) -> Size | None:
        window = right(self, node)
        return None if window is None else window - 1

    body = "x += attention(x, heads, mask=causal & window(4)) as a"
    assert all(finding.status == "OK" for finding in found(reading_on.read_on, body))
    monkeypatch.setattr(demands.Demands, "window", short)
    for finding in found(reading_on.read_on, body):
        assert finding.status == "FAIL"
        assert "output logits of a text of" in finding.name


def test_padding_that_is_attended_to_is_found_with_its_line() -> None:
    """By a model whose author forgot the mask."""
    behind, *_ = found(calls.padding, "x += attention(x, heads) as a")
    assert behind.status == "FAIL"
    assert behind.divergence is not None
    assert behind.divergence.spans[0].line == 5
    masked = found(calls.padding, "x += attention(x, heads, mask=keys(valid)) as a")
    assert [finding.status for finding in masked] == ["OK", "OK"]


def test_the_command_fails_and_says_where(attndsl: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "m.attn"
    path.write_text(TEXT.format(body="x += attention(x, heads) as a"))
    done = attndsl("verify", path)
    assert done.code == 1
    assert "FAIL" in done.out
    assert "m.attn:5:8: x += attention(x, heads) as a" in done.out
    plain = json.loads(attndsl("verify", path, "--json").out)
    assert plain["schema"] == "attndsl.verify/1"
    assert plain["ok"] is False
    (wrong,) = (each for each in plain["findings"] if each["status"] == "FAIL")
    assert wrong["claim"] == "left = right padding"
    assert wrong["divergence"]["places"][0].endswith("m.attn:5:8")


# ---------------------------------------------------------------- what is not to be had


@pytest.mark.parametrize(
    ("claim", "body", "reason"),
    [
        (reading_on.read_on, "x += attention(x, heads) as a", "come after them (<text>:5)"),
        (calls.batch, "x -= mean(x, over=B)", "takes rows together, along `B` (<text>:5)"),
        (ways.every_attention, "x = tanh(x)", "no attention"),
    ],
)
def test_what_a_claim_says_nothing_of_has_its_reason(
    claim: Callable[[Case], Iterator[Finding]], body: str, reason: str
) -> None:
    (finding,) = found(claim, body)
    assert finding.status == "not applicable"
    assert reason in finding.reason


def test_padding_before_a_text_moves_what_counts_positions() -> None:
    body = "x += embedding(range(T), context, width) as at\n x += attention(x, heads, mask=keys(valid)) as a"
    behind, before = found(calls.padding, body)
    assert behind.status == "OK"
    assert "positions are counted from the first on (<text>:5)" in before.reason


def test_gradients_that_are_stopped_stay_where_they_are() -> None:
    body = "repeat h in 2 {\n x += stop_gradient(tanh(linear(x, width) as up)) * x\n }"
    (finding,) = found(slopes.finite_differences, body)
    assert finding.status == "OK"


# ---------------------------------------------------------------- smaller models


@pytest.mark.parametrize("name", ["gpt3:175b", "mistral", "gemma3", "mixtral"])
def test_a_large_model_is_made_small_and_does_the_same(name: str) -> None:
    spec = open_spec(name)
    large = elaborate(spec, {})
    small, changes = reduced(spec, {})
    assert small.parameter_count <= 2 * ENOUGH
    assert structure(small) == structure(large)
    assert all(before != now for before, now in changes.values())
    if "band" in changes:
        assert small.sizes["band"] < 20 if "band" in small.sizes else small.hyperparameters["band"] < 20


def test_what_is_set_stays() -> None:
    small, changes = reduced(open_spec("gpt2"), {"depth": 3, "heads": 12})
    assert small.hyperparameters["heads"] == 12
    assert small.hyperparameters["depth"] == 3
    assert "vocab" in changes
    assert not changes.keys() & {"depth", "heads"}


def test_a_small_model_is_left_as_it_is() -> None:
    small, changes = reduced(open_text(TEXT.format(body=CAUSAL)), {})
    assert not changes
    assert small.hyperparameters["width"] == 8


def test_the_table_names_what_was_made_smaller() -> None:
    finding = Finding("batch = singles", "NumPy float64, 2 rows", 1.0, 0.5, name="output y")
    verification = Verification("M", {"B": 2}, {"width": (64, 8)}, 1000, (finding, replace(finding, reason="none")))
    shown = str(verification)
    assert "width=8 (of 64)" in shown
    assert "FAIL" in shown
    assert "in output y" in shown
    assert "not applicable: NumPy float64, 2 rows: none" in shown
    assert shown.endswith("1 of 1 claims do not hold")
