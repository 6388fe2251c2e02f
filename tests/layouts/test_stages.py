"""Layers in stages: what is derived from a rule that names a repeat, what is sent, and what is refused with which way
out. That it is the same as on one device is in `tests/running`."""

from __future__ import annotations

from collections import Counter

import pytest

from attndsl.diagnostics import AttnError
from attndsl.elaborate import elaborate, open_text
from attndsl.graph import Graph, Node
from attndsl.layouts import choose_layout
from attndsl.layouts.declared import default_layout
from attndsl.layouts.laid_out import LaidOut, lay_out
from attndsl.layouts.telling import tell
from attndsl.ops import Parameter, Repeat, Scan

MODEL = """model M(vocab=64, width=16, heads=4, depth=6, p=0.0) {
  input tokens: int[B, T] where tokens < vocab
  layer wte = embedding(vocab, width)
  x = wte(tokens)
  repeat h in depth {
    x += x |> layer_norm as ln_1 |> attention(heads, mask=causal) as attn |> dropout(p)
    x += x |> layer_norm as ln_2 |> mlp(4 * width) as mlp
  }
  output logits = dot(layer_norm(x) as ln_f, wte.table, over=width)
}
"""


def laid_out(layout: str, text: str = MODEL, **settings: float) -> LaidOut:
    spec = open_text(text)
    graph = elaborate(spec, settings)
    return lay_out(graph, choose_layout(layout, spec, graph))


def refusal(layout: str, text: str = MODEL, **settings: float) -> str:
    with pytest.raises(AttnError) as refused:
        laid_out(layout, text, **settings)
    return str(refused.value)


def loops(graph: Graph) -> tuple[Node, Node]:
    """The loop over the steps, and that over the layers in it."""
    (steps,) = (node for node in graph.body.nodes if isinstance(node.op, Scan) and node.op.path == "h.steps")
    (layers,) = (node for node in steps.regions[0].nodes if isinstance(node.op, Repeat))
    return steps, layers


def test_each_device_has_its_layers() -> None:
    found = laid_out("data=2, stages=3; h on stages; B on data")
    _, layers = loops(found.graph)
    assert isinstance(layers.op, Repeat)
    assert layers.op.count.value(found.graph.sizes) == 2
    names = {rank: found.own_names(rank) for rank in range(6)}
    assert {whole: own for whole, own in names[5].items() if "ln_1.scale" in whole} == {
        "h.4.ln_1.scale": "h.0.ln_1.scale", "h.5.ln_1.scale": "h.1.ln_1.scale",
    }  # fmt: skip
    assert all("wte.table" in own for own in names.values())
    whole = Counter(address for own in names.values() for address in own if address.startswith("h."))
    assert set(whole.values()) == {2}  # the devices along data


def test_a_microbatch_is_handed_on_in_each_step() -> None:
    """Huang et al., 2019 (GPipe, section 2.3): m + s - 1 steps, of which s - 1 are idle."""
    found = laid_out("stages=2; h on stages in 4 microbatches")
    (loop,) = found.loops
    assert (loop.layers, loop.steps, loop.bubble) == (3, 5, 1 / 5)
    shifts = [move for move in found.moves if move.collective == "shift"]
    assert [move.in_backward for move in shifts] == [False, True]
    for move in shifts:
        assert str(move.type) == "float[B=B/4, T, width]"
        assert move.times.known({}) == 5
    sums = Counter(move.in_backward for move in found.moves if move.collective == "all_reduce")
    assert sums == {False: 1, True: 1}  # what comes out of the last stage, and the gradient of what goes into the first


def test_other_rules_apply_in_the_layers_and_outside() -> None:
    """In the layers two sums forward for tensor parallelism; outside, words on the stages (Yeung et al., 2024, arXiv
    2411.05288, divide the vocabulary so)."""
    found = laid_out("stages=2, model=2; h on stages; heads, 4*width on model; vocab on stages")
    inside = Counter((m.collective, m.on) for m in found.moves if m.scope.startswith("h.") and not m.in_backward)
    assert inside == {("all_reduce", "model"): 2}
    assert found.parameters["wte.table", found.whole.parameters[0].type].shown(found.whole.parameters[0].type) == (
        "[vocab/stages, width]"
    )
    logits = next(info.value for info in found.whole.outputs)
    assert found.values[logits][0].shown(logits.type) == "[B, T, vocab/stages]"


def test_rows_on_the_stages_are_rows_outside_of_them() -> None:
    found = laid_out("stages=2; h on stages; B on stages; parameters whole")
    forward = Counter(move.collective for move in found.moves if not move.in_backward)
    assert forward == {"all_gather": 1, "shift": 1, "reduce_scatter": 1}


def test_it_is_told() -> None:
    text = tell(laid_out("stages=2; h on stages in 4 microbatches"))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "h stages 2 3 4 5 1 (20%)" in lines
    (scale,) = (line for line in lines if line.startswith("h.*.ln_1.scale, h/stages [width]"))
    assert scale.endswith("`h on stages in 4 microbatches`, 3 in each stage")
    assert not laid_out("stages=2; h on stages in 4 microbatches").warnings


def test_what_is_computed_later_reads_its_parameters_then() -> None:
    """No step hands them on, of all layers or of this one."""
    text = """model M(width=4) {
  input x: [B, width]
  layer shared = linear(2)
  z = repeat h in 4 {
    x += linear(x, width) as map
    emit linear(shared(exp(mean(x, over=B))), 3) as probe
  }
  output y = x
  output q = z
}
"""
    steps, layers = loops(laid_out("stages=2; h on stages", text).graph)
    read = [node.op.address for node in layers.regions[0].walk() if isinstance(node.op, Parameter)]
    assert read == ["h.*.map.weight", "h.*.map.bias"]
    assert [str(value.type) for value in steps.outputs] == [
        "float[B=B/2, width]", "float[B=B/2, step=3, width]", "float[layer=2, step=3, width]",
    ]  # fmt: skip


def test_without_devices_there_are_no_stages() -> None:
    found = laid_out("stages=1; h on stages in 4 microbatches")
    assert not found.loops
    assert not found.moves


@pytest.mark.parametrize(
    ("layout", "change", "words"),
    [
        ("stages=4; h on stages", ("", ""), ["E1005", "the 6 layers", "2, 3, 6 stages would divide", "--set depth="]),
        ("stages=2; B on stages in 3 microbatches", ("", ""), ["E1005", "`B` is no repeat", "its repeats: h"]),
        ("stages=2; layers on stages", ("", ""), ["E1002", "no axis `layers`", "its repeats: h"]),
        ("stages=2; h on stages", ("mask=causal", "mask=(causal if h > 0 else none)"), ["E1005", "layers 0 and 3"]),
        ("stages=2; h on stages", ("layer_norm as ln_1", "alike"), ["E1006", "`sub` takes the rows"]),
        ("stages=2; h on stages", ("dropout(p)", "dropout(x[B=0, T=0, width=0])"), ["E1005", "draws", "in its layer"]),
    ],
    ids=["layers", "no repeat", "unknown", "unlike", "rows", "draws"],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_a_way_out(layout: str, change: tuple[str, str], words: list[str]) -> None:
    alike = "block alike(x: [B, T, D]) -> [B, T, D] {\n  return x - mean(x, over=B)\n}\n"
    text = refusal(layout, MODEL.replace(*change) + alike)
    for word in words:
        assert word in text, text


@pytest.mark.parametrize(
    ("before", "repeat", "words"),
    [
        ("z = x > 1", "repeat h in 4 { z = z or x > 1 }", ["E1005", "carries truth values", "`int(…)`"]),
        ("z = mean(x, over=B)", "repeat h in 4 { z += 1 }", ["E1005", "carries has the rows of a batch"]),
        (
            "param w: [width]",
            "z = repeat h in 4 {\n x += 1\n emit mean(x, over=[B, T]) if h % 2 == 0 else w }",
            ["E1005", "emits is made in different ways", "emit what is alike"],
        ),
        (
            "c = rearrange(x, [B] -> [C=B])",
            "z = repeat h in 4 {\n x += 1\n emit dot(x, c, over=[T, width]) }",
            ["E1006", "has the rows of the batch twice, as `B`, `C`"],
        ),
        (
            "z = rearrange(x, [B, T] -> [row=B * T])",
            "repeat h in 4 {\n z += 1\n x += 1 }",
            ["E1006", "together with other things"],
        ),
    ],
    ids=["truth values", "no rows", "unlike emissions", "twice", "with others"],
)
def test_what_microbatches_have_no_part_of_is_refused(before: str, repeat: str, words: list[str]) -> None:
    text = f"model M(width=4) {{\n input x: [B, T, width]\n {before}\n {repeat}\n output y = x\n output q = z\n}}"
    found = refusal("stages=2; h on stages", text)
    for word in words:
        assert word in found, found


def test_rows_that_do_not_divide_are_told_when_they_are_given() -> None:
    found = laid_out("stages=2; h on stages in 4 microbatches")
    failed = [constraint.failure({"B": 6}) for constraint in found.graph.constraints if constraint.code == "E1004"]
    assert [problem.message for problem in failed] == ["`B` (6) is not divisible by 4"]
    assert "make it a multiple of 4," in failed[0].helps[0]


@pytest.mark.parametrize(
    ("layout", "multiple"),
    [
        ("data=2, stages=2; h on stages in 3 microbatches; B on data", 6),
        ("replica=2, data=2, stages=2; h on stages in 3 microbatches; B on replica; B on data", 12),
    ],
)
def test_each_device_needs_a_row_of_each_microbatch(layout: str, multiple: int) -> None:
    found = laid_out(layout)
    failed = [problem.failure({"B": 4}) for problem in found.graph.constraints if problem.holds({"B": 4}) is False]
    assert f"make it a multiple of {multiple}," in failed[0].helps[0]


@pytest.mark.parametrize(
    ("layout", "warned"),
    [
        ("a=2, b=2; h on a; h on b", ["the rule `h on b` divides nothing"]),
        ("a=2, b=2; h on a; h, vocab on b", []),
        ("a=2, b=1; h on a; h on b", []),
    ],
)
def test_a_rule_that_divides_no_repeat_is_told(layout: str, warned: list[str]) -> None:
    assert [it.message for it in laid_out(layout).warnings] == warned


def test_rows_are_what_no_input_has_later() -> None:
    """Whatever the order of inputs, and however many are the same for all rows."""
    text = """model M(width=4) {
  input at: int[T] where at < 8
  input kind: int[T] where kind < 8
  input x: [B, T, width]
  x += embedding(at, 8, width) as wpe + embedding(kind, 8, width) as wke
  repeat h in 4 { x += attention(x, 2) as attn }
  output y = x
}
"""
    (shift, _) = (move for move in laid_out("stages=2; h on stages", text).moves if move.collective == "shift")
    assert str(shift.type) == "float[B=B/2, T, width]"
    graph = elaborate(open_text(text), {})
    assert [str(rule) for rule in default_layout(graph, 2).rules] == ["B on data"]


def test_an_inner_repeat_is_not_divided() -> None:
    text = """model M(width=4) {
  input x: [B, width]
  repeat g in 2 { repeat f in 4 { x += linear(x, width) as map } }
  output y = x
}
"""
    assert "stands in another loop" in refusal("stages=2; f on stages", text)
    assert laid_out("stages=2; g on stages", text).loops[0].layers == 1


@pytest.mark.parametrize(
    ("outer", "paths"),
    [("repeat h in 4 { x = inner(x) as blk }", ["h"]), ("x = deep(x) as a\n  x = deep(x) as b", ["a.h", "b.h"])],
)
def test_of_repeats_of_one_name_the_outer_ones_are_meant(outer: str, paths: list[str]) -> None:
    text = f"""block inner(x: [B, D]) -> [B, D] {{
  repeat h in 2 {{ x += linear(x, D) as map }}
  return x
}}
block deep(x: [B, D]) -> [B, D] {{
  repeat h in 4 {{ x = inner(x) as blk }}
  return x
}}
model M(width=4) {{
  input x: [B, width]
  {outer}
  output y = x
}}
"""
    assert [loop.path for loop in laid_out("stages=2; h on stages", text).loops] == paths
    (found,) = laid_out(f"stages=2; {paths[-1]} on stages", text).loops
    assert found.path == paths[-1]


def test_rows_of_a_microbatch_that_do_not_divide_have_a_way_out() -> None:
    found = laid_out("data=2, stages=2; h on stages in 4 microbatches; B on data")
    (failed,) = (
        it.failure({"B": 4}) for it in found.graph.constraints if it.code == "E1004" and not it.holds({"B": 4})
    )
    assert (failed.message, *failed.helps) == ("`B/4` (1) is not divisible by 2", "make `B` a multiple of 8")
