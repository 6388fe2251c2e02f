"""What a plan says of collectives is what the graph of one device has, as it is derived from the layout."""

from __future__ import annotations

import pytest

from attndsl.elaborate import elaborate, open_spec
from attndsl.layouts import choose_layout
from attndsl.layouts.laid_out import lay_out
from attndsl.planning import ParallelPlan, machine, work_of
from attndsl.planning.laid_out import plan_of
from attndsl.planning.prediction import predict
from attndsl.planning.share import Share
from attndsl.planning.traffic import traffic

SIZES = {"B": 2, "T": 1024}  # of what one device computes


def moves(laid, dimension: str, *, backward: bool, inside: bool) -> list[tuple[str, int]]:
    """The collectives on a dimension, in bfloat16: those of a layer's tokens, or those of parameters."""
    sizes = {**laid.whole.sizes, "B": SIZES["B"] * laid.layout.mesh.size("data"), "T": SIZES["T"]}
    return sorted(
        (move.collective, move.bytes.value(sizes) // 2)
        for move in laid.moves
        if move.on == dimension and move.in_backward == backward and ("*" in move.scope) == inside
        and bool({"B", "T"} & {name for axis in move.type.axes for name in axis.size.symbols}) == (dimension != "data")
        and move.type.rank > 2 - (dimension == "data")
    )  # fmt: skip


@pytest.mark.parametrize("spec", ["gpt3", "llama:3-8b", "mistral", "gpt_neox"])
def test_tensor_parallelism_moves_what_the_derived_graph_moves(spec):
    opened = open_spec(spec)
    graph = elaborate(opened, {})
    hidden = "4*width" if spec == "gpt3" else "hidden"
    layout = choose_layout(f"data=2, model=4; B on data; heads, {hidden} on model; parameters whole", opened, graph)
    work = work_of(graph, layout=layout)
    plan = plan_of(layout, work, ParallelPlan(batch=4, micro_batch=2))
    share = Share(work, plan, SIZES)
    layer = next(segment for segment in work.segments if segment.carried)
    laid = lay_out(graph, layout)
    for backward in (False, True):
        counted = sorted(
            (each.kind, int(each.size)) for each in traffic(share, layer, machine("h100x8"), backward=backward)
        )
        assert counted == moves(laid, "model", backward=backward, inside=True)
        assert counted


@pytest.mark.parametrize("spec", ["gpt2", "llama:3-8b"])
def test_divided_parameters_are_gathered_as_in_the_derived_graph(spec):
    opened = open_spec(spec)
    graph = elaborate(opened, {})
    laid = lay_out(graph, choose_layout("data=8; B on data", opened, graph))
    work = work_of(graph)
    share = Share(work, ParallelPlan(data=8, batch=8), SIZES)
    layer = next(segment for segment in work.segments if segment.carried)
    for kind, backward in (("all_gather", False), ("reduce_scatter", True)):
        found = [size for name, size in moves(laid, "data", backward=backward, inside=True) if name == kind]
        matrices = sum(2 * share.count(extent) for extent in layer.weights if len(extent) > 1)
        assert sum(found) == matrices


@pytest.mark.parametrize(
    "text", ["stages=4, data=2; B on data; h on stages in 8 microbatches", "stages=3; h on stages"]
)
def test_stages_send_what_they_send_in_the_derived_graph(text):
    opened = open_spec("gpt2")
    graph = elaborate(opened, {})
    layout = choose_layout(text, opened, graph)
    work, laid = work_of(graph, layout=layout), lay_out(graph, layout)
    n = layout.mesh.size("stages")
    rows = 8 * n
    plan = plan_of(layout, work, ParallelPlan(batch=rows, micro_batch=2 if "data" in text else 8))
    sizes = {**laid.whole.sizes, "B": rows, "T": 1024}
    sent = dict[str, int]()
    for move in laid.moves:
        if move.on == "stages":
            kind = {"shift": "send"}.get(move.collective, move.collective)
            sent[kind] = sent.get(kind, 0) + (move.bytes * move.times).value(sizes) // 2
    moved = {each.kind: each for each in predict(work, plan, machine("h100x8"), {"T": 1024}).moved}
    assert sent == {"send": moved["send"].size, "all_reduce": moved["all_reduce"].size * n / (n - 1) / 2}
