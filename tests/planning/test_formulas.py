"""What a plan counts is what papers derive by hand, and what `inspect` counts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from attndsl.elaborate import elaborate, open_spec, shipped
from attndsl.inspection import choose_sizes, inspect
from attndsl.planning import ParallelPlan, machine, predict, work_of
from attndsl.planning.machines import DeviceGroup
from attndsl.planning.plan import KINDS
from attndsl.planning.prediction import batch_axis
from attndsl.planning.share import Share
from attndsl.planning.stages import cut
from attndsl.planning.traffic import traffic
from tests.costs import less_than

H100 = machine("h100x8")
GPT = {"depth": 4, "width": 1024, "heads": 16, "head": 64, "vocab": 51200, "p": 0.1}
ROWS, TOKENS, WIDTH, HEADS, DEPTH, VOCAB = 4, 2048, 1024, 16, 4, 51200


@pytest.fixture(scope="module")
def materialised():
    return work_of(elaborate(open_spec("gpt3"), GPT), materialised=True)


def layers(work):
    return next(segment for segment in work.segments if segment.carried)


@pytest.mark.parametrize("spec", sorted(shipped()))
def test_parameters_and_operations_are_those_of_the_model(spec):
    graph = elaborate(open_spec(spec), {})
    work = work_of(graph)
    sizes = {choice.name: choice.value for choice in choose_sizes(graph, {})}
    share = Share(work, ParallelPlan(), sizes)
    held = (s.times * sum(share.parameters(s, kind) for kind in KINDS) for s in work.segments)
    assert sum(held) == graph.parameter_count
    batch = batch_axis(work)
    sizes[batch] = 8
    found = predict(work, ParallelPlan(batch=8), H100, {name: size for name, size in sizes.items() if name != batch})
    # Passes take products of embeddings of positions out of loops, or into them.
    assert found.flops == pytest.approx(3 * inspect(graph, sizes).totals.contraction_flops, rel=1e-5)
    assert found.seen_mfu <= 1


def test_the_operations_of_a_step_are_those_of_the_paper(materialised):
    """Korthikanti et al., 2022, equation 7: 72 B L s h² (1 + s/6h + V/12hL)."""
    found = predict(materialised, ParallelPlan(batch=ROWS, attention="materialised"), H100, {"T": TOKENS})
    paper = 72 * ROWS * DEPTH * TOKENS * WIDTH**2
    paper *= 1 + TOKENS / (6 * WIDTH) + VOCAB / (12 * WIDTH * DEPTH)
    assert found.flops == pytest.approx(paper, rel=1e-12)


@pytest.mark.parametrize("tensor", [1, 2, 8])
@pytest.mark.parametrize("sequence", [False, True])
@pytest.mark.parametrize("recompute", ["none", "selective", "full"])
def test_what_a_layer_keeps_is_that_of_the_paper(materialised, tensor, sequence, recompute):
    """Ibid., table 2: sbh (34 + 5as/h) bytes, of which tensor parallelism divides all but 10, sequence parallelism
    these as well; selective recomputation leaves out 5as/h, and full recomputation keeps 2."""
    plan = ParallelPlan(
        tensor=tensor, sequence=sequence, recompute=recompute, micro_batch=ROWS, attention="materialised",
        kernels="eager",
    )  # fmt: skip
    share = Share(materialised, plan, {"B": ROWS, "T": TOKENS})
    spread = tensor if sequence else 1
    scores = 0 if recompute == "selective" else 5 * HEADS * TOKENS / WIDTH
    paper = 2 / spread if recompute == "full" else 10 / spread + (24 + scores) / tensor
    assert share.kept(layers(materialised)) == pytest.approx(ROWS * TOKENS * WIDTH * paper, rel=1e-9)


def test_tensor_parallel_collectives_are_those_of_the_paper(materialised):
    """Ibid., section 4.2.2: two all-reduces forwards and two backwards, or as many reduce-scatters and all-gathers of
    the same tensors, and two more gathers backwards of what was not kept whole."""
    size = 2 * ROWS * TOKENS * WIDTH
    for sequence, ahead, behind in (
        (False, {"all_reduce": 2}, {"all_reduce": 2}),
        (True, {"all_gather": 2, "reduce_scatter": 2}, {"all_gather": 4, "reduce_scatter": 2}),
    ):
        plan = ParallelPlan(tensor=8, sequence=sequence, micro_batch=ROWS, attention="materialised")
        share = Share(materialised, plan, {"B": ROWS, "T": TOKENS})
        for backward, expected in ((False, ahead), (True, behind)):
            found = traffic(share, layers(materialised), H100, backward=backward)
            assert {each.size for each in found} == {size}
            kinds = [each.kind for each in found]
            assert {kind: kinds.count(kind) for kind in kinds} == expected


def test_rows_that_experts_of_one_node_share_travel_once():
    work = work_of(elaborate(open_spec("mixtral"), {}))
    plan = ParallelPlan(data=8, experts=8, batch=8, dispatch="alltoall")
    share = Share(work, plan, {"B": 1, "T": 1024})
    found = [each for each in traffic(share, layers(work), H100, backward=False) if each.over == "experts"]
    assert [(each.kind, each.size, each.copies) for each in found] == [("all_to_all", 2 * 1024 * 2 * 4096, 2.0)] * 2
    whole = Share(work, replace(plan, dispatch="allgather"), {"B": 1, "T": 1024})
    for backward, kinds in ((False, ["all_gather", "reduce_scatter"]), (True, ["reduce_scatter", "all_gather"])):
        found = [each for each in traffic(whole, layers(work), H100, backward=backward) if each.over == "experts"]
        assert [each.kind for each in found] == kinds
        assert [each.size for each in found] == [8 * 2 * 1024 * 2 * 4096, 8 * 2 * 1024 * 4096]
    far = DeviceGroup(((16, 8),))
    assert H100.exchange(1e9, far, 2.0) < H100.exchange(1e9, far, 1.0) < 2 * H100.exchange(1e9, far, 2.0)


def test_context_parallelism_divides_attention_and_gathers_keys_and_values():
    work = work_of(elaborate(open_spec("llama:3-8b"), {}))
    one = predict(work, ParallelPlan(data=4, batch=8), H100, {"T": 8192})
    four = predict(work, ParallelPlan(context=4, batch=8), H100, {"T": 8192})
    assert four.parts["attention"] == pytest.approx(one.parts["attention"])
    assert four.flops == one.flops
    share = Share(work, four.plan, {"B": 1, "T": 2048})
    (gathered,) = traffic(share, layers(work), H100, backward=False)
    assert gathered.size == 2 * 2 * 8192 * 8 * 128  # keys and values of eight heads, in bfloat16


def test_the_bubble_is_that_of_the_paper():
    """Narayanan et al., 2021, section 2.2: (p - 1) / (m v) of the ideal time, where stages are equal."""
    work = work_of(elaborate(open_spec("gpt3"), {**GPT, "depth": 32, "vocab": 16}))
    for virtual in (1, 4):
        plan = ParallelPlan(stages=8, schedule="1f1b", virtual=virtual, batch=16, parameters="states")
        found = predict(work, plan, H100, {"T": TOKENS})
        ideal = sum(found.parts[name] for name in ("products", "attention", "memory"))
        assert found.parts["bubble"] / ideal == pytest.approx(7 / 16 / virtual, rel=0.02)


def test_memory_of_states_is_that_of_the_paper_with_gradients_in_float32():
    """Rajbhandari et al., 2020, section 3.1, where gradients have 2 bytes of 16 for a parameter: here 4 of 18; 12 of
    them are divided, or all, where the master is the weight."""
    work = work_of(elaborate(open_spec("gpt2"), {}))
    count = work.graph.parameter_count
    for parameters, held in (("whole", 18 * count), ("states", (4 + 2 + 12 / 8) * count), ("divided", 16 / 8 * count)):
        memory = predict(work, ParallelPlan(data=8, batch=8, parameters=parameters), H100, {"T": 64}).memory
        parts = memory.weights + memory.gradients + memory.states
        assert parts == pytest.approx(held)


def test_layers_are_cut_evenly():
    assert cut([1.0] * 8, 4) == [(0, 2), (2, 4), (4, 6), (6, 8)]
    assert cut([1.0] * 6 + [4.0], 3) == [(0, 3), (3, 6), (6, 7)]
    assert cut([1.0] * 3, 5)[-1][1] == 3
    for weights in ([0.1, *[1.0] * 96, 0.4], [1.0] * 7):
        pieces = cut(weights, 5)
        assert [number for first, end in pieces for number in range(first, end)] == list(range(len(weights)))


def test_a_share_of_a_mesh_is_counted_by_its_place():
    assert (DeviceGroup(((8, 1),)).in_node(8), DeviceGroup(((8, 1),)).nodes(8)) == (8, 1)
    assert (DeviceGroup(((16, 8),)).in_node(8), DeviceGroup(((16, 8),)).nodes(8)) == (1, 16)
    assert (DeviceGroup(((16, 2),)).in_node(8), DeviceGroup(((16, 2),)).nodes(8)) == (4, 4)
    assert (DeviceGroup(((8, 3),)).in_node(8), DeviceGroup(((8, 3),)).nodes(8)) == (2, 3)
    assert [DeviceGroup(((3, 1),), among).nodes(8) for among in (3, 6, 9)] == [1, 1, 2]  # the third: 6, 7 and 8
    assert [DeviceGroup(((6, 5),), among).nodes(8) for among in (30, 90)] == [4, 5]
    work = work_of(elaborate(open_spec("gpt2"), {}))
    crossing, within = (predict(work, ParallelPlan(data=n, tensor=3, batch=n), H100, {"T": 1024}) for n in (8, 2))
    assert crossing.parts["tensor"] > 2 * within.parts["tensor"]
    inside, across, alone = (
        H100.gather(1e9, group) for group in (DeviceGroup(((8, 1),)), DeviceGroup(((16, 2),)), DeviceGroup(((16, 8),)))
    )
    assert inside < across < alone


def test_stages_wait_for_the_one_that_sends_to_another_node():
    """Of four stages of four devices, two are on each node."""
    inside, across, alone = (H100.send(1e9, DeviceGroup(((4, stride),))) for stride in (2, 4, 8))
    assert inside < across == alone
    work = work_of(elaborate(open_spec("gpt2"), {}))
    near, far = (predict(work, ParallelPlan(stages=stages, tensor=4, batch=16), H100, {"T": 1024}) for stages in (2, 4))
    assert far.parts["stages"] > 3 * near.parts["stages"]


def test_a_product_is_slower_by_its_shape_or_by_its_bytes():
    large = H100.product(1, 8192, 8192, 8192, "bf16", 3 * 8192**2 * 2)
    flops = 2 * 8192**3
    assert 0.9 < flops / large / (H100.flops["bf16"] * H100.reached["products"]) <= 1
    ragged = H100.product(1, 8192 + 257, 8192, 8192, "bf16", 3 * 8192**2 * 2)
    assert 1 + 257 / 8192 < ragged / large < 1.1  # tiles at the edge are not full, and the last round of them is not
    thin = H100.product(1, 8, 8192, 8192, "bf16", 8192**2 * 2)
    assert thin == pytest.approx(H100.passing(8192**2 * 2))
    assert H100.product(1, 8192, 8192, 8192, "fp8", 0) == pytest.approx(large / 2, rel=0.01)


def test_more_devices_take_no_more_time_to_plan():
    work = work_of(elaborate(open_spec("llama:3.1-405b"), {}))
    plan = ParallelPlan(
        data=96, tensor=8, stages=14, virtual=9, batch=96 * 32, sequence=True, parameters="states", schedule="1f1b"
    )
    assert plan.devices > 10_000
    with less_than(1):
        found = predict(work, plan, H100, {"T": 8192})
    assert 0.3 < found.mfu < 0.6
    twice = predict(work, replace(plan, data=192, batch=192 * 32), H100, {"T": 8192})
    assert found.seconds < twice.seconds < 1.1 * found.seconds
