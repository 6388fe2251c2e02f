"""What is derived from a layout: the collectives that papers name, at their places, and nothing else; what is told."""

from __future__ import annotations

from collections import Counter

import pytest

from attndsl.diagnostics import AttnError
from attndsl.elaborate import elaborate, open_text
from attndsl.layouts import choose_layout
from attndsl.layouts.alternatives import ring_bytes
from attndsl.layouts.emitting import Move
from attndsl.layouts.laid_out import LaidOut, lay_out
from attndsl.layouts.placements import WHOLE
from attndsl.layouts.telling import tell
from attndsl.ops import OPS
from attndsl.passes import optimize
from attndsl.sizes import Size

MODEL = """model M(vocab=64, width=16, heads=4, depth=3, n=4) {
  input tokens: int[B, T] where tokens < vocab
  layer wte = embedding(vocab, width)
  x = wte(tokens)
  repeat h in depth {
    x += x |> layer_norm as ln_1 |> attention(heads, mask=causal) as attn
    x += x |> layer_norm as ln_2 |> mlp(4 * width) as mlp
  }
  output logits = dot(layer_norm(x) as ln_f, wte.table, over=width)
  input targets: int[B, T] optional where targets >= -100, targets < vocab
  output loss = cross_entropy(logits, targets, over=vocab)
}
"""


def laid_out(layout: str, text: str = MODEL) -> LaidOut:
    spec = open_text(text)
    graph = elaborate(spec, {})
    return lay_out(graph, choose_layout(layout, spec, graph))


def in_body(found: LaidOut, on: str) -> Counter[tuple[str, bool]]:
    """How often each collective of activations stands in the body of `h`, forward and backward."""
    moves = (m for m in found.moves if m.on == on and m.scope.startswith("h.") and _is_activation(m))
    return Counter((move.collective, move.in_backward) for move in moves)


def _is_activation(move: Move) -> bool:
    return any(axis.name in ("B", "T") for axis in move.type.axes)


def test_heads_and_hidden_units_take_two_sums_forward_and_two_back() -> None:
    """Shoeybi et al., 2019 (Megatron-LM, arXiv 1909.08053, figure 4)."""
    found = laid_out("model=4; heads, 4*width, vocab on model")
    assert in_body(found, "model") == {("all_reduce", False): 2, ("all_reduce", True): 2}


def test_sequence_parallelism_gathers_and_scatters_instead() -> None:
    """Korthikanti et al., 2022 (arXiv 2205.05198, figure 5)."""
    found = laid_out("model=4; heads, 4*width, vocab on model; T on model")
    assert in_body(found, "model") == {
        ("all_gather", False): 2, ("reduce_scatter", False): 2, ("reduce_scatter", True): 2, ("all_gather", True): 4,
    }  # fmt: skip


def test_context_parallelism_gathers_keys_and_values() -> None:
    found = laid_out("context=2; T on context")
    gathered = [m for m in found.moves if m.collective == "all_gather" and not m.in_backward]
    assert len(gathered) == 2
    assert all("S" in [axis.name for axis in move.type.axes] for move in gathered)


def test_rows_of_a_batch_are_added_up_at_the_end() -> None:
    """Nothing is sent forward but what the loss is made of; the gradient of each parameter is added up once."""
    found = laid_out("data=4; B on data; parameters whole")
    assert {m.type.rank for m in found.moves if not m.in_backward} == {0}
    sums = Counter(m.type for m in found.moves if m.in_backward)
    assert {m.collective for m in found.moves} == {"all_reduce"}
    assert sum(sums.values()) == len(found.whole.parameters)  # the table is read twice, and gathered once


def test_parameters_are_gathered_one_layer_at_a_time() -> None:
    """Rajbhandari et al., 2020 (ZeRO, stage 3, arXiv 1910.02054): in the body of the loop, not before it."""
    found = laid_out("data=4; B on data")
    bodies = [node for node in found.graph.body.nodes if node.regions]
    inner = Counter(node.op.name for body in bodies for region in body.regions for node in region.walk())
    own = [info for info in found.whole.parameters if info.layers]
    assert inner["all_gather"] == len(own)
    assert all(placement.divided for placement in found.parameters.values())


def test_rows_on_two_dimensions_of_which_one_has_the_parameters() -> None:
    """Hybrid sharding (Zhao et al., 2023, PyTorch FSDP, section 3.2.2): gradients are scattered over the devices that
    share the parameters, and of its part each adds up what the replicas have."""
    found = laid_out("replica=2, data=4; B on replica; B on data; parameters on data")
    assert not found.warnings
    assert found.inputs["tokens"].shown(found.whole.inputs[0].value.type) == "[B/replica/data, T]"
    sent = [move for move in found.moves if move.in_backward and move.scope == "h.*.mlp.up" and move.type.rank == 2]
    assert {(m.collective, m.on, m.bytes.known(found.whole.sizes)) for m in sent} == {
        ("all_gather", "data", 16 * 64 * 4), ("reduce_scatter", "data", 16 * 64 * 4),
        ("all_reduce", "replica", 16 * 64 * 4 // 4),
    }  # fmt: skip


@pytest.mark.parametrize("mask", ["causal", "causal & window(2)"])
def test_keys_and_values_of_all_positions_are_gathered(mask: str) -> None:
    """Whatever the mask (Llama Team, 2024, section 3.3.2): once in each layer, and their gradients are scattered."""
    found = laid_out("context=4; T on context", MODEL.replace("mask=causal", f"mask={mask}"))
    moves = [move for move in found.moves if move.scope.startswith("h.") and "S" in [a.name for a in move.type.axes]]
    whole = {move.collective: str(move.bytes.substitute({"width": Size.of(16), "heads": Size.of(4)})) for move in moves}
    assert whole == {"all_gather": "64*B*T", "reduce_scatter": "64*B*T"}
    assert Counter(move.collective for move in moves if not move.reason.endswith("again")) == {
        "all_gather": 2, "reduce_scatter": 2,
    }  # fmt: skip
    assert not found.warnings


def test_logits_over_a_divided_vocabulary_are_never_gathered() -> None:
    found = laid_out("data=2, model=4; B on data; vocab on model")
    assert not [m for m in found.moves if _is_activation(m) and "vocab" in [axis.name for axis in m.type.axes]]


def test_passes_recognise_the_same_on_one_device() -> None:
    found = laid_out("data=2, model=2; B on data; heads, 4*width, vocab on model; T on model")
    whole, local = (Counter(node.op.name for node in optimize(g)[0].body.walk()) for g in (found.whole, found.graph))
    for name in ("attention", "layer_norm"):
        assert local[name] == whole[name] > 0


def test_without_devices_nothing_is_sent() -> None:
    found = laid_out("data=1, model=1; B on data; heads on model")
    assert not found.moves
    assert not any(OPS[node.op.name].across_devices for node in found.graph.body.walk())


def test_everything_is_told() -> None:
    text = tell(laid_out("data=2, model=4; B on data; heads, 4*width, vocab on model"))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "M laid out over (data=2, model=4): 8 devices" in lines
    stored = "`parameters on data`, its longest axis that can be divided"
    at = lines.index(f"h.*.attn.out.weight [in=width/model, out=width/data] data out=width 384 1,152 {stored}")
    rule = "`heads, 4*width, vocab on model`"
    assert lines[at + 1 : at + 3] == ["whole 768 768", f"model in=width 384 144*B*T {rule}"]
    logits = "logits [B/data, T, vocab/model] `B on data`; `heads, 4*width, vocab on model`"
    assert any(line.startswith(logits) and line.endswith("more") for line in lines)
    sent = "h.*.mlp.down all_reduce model float[B=B/2, T, out=width] 32*B*T 3 forward for `add` <text>:7"
    assert sent in lines


def sent(found: LaidOut) -> Size:
    """What a device sends in a step, by rings."""
    mesh = found.layout.mesh
    return sum((ring_bytes(move, mesh.size(move.on)) * move.times for move in found.moves), start=Size.of(0))


def test_what_parameters_would_cost_otherwise_is_what_they_then_cost() -> None:
    """Of all of them, whole instead of in parts: what they hold, and what the devices send in all."""
    found, whole = (laid_out(f"data=2; B on data{rest}") for rest in ("", "; parameters whole"))
    ways = [list(found.alternatives.of_parameter(info)) for info in found.whole.parameters]
    assert {way.on for each in ways for way in each} == {"data"}
    for info, each in zip(found.whole.parameters, ways, strict=True):
        taken, last = each[0], each[-1]
        local = found.parameters[info.address, info.type].local(info.type)
        assert taken.holds == local.elements * 4 * info.copies
        assert last.state is WHOLE
        assert last.holds == info.type.elements * 4 * info.copies
    more = sum((each[-1].sends - each[0].sends for each in ways), start=Size.of(0))
    assert (sent(whole) - sent(found) - more).known(found.whole.sizes) == 0


def test_what_a_value_would_cost_otherwise() -> None:
    """Hidden units of which each device makes all: in each of 3 layers it gathers the 64 of each position and the bias
    forwards, and the gradients of the positions that it only has a part of backwards; of 4 devices each sends three
    quarters of the bytes."""
    found = laid_out("model=4; heads, 4*width on model")
    value = next(value for value in found.values if value.names[-1:] == ("h.*.mlp.up.y",))
    ((on, state, more, _),) = found.alternatives.of_value(value)
    assert (on, state) == ("model", WHOLE)
    units, (b, t) = 3 * 64 * 4 * 3 // 4, (Size.symbol(name) for name in "BT")
    known = {name: Size.of(size) for name, size in found.whole.sizes.items()}
    assert more.substitute(known) == b * t * (2 * units) + units


def test_where_less_would_be_sent_it_is_told_what_speaks_against_it() -> None:
    """To gather the table of words (a quarter of 3 * 64 * 16 floats) is less than to add up what is read from it."""
    text = tell(laid_out("model=4; vocab on model"))
    (line,) = (line for line in text.splitlines() if line.split()[:1] == ["wte"])
    assert line.endswith(" less, but parts of a weight would be sent")


def refusal(layout: str, text: str = MODEL) -> str:
    with pytest.raises(AttnError) as refused:
        laid_out(layout, text)
    return str(refused.value)


def test_what_does_not_divide_is_told_with_a_way_out() -> None:
    text = refusal("model=3; heads on model")
    assert "E1004" in text
    assert "`heads` (4) cannot be divided over the 3 devices along `model`" in text
    assert "2, 4 devices would divide it" in text


def test_an_axis_is_divided_over_all_dimensions_on_which_it_lies() -> None:
    text = refusal("a=2, b=4; heads on a; heads on b")
    assert "E1004" in text
    assert "`heads` (4) cannot be divided over the 8 devices along `a` and `b`" in text
    found = laid_out("a=2, b=4; B on a; B on b")
    failed = [constraint.failure({"B": 12}) for constraint in found.graph.constraints if constraint.code == "E1004"]
    assert [problem.message for problem in failed] == ["`B` (12) is not divisible by 8"]


def test_an_axis_can_be_left_whole_along_those_dimensions_that_do_not_divide_it() -> None:
    with pytest.raises(AttnError) as refused:
        laid_out("a=2, b=3; heads on a; heads on b")
    (found,) = (each for each in refused.value.diagnostics if "`heads` (4)" in each.message)
    assert "over the 6 devices along `a` and `b`" in found.message
    assert found.helps[-1] == "or leave it whole along `b`"
    assert found.primary is not None
    assert [label.text for label in (found.primary, *found.secondary)] == ["`heads on a`", "`heads on b`"]
    both = refusal("a=3, b=3; heads on a; heads on b")
    assert "or leave it whole along `a` and `b`" in both


def test_the_only_way_out_is_no_alternative() -> None:
    text = "model M(width=4) {\n  input x: [B, width]\n  output y = linear(x, 1)\n}\n"
    with pytest.raises(AttnError) as refused:
        laid_out("a=2; out on a", text)
    assert refused.value.diagnostics[0].helps == ("leave it whole along `a`",)


def test_what_rules_do_not_divide_may_have_any_length() -> None:
    text = "model M(width=4) {\n  input x: [B, T, width]\n  output y = 2 * x\n}\n"
    found = laid_out("a=2, b=3; B on a; T on b; T on a", text)
    assert ["`T on a` divides nothing" in warning.message for warning in found.warnings] == [True]
    asked = {str(it.left): str(it.right) for it in found.graph.constraints if it.code == "E1004"}
    assert asked == {"B": "2", "T": "3"}


def test_rows_that_do_not_divide_are_told_when_they_are_given() -> None:
    import numpy as np

    found = laid_out("data=4; B on data")
    with pytest.raises(AttnError, match="`tokens` is 6 long along `B`, which 4 devices share on `data`"):
        found.local_inputs({"tokens": np.zeros((6, 3), int)}, 0)


def test_what_must_be_gathered_is_a_warning_with_its_place() -> None:
    text = "model M(width=4) {\n  input x: [B, T, width]\n  output y = cumsum(tanh(x), over=T)\n}\n"
    (warning,) = laid_out("model=2; T on model", text).warnings
    assert warning.code == "W1001"
    assert "`cumsum` works along `T`" in warning.message
    assert warning.primary is not None
    assert warning.primary.span.line == 3


def test_a_large_parameter_that_cannot_be_divided_is_a_warning() -> None:
    text = "model M(width=5) {\n  input x: [B, width]\n  output y = linear(x, 7) as up\n}\n"
    (weight, bias) = laid_out("data=2; B on data", text).warnings
    assert {weight.code, bias.code} == {"W1003"}
    assert "`up.weight` [in=width, out=7] stays whole along `data`: 2 divides none of its axes" in weight.message
    assert not laid_out("data=2; B on data; parameters whole", text).warnings


def test_parameters_that_lie_on_one_dimension_may_stay_whole_along_another() -> None:
    (warning, *_) = laid_out("data=3, m=2; B on data; vocab on m").warnings
    assert "`wte.table` [vocab/m, width] stays whole along `data`: 3 divides none of its free axes" in warning.message


def test_parameters_of_layers_in_stages_are_not_whole() -> None:
    text = "model M(width=7) {\n input x: [B, width]\n repeat h in 4 { x = linear(x, width) as up }\n output y = x\n}"
    assert not laid_out("stages=4; h on stages; parameters on stages", text).warnings


@pytest.mark.parametrize("layout", ["data=2", "data=2, other=2; B on data", "data=2, one=1; B on data"])
def test_devices_that_compute_the_same_are_a_warning(layout: str) -> None:
    found = [(it.code, it.message) for it in laid_out(layout).warnings]
    idle = {"data=2": "data", "data=2, other=2; B on data": "other"}.get(layout)
    assert found == ([("W1002", f"nothing lies on `{idle}`: its 2 devices compute the same")] if idle else [])


def test_a_rule_that_divides_nothing_is_a_warning() -> None:
    text = "model M(width=4) {\n  input x: [B, width]\n  output y = 2 * x\n}\n"
    (warning,) = laid_out("data=2; B on data; width on data", text).warnings
    assert (warning.code, "width on data" in warning.message) == ("W1002", True)
