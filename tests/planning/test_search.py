"""What the search proposes: the fastest of all that fit, of those that can be laid out, and the runner-up."""

from __future__ import annotations

import pytest

from attndsl.diagnostics import AttnError, error
from attndsl.elaborate import elaborate, open_spec, open_text
from attndsl.layouts import choose_layout
from attndsl.layouts.laid_out import lay_out
from attndsl.ops import Repeat
from attndsl.planning import ParallelPlan as Plan
from attndsl.planning import StepPrediction, machine, predict, work_of
from attndsl.planning.laid_out import layout_text
from attndsl.planning.request import plan_on_paper
from attndsl.planning.search import SearchResult, _candidates, search
from attndsl.planning.shown import written
from attndsl.records import replace

H100 = machine("h100x8")


def test_the_search_finds_what_is_the_fastest_of_all_that_fit():
    work = work_of(elaborate(open_spec("gpt3:6_7b"), {}))
    plan = Plan(batch=256, attention="flash3")
    choice = search(work, plan, H100, 32, {"T": 2048})
    assert choice.best.fits
    assert choice.runner_up is not None
    assert choice.runner_up.fits
    assert choice.best.seconds <= choice.runner_up.seconds
    assert sum(part for _, part in choice.reasons) == pytest.approx(choice.runner_up.seconds - choice.best.seconds)
    for tensor, stages in ((1, 1), (2, 1), (8, 1), (1, 4), (4, 4), (8, 4)):
        for micro in (1, 2):
            for recompute in ("none", "selective", "full"):
                other = replace(
                    plan, data=32 // tensor // stages, tensor=tensor, stages=stages, sequence=tensor > 1,
                    micro_batch=micro, recompute=recompute, parameters="states" if stages > 1 else "divided",
                )  # fmt: skip
                found = predict(work, other, H100, {"T": 2048})
                assert not found.fits or found.seconds >= choice.best.seconds
    text = open_text("model M(width=10000000) {\n  input x: [R, width]\n  output y = linear(x, width)\n}\n")
    with pytest.raises(AttnError, match=r"E0954.*no plan for 8 devices of h100x8 fits") as refused:
        search(work_of(elaborate(text, {})), Plan(batch=8), H100, 8, {})
    assert "`--size R=…`" in str(refused.value)
    with pytest.raises(AttnError, match=r"E0954.*no plan for 8 devices of h100x8 fits"):
        search(work_of(elaborate(open_spec("gpt3:175b"), {})), plan, H100, 8, {"T": 2048})


def searched(spec: str, nodes: int, batch: int, tokens: int) -> tuple[SearchResult, StepPrediction]:
    """What the search proposes, and what its layout and choices given back come to."""
    opened = open_spec(spec)
    graph = elaborate(opened, {})
    asked = {"machine_name": "h100x8", "nodes": nodes, "sizes": {"B": batch, "T": tokens}}
    found = plan_on_paper(opened, graph, layout=None, choices="", searching=True, **asked)
    return found, plan_on_paper(opened, graph, layout=found.layout, choices=written(found.best.plan), **asked)


@pytest.mark.parametrize(
    ("spec", "nodes", "batch", "tokens", "left_out"),
    [
        ("llama:3-8b", 8, 256, 4096, ""),
        ("mixtral", 8, 256, 4096, ""),
        ("mixtral", 512, 1024, 1024, ""),  # stages whose experts are divided
        ("gpt3:175b", 16, 512, 2048, "vocab"),
    ],
)
def test_what_the_search_proposes_is_a_layout(spec, nodes, batch, tokens, left_out):
    found, again = searched(spec, nodes, batch, tokens)
    assert again.plan == found.best.plan
    assert again.seconds == pytest.approx(found.best.seconds, rel=1e-9)
    assert found.runner_up is None or found.runner_up.plan.describe() != found.best.plan.describe()
    assert again.memory.total == pytest.approx(found.best.memory.total, rel=1e-9)
    if left_out:
        assert found.best.plan.tensor > 1
        assert left_out not in found.layout


def test_the_search_keeps_what_is_given():
    opened = open_spec("gpt2")
    graph = elaborate(opened, {})
    asked = {"machine_name": "h100x8", "nodes": 1, "layout": None, "sizes": {"B": 64, "T": 512}, "searching": True}
    for given in (
        {"micro_batch": 8, "recompute": "full", "parameters": "whole"},
        {"virtual": 3, "schedule": "1f1b", "micro_batch": 1},
    ):
        found = plan_on_paper(opened, graph, choices=",".join(f"{name}={it}" for name, it in given.items()), **asked)
        for prediction in (found.best, found.runner_up):
            assert {name: getattr(prediction.plan, name) for name in given} == given
    with pytest.raises(AttnError, match=r"E0954[^`]*and what `--plan` says"):
        plan_on_paper(opened, graph, choices="micro_batch=65", **asked)


def test_experts_are_on_as_many_devices_as_all_that_is_named_like_them_allows():
    """Its 256 experts are chosen in 8 groups, whole where the rows of a batch lie on the devices of experts."""
    opened = open_spec("deepseek_v3")
    graph = elaborate(opened, {})
    work = work_of(graph)
    tried = _candidates(work, Plan(batch=4096), H100, 2048, {"T": 4096}, {})
    degrees = {plan.experts: plan for plan in tried if plan.context == 1}
    assert sorted(degrees) == [1, 2, 4, 8, 16, 32, 64, 128, 256]
    lay_out(graph, choose_layout(layout_text(degrees[64], work), opened, graph))
    with pytest.raises(AttnError, match="E1004"):
        lay_out(graph, choose_layout("data=2, experts=16; B on data; n on experts", opened, graph))


@pytest.mark.parametrize("spec", ["gpt2", "t5:nano"])
def test_stages_that_the_search_tries_can_be_trained_in(spec):
    opened = open_spec(spec)
    graph = elaborate(opened, {"depth": 6})
    work = work_of(graph)
    tried = {}
    for plan in _candidates(work, Plan(batch=64), H100, 8, dict.fromkeys("ST", 128), {}):
        tried.setdefault(plan.stages, plan)
    assert sorted(tried) == [1, 2]
    layout = choose_layout(layout_text(tried[2], work), opened, graph)
    assert len(lay_out(graph, layout).loops) == sum(isinstance(node.op, Repeat) for node in graph.body.nodes)


def test_a_model_that_no_machine_holds_is_planned_as_quickly_as_a_small_one():
    spec = open_spec("gpt3:175b")
    found = plan_on_paper(
        spec, elaborate(spec, {}), machine_name="h100x8", nodes=16, layout=None, choices="", sizes={"B": 64},
        searching=True,
    )  # fmt: skip
    assert isinstance(found, SearchResult)
    assert found.best.plan.devices == 128
    assert found.best.fits


@pytest.mark.parametrize("spec", ["mixtral:nano", "t5:nano", "gpt_nano"])
def test_what_the_search_tries_is_laid_out_whole(spec):
    """Every rule divides something, and none is empty: one plan of each set of degrees."""
    opened = open_spec(spec)
    graph = elaborate(opened, {})
    work, texts = work_of(graph), {}
    for plan in _candidates(work, Plan(batch=64), H100, 16, dict.fromkeys("ST", 64), {}):
        kind = tuple(getattr(plan, name) > 1 for name in ("data", "tensor", "context", "stages", "experts"))
        texts.setdefault((*kind, plan.experts == plan.data * plan.context), layout_text(plan, work))
    for text in texts.values():
        found = lay_out(graph, choose_layout(text, opened, graph))
        assert not [warning.message for warning in found.warnings if warning.code == "W1002"], text


def test_the_search_leaves_out_what_cannot_be_laid_out():
    work = work_of(elaborate(open_spec("gpt2"), {}))
    asked = (work, Plan(batch=64), H100, 8, {"T": 512})

    def without(*layouts: str) -> SearchResult:
        return search(*asked, refusal=lambda text: why if text in layouts else None)

    why = error("E1004", "12 cannot be divided over the 8 devices along `model`")
    first = without()
    assert first.runner_up is not None
    second = without(first.layout)
    assert second.best.plan == first.runner_up.plan
    third = without(second.layout)  # the runner-up is one that can be laid out, too
    assert (third.best.plan, third.runner_up) == (first.best.plan, second.runner_up)
    with pytest.raises(AttnError, match="E0954") as refused:
        search(*asked, refusal=lambda text: why)
    assert "plans for 8 devices of h100x8 fit, but the model cannot be laid out by them" in str(refused.value)
    assert "of the fastest one: 12 cannot be divided over the 8 devices along `model`" in str(refused.value)


def test_the_search_ends_where_nothing_can_be_laid_out(monkeypatch):
    """Of many degrees: what refuses all of them is no matter of degrees."""
    monkeypatch.setattr("attndsl.planning.search.MOST_REFUSED", 3)
    asked: list[str] = []

    def refusal(layout: str) -> AttnError:
        asked.append(layout)
        return error("E1004", "it cannot be divided")

    with pytest.raises(AttnError, match="E0954"):
        search(work_of(elaborate(open_spec("gpt2"), {})), Plan(batch=64), H100, 8, {"T": 512}, refusal=refusal)
    assert len(asked) == 3


def test_what_divides_nothing_is_not_tried():
    work = work_of(elaborate(open_text("model M {\n  input x: [B, T, 1002]\n  output y = linear(x, 1002)\n}\n"), {}))
    assert {plan.tensor for plan in _candidates(work, Plan(batch=8), H100, 8, {"T": 64}, {})} == {1, 2}


def test_tokens_are_divided_evenly():
    work = work_of(elaborate(open_spec("gpt2"), {}))
    tried = list(_candidates(work, Plan(batch=24), H100, 24, {"T": 100}, {}))
    assert {plan.context for plan in tried} == {1, 2, 4}
    assert all(100 % (plan.context * plan.tensor) == 0 for plan in tried if plan.sequence)


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        (5, "5 divides no axis of some parameters, which are whole"),
        (5, "help: a number of nodes that divides more axes, such as `--nodes 8`, or more nodes, or another batch"),
        (4, "help: more nodes, or another batch"),
    ],
)
def test_what_devices_cannot_divide_is_said_where_nothing_fits(nodes, said):
    """GPT-3 has no axis that 5 divides."""
    work = work_of(elaborate(open_spec("gpt3:175b"), {}))
    with pytest.raises(AttnError, match="E0954") as refused:
        search(work, Plan(batch=8 * nodes, attention="flash3"), H100, 8 * nodes, {"T": 2048})
    assert said in str(refused.value)
    assert ("divides no axis" in str(refused.value)) == (nodes == 5)


def test_virtual_stages_need_their_schedule():
    opened = open_spec("gpt2")
    asked = {"machine_name": "h100x8", "nodes": None, "sizes": {}, "layout": None}
    with pytest.raises(AttnError, match=r"E0953.*virtual stages need `schedule=1f1b`"):
        plan_on_paper(opened, elaborate(opened, {}), choices="virtual=2", searching=True, **asked)
