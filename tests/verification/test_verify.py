"""`verify`: what it tries, that a mistake is found where it was planted, and the reason why a claim says nothing of a
model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attndsl.backends.numpy_reference.evaluator import NumpyProgram
from attndsl.comparison import tolerance
from attndsl.diagnostics import AttnError
from attndsl.elaborate import elaborate, open_spec, open_text, shipped
from attndsl.generation import continuing
from attndsl.graph import Graph
from attndsl.masks.index import LinearSum
from attndsl.masks.ranges import KeyRange
from attndsl.ops import Tanh, chunks, query_blocks
from attndsl.passes.base import Pass, PassReport
from attndsl.passes.incremental import PAST, demands
from attndsl.passes.rewrite import Rewriter
from attndsl.passes.rules import Match, apply, simple
from attndsl.running import backends
from attndsl.running.machine import PIN
from attndsl.running.reader import Reader
from attndsl.running.ways import ATTENTION, QUERY_BLOCKS
from attndsl.running.weights_as import WEIGHTS_AS
from attndsl.sizes import Size
from attndsl.verification import (
    Case,
    Finding,
    Verification,
    attentions,
    calls,
    reading_on,
    reducing,
    rows,
    slopes,
    verify,
    ways,
)  # fmt: skip
from attndsl.verification.padding import padding_inputs
from attndsl.verification.reducing import ENOUGH, FEWEST, Changes, reduced, structure

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


@cache
def made_small(name: str) -> tuple[Graph, Changes]:
    """A shipped spec, as it is verified."""
    return reduced(open_spec(name), {})


# ---------------------------------------------------------------- right models


def test_a_right_model_is_shown_to_be_one() -> None:
    told: list[Finding] = []
    verification = verify(
        graph("x += attention(x, heads, mask=causal & keys(valid)) as a"), padding=("valid",), told=told.append
    )
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
    assert sum(finding.how.endswith("a row at a time") for finding in losses) == len(backends.backends())
    (without,) = found(ways.every_loss, CAUSAL)
    assert "no loss" in without.reason


@pytest.mark.slow
@pytest.mark.torch
@pytest.mark.parametrize("name", shipped())
def test_every_shipped_spec_is_shown_to_be_right(name: str) -> None:
    small, changes = made_small(name)
    verification = verify(small, padding=padding_inputs(open_spec(name), small), reduced=changes)
    assert verification.ok, verification


# ---------------------------------------------------------------- wrong ones


class WrongPass(Pass):
    """Takes every tanh for a larger one."""

    name = "wrong"

    def rewrite(self, rewriter: Rewriter) -> PassReport:
        def match(algebra: Any, node: Any) -> Match:
            return Match("wrong", lambda out: out.emit(Louder(), *node.inputs))

        return self.report(*apply(rewriter, (simple("wrong", (Tanh,), match),)))


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
        assert "output logits" in finding.name


WINDOW = "x += attention(x, heads, mask=causal & window(4)) as a"


@pytest.mark.parametrize("side", [0, 1])
def test_a_block_that_ends_a_key_too_early_is_found(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the rows about blocks, and by no other; on either side."""
    right = query_blocks._seeing

    def short(*given: Any) -> Any:
        block = right(*given)
        keys = block.columns
        cut = (slice(keys.start + 1, keys.stop), slice(keys.start, keys.stop - 1))[side]
        return replace(block, columns=cut) if keys.stop - keys.start > 1 else block

    monkeypatch.setattr(query_blocks, "_seeing", short)
    wrong = {finding.how: finding.status for finding in found(attentions.every_attention, WINDOW)}
    assert {how for how, status in wrong.items() if status == "FAIL"} == {
        f"NumPy {dtype} {name}" for dtype in ("float64", "float32") for name in QUERY_BLOCKS
    }


@pytest.mark.torch
@pytest.mark.parametrize(
    ("body", "shift"),
    [(WINDOW, (1, 0)), (WINDOW, (0, -1)), ("x += attention(x, heads, mask=strided(3)) as a", (0, -1))],
)
def test_a_range_that_is_off_by_one_is_found(
    body: str, shift: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    from attndsl.backends.pytorch import blocks

    right = blocks._Text.range

    def shifted(self: Any, keys: KeyRange) -> str:
        low, high = (
            tuple(bound + LinearSum.of(by) for bound in side)
            for side, by in zip((keys.low, keys.high), shift, strict=True)
        )
        return right(self, replace(keys, low=low, high=high))

    monkeypatch.setattr(blocks._Text, "range", shifted)
    failed = {finding.how for finding in found(attentions.every_attention, body) if finding.status == "FAIL"}
    assert {"PyTorch float64 on cpu in blocks of one query", "PyTorch float32 on cpu in blocks of one query"} <= failed


def test_every_kernel_is_tried_that_leaves_something_out() -> None:
    hows = [finding.how for finding in found(attentions.every_attention, WINDOW) if finding.status == "OK"]
    for backend in backends.backends().values():
        for way in backend.ways() if backend.installed else ():
            if way.claim == ATTENTION and "FlexAttention" not in way.besides:
                assert sum(how.startswith(backend.title) and how.endswith(way.besides) for how in hows) == 2


@pytest.mark.torch
def test_a_product_that_is_wrong_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the rows of its kernel, also where that is not the one that is used."""
    from attndsl.backends.pytorch import helpers, kernels

    if kernels.ONEDNN not in kernels.products():
        pytest.skip("torch has no oneDNN here")
    monkeypatch.setenv(PIN, kernels.PLAIN)
    assert all(finding.status != "FAIL" for finding in found(ways.every_backend, CAUSAL))
    right = 'return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")'
    wrong = helpers.FUNCTIONS["linear"].replace(right, right.replace("return ", "return 1.001 * "))
    monkeypatch.setitem(helpers.FUNCTIONS, "linear", wrong)
    failed = [finding.how for finding in found(ways.every_backend, CAUSAL) if finding.status == "FAIL"]
    assert failed == ["PyTorch float32 on cpu by onednn products"]


READ_ON = "x += attention(x, heads, mask=causal) as a\n x += attention(x, heads, mask=causal & window(4)) as b"
COUNTED = f"x += embedding(range(T), context, width) as at\n {READ_ON}"


def wrong_readings(body: str) -> list[str]:
    return [finding.how for finding in found(reading_on.read_on, body) if finding.status == "FAIL"]


@pytest.mark.parametrize("body", [READ_ON, COUNTED])
def test_texts_are_read_on_past_the_context(body: str) -> None:
    findings = found(reading_on.read_on, body)
    assert all(finding.status == "OK" for finding in findings)
    form = "the last 48 seen" if body == READ_ON else "the older half of 48 dropped"
    assert sum(f"past the context, {form}" in finding.how for finding in findings) == len(findings) / 2


def test_beams_that_are_mixed_up_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = NumpyProgram.chosen_rows

    def mixed(self: NumpyProgram, stacks: Any, rows: Sequence[int], *rest: Any) -> Any:
        past = right(self, {PAST: stacks[PAST].copy()}, rows)
        return {**right(self, stacks, rows[::-1], *rest), **past}

    monkeypatch.setattr(NumpyProgram, "chosen_rows", mixed)
    wrong = wrong_readings(READ_ON)
    assert [("NumPy" in how, "past the context" in how) for how in wrong] == [(True, False), (True, True)]


def test_a_draft_of_which_too_much_is_forgotten_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """By texts that fit, and by those past the context."""
    right = Reader.go_back

    def too_far(self: Reader, lengths: Sequence[int]) -> None:
        right(self, lengths)
        self.stacks = {**self.stacks, PAST: self.program.native(np.array(lengths) - 1)}

    monkeypatch.setattr(Reader, "go_back", too_far)
    assert len(wrong_readings(READ_ON)) == 2 * len(backends.backends())


def test_a_context_that_slides_too_early_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = continuing.sliding
    monkeypatch.setattr(continuing, "sliding", lambda *given: right(*given[:-1], given[-1] - 1))
    assert sum("past the context" in how for how in wrong_readings(READ_ON)) == len(backends.backends())


def test_a_chunk_of_a_loss_that_ends_a_row_too_early_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = chunks.Walk._chunk
    monkeypatch.setattr(chunks.Walk, "_chunk", lambda self, rows: len(rows) == 1 == rows[0] or right(self, rows))
    case = Case(reduced(open_spec("gpt_nano"), {"depth": 1, "width": 16, "vocab": 64})[0])
    failed = [finding.how for finding in ways.every_loss(case) if finding.status == "FAIL"]
    assert failed == ["NumPy float64 a row at a time"]


def test_padding_that_is_attended_to_is_found_with_its_line() -> None:
    """By a model whose author forgot the mask."""
    behind, before = found(rows.padding, "x += attention(x, heads) as a")
    assert behind.status == "FAIL"
    assert behind.divergence is not None
    assert behind.divergence.spans[0].line == 5
    assert before.status == "FAIL"
    masked = found(rows.padding, "x += attention(x, heads, mask=keys(valid)) as a")
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
    wrong = [each for each in plain["findings"] if each["status"] == "FAIL"]
    assert [each["claim"] for each in wrong] == ["left = right padding"] * 2
    assert all(each["divergence"]["places"][0].endswith("m.attn:5:8") for each in wrong)


def test_a_claim_that_raises_an_error_does_not_hold_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, attndsl: Callable[..., Any], tmp_path: Path
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("nothing\nto divide by")

    monkeypatch.setattr(slopes, "stopped", broken)
    monkeypatch.setattr(demands.Demands, "window", broken)
    path = tmp_path / "m.attn"
    path.write_text(TEXT.format(body="x += attention(x, heads, mask=causal & window(4) & keys(valid)) as a"))
    done = attndsl("verify", path)
    assert done.code == 1
    assert done.out.count("  ZeroDivisionError: nothing to divide by (test_verify.py:") == 2
    assert "2 of " in done.out.splitlines()[-1]
    findings = json.loads(attndsl("verify", path, "--json").out)["findings"]
    wrong = [each for each in findings if each["status"] == "FAIL"]
    assert [each["claim"] for each in wrong] == [slopes.CLAIM, reading_on.CLAIM]
    assert all(each["error"].startswith("ZeroDivisionError") and each["max_absolute"] is None for each in wrong)


def test_a_way_that_raises_an_error_does_not_keep_others_from_being_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(WrongPass, "rewrite", broken)
    monkeypatch.setattr(ways, "PIPELINE", (*ways.PIPELINE, WrongPass()))
    alone, left_out = found(ways.each_pass, CAUSAL)
    assert "wrong alone" in alone.how
    assert left_out.how.endswith("left out")
    for finding in (alone, left_out):
        assert finding.status == "FAIL"
        assert finding.error.startswith("ZeroDivisionError (test_verify.py:")


def test_sizes_that_do_not_fit_are_no_finding() -> None:
    with pytest.raises(AttnError, match="context"):
        verify(graph(CAUSAL), sizes={"T": 49})


# ---------------------------------------------------------------- what is not to be had


@pytest.mark.parametrize(
    ("claim", "body", "reason"),
    [
        (reading_on.read_on, "x += attention(x, heads) as a", "come after them (<text>:5)"),
        (calls.batch, "x -= mean(x, over=B)", "takes rows together, along `B` (<text>:5)"),
        (attentions.every_attention, "x = tanh(x)", "no attention"),
        (rows.packed, CAUSAL, "no mask of an attention tells documents apart"),
    ],
)
def test_what_a_claim_says_nothing_of_has_its_reason(
    claim: Callable[[Case], Iterator[Finding]], body: str, reason: str
) -> None:
    (finding,) = found(claim, body)
    assert finding.status == "not applicable"
    assert reason in finding.reason


ATTEND = "x += attention(x, heads, mask=keys(valid)) as a"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (f"x += embedding(range(T), context, width) as at\n {ATTEND}", "counted from the first on (<text>:5)"),
        ("x = recurrent(gru_cell(width))(x) as r", "a scan along `T` begins with the first position"),
        (
            "y = scan t in T with h: [B, width] = 0.0 {\n h = where(tokens[T=t] > 2, x[T=t], h)\n emit h\n }\n x += y",
            "a scan along `T` begins with the first position",
        ),
        ("x = cumsum(x, over=T)", "`cumsum` along `T` begins with the first position (<text>:5)"),
    ],
)
def test_padding_before_a_text_moves_what_begins_with_the_first_position(body: str, reason: str) -> None:
    """So it is said, and nothing is run."""
    behind, before = found(rows.padding, body)
    assert behind.status == "OK"
    assert reason in before.reason


@pytest.mark.parametrize(
    "body",
    [
        f"x += embedding(cumsum(int(valid), over=T), context + 1, width) as at\n {ATTEND}",
        "x = recurrent(gru_cell(width))(x, valid=valid) as r",
        "x += attention(x, heads, mask=keys(valid), position=rotary) as a",
    ],
)
def test_padding_before_a_text_changes_nothing_where_the_spec_leaves_it_out(body: str) -> None:
    assert [finding.status for finding in found(rows.padding, body)] == ["OK", "OK"]


def test_a_failure_is_no_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is found to be wrong stays wrong, whatever else the model does along time or rows."""
    body = "x = where(valid, recurrent(gru_cell(width))(x, valid=valid) as r, x)\n x += attention(x, heads) as a"
    assert [finding.status for finding in found(rows.padding, body)] == ["FAIL", "FAIL"]


PACKED = TEXT.replace(
    "input valid", "input doc: int[B, T] where doc < 9\n  input at: int[B, T] where at < context\n  input valid"
)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("x += attention(x, heads, mask=causal & same(doc), position=rotary) as a", "OK"),
        ("x += embedding(at, context, width) as p\n x += attention(x, heads, mask=same(doc)) as a", "OK"),
        ("x += attention(x, heads, mask=same(doc)) as a\n x += attention(x, heads, mask=causal) as b", "FAIL"),
        ("x += embedding(range(T), context, width) as p\n x += attention(x, heads, mask=same(doc)) as a",
         "positions are counted from the first on (<text>:7)"),
        ("x += attention(x, heads, mask=same(doc)) as a\n x = recurrent(gru_cell(width))(x) as r", "a scan along `T`"),
    ],
)  # fmt: skip
def test_documents_in_one_row_are_what_they_are_alone(body: str, status: str) -> None:
    model = elaborate(open_text(PACKED.format(body=body)), {})
    assert rows.document_inputs(model) == ("doc",)
    (finding,) = rows.packed(Case(model))
    assert finding.status == status or status in finding.reason


def test_documents_are_read_on_by_each_input_that_could_be_the_text() -> None:
    body = "x += attention(x, heads, mask=causal & same(doc), position=rotary) as a"
    findings = list(reading_on.read_on(Case(elaborate(open_text(PACKED.format(body=body)), {}))))
    read = [finding for finding in findings if "tokens in" in finding.how]
    assert len(read) == 2 * len(backends.backends())
    assert all(finding.status == "OK" for finding in read)


def test_a_mask_that_leaves_documents_tells_none_apart() -> None:
    body = "x += attention(x, heads, mask=causal & (same(doc) | window(2))) as a"
    assert rows.document_inputs(elaborate(open_text(PACKED.format(body=body)), {})) == ()


def test_packed_documents_stand_one_behind_the_other() -> None:
    for seed in range(20):
        numbers = rows.packed_documents(np.full((4, 9), 5), seed)
        assert (np.diff(numbers, axis=1) >= 0).all()
        assert (numbers < 6).all()
        assert all(2 <= len(set(row)) <= 4 for row in numbers.tolist())


def test_gradients_that_are_stopped_stay_where_they_are() -> None:
    body = "repeat h in 2 {\n x += stop_gradient(tanh(linear(x, width) as up)) * x\n }"
    (finding,) = found(slopes.finite_differences, body)
    assert finding.status == "OK"


# ---------------------------------------------------------------- smaller models


@pytest.mark.parametrize("name", ["gpt3:175b", "mistral", "gemma3", "mixtral"])
def test_a_large_model_is_made_small_and_does_the_same(name: str) -> None:
    large = elaborate(open_spec(name), {})
    small, changes = made_small(name)
    assert small.parameter_count <= 2 * ENOUGH
    assert structure(small) == structure(large)
    assert all(before != now for before, now in changes.values())
    if "band" in changes:
        assert small.sizes["band"] < 20 if "band" in small.sizes else small.hyperparameters["band"] < 20


def test_many_heads_become_few() -> None:
    """Also where they cannot be halved: 31 of 62 would be left, and each attends to hundreds of places."""
    assert made_small("dalle")[0].hyperparameters["heads"] == FEWEST


def test_sizes_that_were_refused_are_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor those that nobody would want."""
    tried: list[dict[str, Any]] = []
    made = reducing._made

    def noted(spec: Any, settings: Any, *rest: Any) -> Any:
        tried.append(dict(settings))
        return made(spec, settings, *rest)

    monkeypatch.setattr(reducing, "_made", noted)
    stays = {"width": 64, "heads": 16, "head": 4, "kv_heads": 4, "hidden": 14, "vocab": 8000}
    reduced(open_spec("mistral"), stays)
    assert len(tried) > 9
    assert all(settings not in tried[:at] for at, settings in enumerate(tried))


def test_a_slope_is_taken_by_no_more_steps_than_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """One where it agrees; all where it does not."""
    points: list[float] = []
    at = slopes.Slope.at

    def noted(self: Any, direction: Any, step: float) -> float:
        points.append(abs(step))
        return at(self, direction, step)

    monkeypatch.setattr(slopes.Slope, "at", noted)
    (finding,) = found(slopes.finite_differences, "x = tanh(linear(x, width) as up)")
    assert finding.status == "OK"
    assert {*points} == {0.0, slopes.STEPS[0]}
    monkeypatch.setattr(Tanh, "gradient", lambda *given: (given[2],))
    (finding,) = found(slopes.finite_differences, "x = tanh(linear(x, width) as up)")
    assert finding.status == "FAIL"
    assert {*points} == {0.0, *slopes.STEPS}


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
