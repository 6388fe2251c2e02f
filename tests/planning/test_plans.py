"""Layouts as plans, and what cannot be carried out."""

from __future__ import annotations

import json

import pytest

from attndsl.diagnostics import AttnError, collected
from attndsl.elaborate import elaborate, open_spec, open_text
from attndsl.layouts import choose_layout
from attndsl.layouts.laid_out import lay_out
from attndsl.planning import ParallelPlan as Plan
from attndsl.planning import StepPrediction, machine, predict, work_of
from attndsl.planning.laid_out import layout_text, microbatches, plan_of
from attndsl.planning.machines import DeviceGroup
from attndsl.planning.plan import CHOICES, WORDS, ParameterKind
from attndsl.planning.request import plan_on_paper, read_tokens
from attndsl.planning.shown import written
from attndsl.planning.work import batch_axis
from attndsl.records import replace

H100 = machine("h100x8")


def planned(spec: str, layout: str, **choices: object) -> Plan:
    opened = open_spec(spec)
    graph = elaborate(opened, {})
    found = choose_layout(layout, opened, graph)
    return plan_of(found, work_of(graph, layout=found), Plan(**choices))


def test_a_layout_says_the_degrees_of_a_plan():
    plan = planned("gpt2", "data=2, model=4; B on data; heads, 4*width, vocab on model; T on model")
    assert (plan.data, plan.tensor, plan.context, plan.sequence, plan.parameters) == (2, 4, 1, True, "divided")
    plan = planned("gpt2", "replica=2, data=2, model=4; B on replica; B on data; heads on model; parameters whole")
    assert (plan.data, plan.tensor, plan.sequence, plan.parameters) == (4, 4, False, "whole")
    plan = planned("llama", "data=2, tokens=8; B on data; T on tokens")
    assert (plan.data, plan.tensor, plan.context, plan.sequence) == (2, 1, 8, False)
    plan = planned("mixtral", "data=8; B on data; expert on data")
    assert (plan.data, plan.experts) == (8, 8)


def test_rows_are_those_of_the_batch_whatever_comes_first():
    spec = open_text("""model M(width=8) {
  input at: int[T] where at < 8
  input x: [B, T, width]
  x += embedding(at, 8, width) as wpe
  output y = linear(x, width)
}
""")
    graph = elaborate(spec, {})
    layout = choose_layout("data=2; B on data", spec, graph)
    work = work_of(graph, layout=layout)
    assert plan_of(layout, work, Plan()).data == 2
    assert batch_axis(work) == "B"
    assert layout_text(Plan(data=2), work).startswith("data=2; B on data")


def test_replicas_have_the_same_part_of_divided_parameters():
    plan = planned("llama:3-8b", "replica=2, data=8; B on replica; B on data; parameters on data", batch=16)
    assert (plan.data, plan.dividing(ParameterKind()).dimensions) == (16, ((8, 1),))
    work = work_of(elaborate(open_spec("llama:3-8b"), {}))
    found = predict(work, plan, H100, {"T": 4096})
    alone = predict(work, replace(plan, mesh=()), H100, {"T": 4096})
    assert found.memory.states == pytest.approx(2 * alone.memory.states)
    assert {each.kind for each in found.moved} - {each.kind for each in alone.moved} == {"all_reduce"}


def test_what_no_rule_names_stays_whole():
    opened = open_spec("gpt2")
    graph = elaborate(opened, {})
    sizes = []
    for rules in ("heads on model", "heads, 4*width on model", "heads, 4*width, vocab on model"):
        layout = choose_layout(f"model=4; {rules}", opened, graph)
        work = work_of(graph, layout=layout)
        sizes.append(predict(work, plan_of(layout, work, Plan()), H100, {"T": 1024}))
    weights = [found.memory.states for found in sizes]
    assert weights[0] > weights[1] > weights[2]
    assert weights[0] - weights[1] == pytest.approx(12 * 12 * (8 * 768**2 + 4 * 768) * 3 / 4)
    with pytest.raises(AttnError, match=r"E0953.*plans leave whole what stands between layers"):
        planned("llama:3-8b", "model=2; width on model")
    with pytest.raises(
        AttnError, match=r"E0953.*`T` on `context`: plans divide the tokens of one text only"
    ) as refused:
        planned("t5", "data=4, context=2; B on data; S, T on context")
    assert "lay the batch there: `B on context`" in str(refused.value)
    for layout in ("data=2, e=4; B on data; expert on e", "data=2, e=4; B on data"):
        with pytest.raises(AttnError, match=r"E0953.*nothing that a plan can divide lies on `e`") as refused:
            planned("mixtral", layout)
        assert "lay the batch there: `B on e`" in str(refused.value)
    with pytest.raises(AttnError, match=r"E0953.*`n` on `model`: plans have experts on devices that have other rows"):
        planned("mixtral", "data=4, model=2; B on data; n on model; heads on model; parameters whole")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tensor": 8}, "tensor 8 does not divide heads = 12"),
        ({"data": 3}, "the batch of 8 rows does not divide by data 3"),
        ({"micro_batch": 16}, "a micro-batch of 16 rows on data 1 is more than the batch of 8"),
        ({"stages": 8, "virtual": 2}, "8 × 2 stages are more than 12 layers fill"),
        ({"virtual": 2}, "virtual stages need stages"),
        ({"virtual": 2, "stages": 2}, "virtual stages need `schedule=1f1b`"),
        ({"stages": 8}, "the 12 layers of `repeat h` cannot be divided into 8 stages"),
        ({"experts": 2}, "experts 2 does not divide data × context 1"),
        ({"precision": "fp8", "machine": "a100-80x8"}, "a100-80x8 has no products in fp8"),
        ({"attention": "flash9"}, "h100x8 has no attention kernel `flash9`"),
        ({"context": 3}, "context 3 does not divide the tokens of one text, T = 1024"),
        (
            {"context": 3, "tensor": 2, "sequence": True},
            "context 3 × tensor 2 does not divide the tokens of one text, T = 1024",
        ),
        (
            {"tensor": 3, "stages": 2, "schedule": "1f1b", "sequence": True},
            "tensor 3 does not divide the tokens of one text, T = 1024",
        ),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused(changes, said):
    on = machine(changes.pop("machine", "h100x8"))
    with pytest.raises(AttnError, match=r"E0953") as caught:
        predict(work_of(elaborate(open_spec("gpt2"), {})), replace(Plan(batch=8), **changes), on, {"T": 1024})
    assert said in str(caught.value)


def test_stages_keep_what_is_in_flight():
    """The first of p stages keeps p micro-batches, with v virtual stages p + (p - 1) / v (Korthikanti et al., 2022,
    section 4.2.3), and no stage more than there are."""
    work = work_of(elaborate(open_spec("gpt3"), {"depth": 32, "vocab": 64}))

    def kept(**changes: int) -> float:
        return predict(
            work, replace(Plan(stages=8, batch=64, schedule="1f1b"), **changes), H100, {"T": 2048}
        ).memory.activations

    one = kept(batch=1)
    assert kept() == pytest.approx(8 * one, rel=0.02)
    assert kept(virtual=4) == pytest.approx((8 + 7 / 4) * one, rel=0.02)
    assert kept(batch=3) == pytest.approx(3 * one, rel=0.02)


def test_stages_that_are_alike_keep_all_micro_batches():
    """What a share of the layers makes of each (Huang et al., 2019)."""
    work = work_of(elaborate(open_spec("gpt3"), {"depth": 32, "vocab": 64}))

    def predicted(**changes: int) -> StepPrediction:
        return predict(work, replace(Plan(stages=8, batch=64, kernels="eager"), **changes), H100, {"T": 2048})

    found, short, one = predicted(), predicted(batch=8), predicted(stages=1, batch=1)
    kept = one.memory.activations / 8  # of one micro-batch in a stage
    assert found.memory.activations == pytest.approx(64 * kept, rel=0.05)
    assert short.memory.activations == pytest.approx(8 * kept, rel=0.05)
    assert short.parts["bubble"] == pytest.approx(found.parts["bubble"])
    busy = sum(found.parts[name] for name in ("products", "attention", "memory"))
    assert found.parts["bubble"] == pytest.approx(7 / 64 * busy, rel=0.1)


def test_a_window_and_a_causal_mask_leave_part_of_attention():
    causal = predict(work_of(elaborate(open_spec("llama:3-8b"), {})), Plan(), H100, {"T": 8192})
    assert causal.hidden == pytest.approx(3 * 32 * 4 * 8192**2 * 4096 / 2)
    assert causal.seen_mfu < causal.mfu
    window = predict(work_of(elaborate(open_spec("mistral"), {})), Plan(), H100, {"T": 32768})
    assert window.seen_mfu < 0.7 < window.mfu
    everything = predict(work_of(elaborate(open_spec("bert"), {})), Plan(), H100, {"T": 512})
    assert everything.seen_mfu == everything.mfu


def test_a_layout_that_a_file_declares(attndsl, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    declared = "layout tensor for Llama over (data=2, model=4) {\n  B on data\n  heads, hidden, vocab on model\n}\n"
    text = attndsl("show", "llama").out
    (tmp_path / "my.attn").write_text(text + "\n" + declared, encoding="utf-8")
    done = attndsl("inspect", "my.attn", "--machine", "h100x8", "--layout", "tensor(data=4)", "--size", "B=16,T=2048")
    assert (done.code, done.err) == (0, "")
    assert "16 devices of h100x8 (2 nodes)" in done.out
    assert "data 4 × tensor 4" in done.out


def test_parameters_that_lie_where_tokens_do_are_a_layout():
    """Of one long text."""
    opened = open_spec("llama:3-8b")
    graph = elaborate(opened, {"context": 262144})
    asked = {"machine_name": "h100x8", "nodes": 2, "sizes": {"B": 1, "T": 262144}}
    found = plan_on_paper(opened, graph, layout=None, choices="attention=flash2", searching=True, **asked)
    assert found.best.plan.data == 1
    assert "parameters on context" in found.layout
    again = plan_on_paper(opened, graph, layout=found.layout, choices=written(found.best.plan), **asked)
    assert again.plan == found.best.plan
    assert again.memory.total == pytest.approx(found.best.memory.total, rel=1e-9)


def test_what_stages_do_with_parameters_is_said(attndsl):
    argv = ("inspect", "gpt2", "--machine", "h100x8", "--layout", "stages=2, data=4; h on stages; B on data")
    argv = (*argv, "--plan", "schedule=1f1b", "--json")
    assert json.loads(attndsl(*argv).out)["plan"]["parameters"] == "states"


def test_layers_in_stages_are_a_layout():
    opened = open_spec("llama:3-8b")
    graph = elaborate(opened, {})
    work = work_of(graph)
    plan = Plan(stages=4, data=2, tensor=4, batch=64, micro_batch=2, sequence=True, parameters="states")
    layout = choose_layout(layout_text(plan, work), opened, graph)
    assert "layer on stages in 16 microbatches" in str(layout)
    assert microbatches(layout) == plan.micro_batches == 16
    assert plan_of(layout, work, plan) == plan
    asked = {"machine_name": "h100x8", "nodes": None, "choices": "", "sizes": {"B": 64, "T": 2048}}
    found = plan_on_paper(opened, graph, layout="stages=4, data=2; layer on stages; B on data", **asked)
    assert (found.plan.stages, found.plan.micro_batch) == (4, 8)
    for text, said in (
        ("data=2, stages=4; layer on stages; B on data", "let `stages=4` be the first dimension"),
        ("stages=4, data=2; layer on stages; B on data; vocab on stages", "nothing but layers on `stages`"),
        (
            "stages=5; layer on stages in 4 microbatches",
            "the 32 layers of `repeat layer` cannot be divided into 5 stages",
        ),
        (
            "stages=4, data=2; layer on stages in 5 microbatches; B on data",
            "64 rows cannot be divided over data 2 and 5",
        ),
    ):
        with pytest.raises(AttnError, match=r"E0953|E1005") as refused:
            plan_on_paper(opened, graph, layout=text, **asked)
        assert said in str(refused.value)


def test_what_is_said_twice_or_has_no_effect_is_refused():
    asked = {"machine_name": "h100x8", "nodes": None, "sizes": {"B": 64}}

    def refused(spec: str, layout: str | None, choices: str, **more: bool) -> str:
        opened = open_spec(spec)
        with pytest.raises(AttnError, match="E0953") as found:
            plan_on_paper(opened, elaborate(opened, {}), layout=layout, choices=choices, **asked, **more)
        return str(found.value)

    stages = "stages=4; h on stages in 16 microbatches"
    assert "64 rows in 16 microbatches of 4 on each device" in refused("gpt2", stages, "micro_batch=1")
    whole = "data=2; B on data; parameters whole"
    assert "`parameters=divided`: the layout leaves parameters whole" in refused("gpt2", whole, "parameters=divided")
    assert "`--search` divides them" in refused("gpt2", None, "loss=chunked", searching=True)
    assert "those of `repeat block` are whole" in refused("t5:nano", "stages=2; encoder.block on stages", "")
    opened = open_spec("gpt2")
    plan_on_paper(opened, elaborate(opened, {}), layout=stages, choices="micro_batch=4", **asked)


def test_the_help_has_all_that_a_plan_may_say(attndsl):
    said = "".join(attndsl("inspect", "--help").out.split())
    for name, words in WORDS.items():
        assert f"{name}={'|'.join(words)}" in said
    assert all(f"{name}=" in said for name in CHOICES)


def tensor(plan: Plan) -> DeviceGroup:
    return plan.tensor_group


def data(plan: Plan) -> DeviceGroup:
    return plan.dividing(ParameterKind())


def copies(plan: Plan) -> DeviceGroup:
    return plan.repeating(ParameterKind())


def experts(plan: Plan) -> DeviceGroup:
    return plan.expert_group


@pytest.mark.parametrize(
    ("spec", "layout", "group", "dimensions"),
    [
        ("llama:3-8b", "data=4, model=4, context=2; B on data; heads on model; T on context", data, ((4, 8),)),
        ("llama:3-8b", "data=4, model=4, context=2; B on data; heads on model; T on context", copies, ((2, 1),)),
        ("llama:3-8b", "data=4, context=2, model=4; B on data; heads on model; T on context", copies, ((2, 4),)),
        ("llama:3-8b", "replica=4, data=8; B on replica; B on data", data, ((4, 8),)),
        ("llama:3-8b", "replica=4, data=8; B on replica; B on data", copies, ((8, 1),)),
        ("llama:3-8b", "replica=4, data=8; B on replica; B on data; parameters on data", data, ((8, 1),)),
        ("llama:3-8b", "context=4; T on context; parameters on context", data, ((4, 1),)),
        ("mixtral", "data=4, context=8; B on data; T on context; n on data", experts, ((4, 8),)),
        ("mixtral", "data=4, context=2; B on data; T on context; n on data; n on context", experts, ((8, 1),)),
        ("mixtral", "data=4, model=2, context=2; B on data; T on context; n on data; n on context; heads on model",
         experts, ((4, 4), (2, 1))),
    ],
)  # fmt: skip
def test_groups_are_those_of_the_mesh(spec, layout, group, dimensions):
    assert group(planned(spec, layout)).dimensions == dimensions


def test_experts_are_divided_where_they_lie_and_where_parameters_are():
    plan = planned("mixtral", "data=4, experts=2, context=2; B on data; B on experts; T on context; n on experts")
    assert plan.dividing(ParameterKind(experts=True)).dimensions == ((4, 4),)
    assert plan.repeating(ParameterKind(experts=True)).dimensions == ((2, 1),)
    assert plan == Plan(data=8, experts=2, context=2, mesh=plan.mesh)
    with pytest.raises(AttnError, match=r"E0953.*`parameters on model`.*where rows or tokens lie"):
        planned("gpt2", "data=2, model=4; B on data; heads on model; parameters on model")


def test_collectives_of_one_kind_in_several_groups_are_told_apart():
    plan = planned("mixtral", "data=4, experts=2; B on data; B on experts; n on experts", batch=8)
    moved = predict(work_of(elaborate(open_spec("mixtral"), {})), plan, H100, {"T": 1024}).moved
    assert {each.group.size for each in moved if (each.kind, each.over) == ("all_reduce", "data")} == {2}
    plan = planned("mixtral", "replica=2, data=4; B on replica; B on data; n on replica; parameters on data", batch=8)
    plan = replace(plan, parameters="states")
    moved = predict(work_of(elaborate(open_spec("mixtral"), {})), plan, H100, {"T": 1024}).moved
    assert {each.group.size for each in moved if (each.kind, each.over) == ("all_gather", "data")} == {4, 8}


def test_the_order_of_a_mesh_says_which_devices_are_near():
    near = planned("llama:3-8b", "data=8, model=8; B on data; heads, hidden, vocab on model", batch=8)
    far = planned("llama:3-8b", "model=8, data=8; B on data; heads, hidden, vocab on model", batch=8)
    assert [group(near).dimensions for group in (tensor, data)] == [((8, 1),), ((8, 8),)]
    assert [group(far).dimensions for group in (tensor, data)] == [((8, 8),), ((8, 1),)]
    work = work_of(elaborate(open_spec("llama:3-8b"), {}))
    inside, across = (predict(work, plan, H100, {"T": 8192}).parts["tensor"] for plan in (near, far))
    assert across > 3 * inside


def test_the_command(attndsl, tmp_path):
    layout = "data=2, model=4; B on data; heads, 4*width on model; T on model"
    argv = ["inspect", "gpt2", "--machine", "h100x8", "--layout", layout, "--size", "B=64"]
    done = attndsl(*argv, "--json", "--tokens", "10G", "--plan", "micro_batch=4, recompute=full")
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    assert found["schema"] == "attndsl.plan/1"
    assert found["plan"] | {"data": 2, "tensor": 4, "micro_batch": 4, "recompute": "full"} == found["plan"]
    assert sum(found["parts"].values()) == pytest.approx(found["seconds"])
    assert found["days"] == pytest.approx(10e9 / found["tokens_per_second"] / 86400)
    assert found["memory"]["total"] == pytest.approx(sum(found["memory"].values()) / 2)
    both = attndsl("inspect", "gpt2", "llama:3-8b", "--machine", "h100x8", "--search", "--nodes", "2")
    assert both.code == 0
    assert both.out.count("the fastest of") == 2
    for more, said in (
        (["--nodes", "2"], "the plan takes 8 devices, and 2 nodes have 16"),
        (["--plan", "virtual=0"], "`virtual` is a whole number of at least 1"),
        (["--plan", "recompute=all"], "`recompute` is none, selective or full"),
        (["--plan", "parameters=whole, micro_batch=2, parameters=states"], "`parameters` is said twice"),
        (["--plan", "virtul=2"], "did you mean `virtual`?"),
        (["--plan", "stages=2"], "a plan has no `stages`"),
    ):
        done = attndsl(*argv, *more)
        assert done.code == 1
        assert said in done.err
    for argv, said in (
        (["inspect", "gpt2", "--nodes", "2"], "needs a `--machine`"),
        (["inspect", "gpt2", "--layout", ""], "needs a `--machine`"),
        (["inspect", "gpt2", "--machine", "h100x8", "--search", "--layout", ""], "leave out `--layout`"),
        (["inspect", "gpt2", "--machine", "h100x8", "--search", "--layout", layout], "leave out `--layout`"),
        (["inspect", "gpt2", "--machine", "h100x8", "--tokens", "many"], "`many` is not a number of tokens"),
        (["inspect", "gpt2", "--machine", "h100x8", "--latex"], "a plan is printed as text"),
    ):
        done = attndsl(*argv)
        assert done.code == 2
        assert said in done.err


def test_a_layout_of_nothing_is_none():
    opened = open_spec("gpt2")
    graph = elaborate(opened, {})
    with pytest.raises(AttnError, match="E0010"):
        plan_on_paper(opened, graph, machine_name="h100x8", nodes=None, layout="", choices="", sizes={})


def test_pictures_are_rows_and_a_node_that_is_not_full_is_one(attndsl):
    argv = ("inspect", "vit:nano", "--machine", "h100x8", "--layout", "data=12; B on data", "--size", "B=12")
    done = attndsl(*argv)
    assert "12 devices of h100x8 (2 nodes)" in done.out
    assert "step     12 rows; 1 micro-batch of 1\n" in done.out
    assert "rows/s on each device" in done.out
    assert "token" not in done.out
    assert {"tokens", "tokens_per_second"}.isdisjoint(json.loads(attndsl(*argv, "--json").out))
    refused = attndsl(*argv, "--tokens", "1G")
    assert refused.code == 1
    assert "E0953" in refused.err
    assert "the model reads no text" in refused.err


@pytest.mark.parametrize(("text", "value"), [("300G", 3e11), ("15T", 1.5e13), ("1e9", 1e9), ("2.5B", 2.5e9)])
def test_numbers_of_tokens(text, value):
    assert read_tokens(text) == value
    for wrong in ("", "G", "-1", "nan", "inf", "1X"):
        with pytest.raises(ValueError, match=r".*"):
            read_tokens(wrong)


def test_what_a_layout_leaves_whole_is_warned_of(attndsl):
    layout = "data=5; B on data"
    done = attndsl("inspect", "gpt2", "--machine", "h100x8", "--layout", layout, "--size", "B=5,T=64")
    assert done.code == 0
    assert "warning[W1003]: `wte.table`" in done.err


def test_words_that_do_not_divide_are_left_whole():
    """GPT-3 has 50,257 words."""
    opened = open_spec("gpt3:175b")
    graph = elaborate(opened, {})
    with pytest.raises(AttnError, match=r"E1004") as refused:
        lay_out(graph, choose_layout("model=8; vocab on model", opened, graph))
    for way in ("or make it a multiple of 8: `--set vocab=50304`", "or leave it whole along `model`"):
        assert way in str(refused.value)
    assert "vocab" not in layout_text(Plan(tensor=8), work_of(graph))


def test_a_given_layout_is_planned_if_it_can_be_trained():
    """Other engines pad words, and give some stages fewer layers."""
    opened = open_spec("gpt2")
    graph = elaborate(opened, {})
    asked = {"machine_name": "h100x8", "nodes": None, "sizes": {"B": 40}}
    words, five = "model=8; vocab on model", "stages=5, model=2; h on stages; vocab on model"
    with pytest.raises(AttnError, match=r"(?s)E1004.*multiple of 8: `--set vocab=50304`"):
        plan_on_paper(opened, graph, layout=words, choices="", **asked)
    with pytest.raises(AttnError, match="E1005"):
        plan_on_paper(opened, graph, layout=five, choices="", **asked)
    found = plan_on_paper(opened, graph, layout=five, choices="schedule=1f1b", **asked)
    assert isinstance(found, StepPrediction)
    assert found.plan.stages == 5


def test_rows_that_a_model_fixes_are_not_planned():
    text = open_text("model M {\n  input x: [4, T, 8]\n  output y = linear(x, 8)\n}\n")
    asked = {"machine_name": "h100x8", "nodes": None, "choices": "", "sizes": {"T": 8}}
    for searching in (False, True):
        with pytest.raises(AttnError, match=r"(?s)E0953.*how many rows.*`input x: \[B, …\]`"):
            plan_on_paper(text, elaborate(text, {}), layout=None, searching=searching, **asked)


def test_parameters_outside_of_stages_are_gathered_once():
    """Forwards and backwards, those of layers for each micro-batch."""
    work = work_of(elaborate(open_spec("gpt2"), {}))
    plan = Plan(data=2, stages=2, batch=16, parameters="divided")
    moved = {each.kind: each for each in predict(work, plan, H100, {"T": 128}).moved if each.over == "data"}
    layers, outside = 12 * 7_087_872 / 2, (50257 + 1024) * 768 + 2 * 768
    assert moved["all_gather"].size == pytest.approx(2 * (layers * plan.micro_batches + outside) * 2 / 2, rel=1e-3)
    assert moved["reduce_scatter"].size == pytest.approx((layers * plan.micro_batches + outside) * 4 / 2, rel=1e-3)


def test_parameters_that_a_layout_leaves_whole_are_counted_so():
    """5 divides no axis of a matrix of 48 and 100 divides one of them: states of 12 bytes, of the former five times."""
    text = open_text(
        "model M {\n  input x: [B, T, 48]\n  output y = x |> linear(96, bias=false) |> linear(100, bias=false)\n}\n"
    )
    graph = elaborate(text, {})
    asked = {"machine_name": "h100x8", "nodes": None, "sizes": {"B": 5, "T": 8}, "layout": "data=5; B on data"}
    with collected() as told:
        found = plan_on_paper(text, graph, choices="", **asked)
    assert isinstance(found, StepPrediction)
    assert found.memory.states == 12 * (48 * 96 + 96 * 100 / 5)
    moved = {each.kind: each for each in found.moved}
    assert moved["reduce_scatter"].size == pytest.approx(4 * 96 * 100 * 4 / 5)
    assert moved["all_reduce"].size == pytest.approx(2 * 4 * 48 * 96 * 4 / 5)
    assert [each.code for each in told] == ["W1003"]
    with collected() as told:
        states = plan_on_paper(text, graph, choices="parameters=states", **asked)
    assert isinstance(states, StepPrediction)
    assert states.memory.states == 12 * (48 * 96 + 96 * 100) / 5  # one behind the other
    assert not told
