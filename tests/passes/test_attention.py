"""Attention: the spellings that become one operator, the near misses that must not, and that the numbers stay."""

from __future__ import annotations

import pytest

from attndsl.graph import Graph
from attndsl.ops import Attention
from attndsl.passes import explain, optimize
from attndsl.passes.expand import Expand
from tests.passes.spelled_attention import BODY, NEAR_MISSES, SPEC, SPELLINGS


def attentions(graph: Graph) -> list[Attention]:
    return [node.op for node in graph.body.walk() if isinstance(node.op, Attention)]


@pytest.mark.parametrize("name", SPELLINGS)
def test_spelling_becomes_attention(name, spec, difference):
    text, expected = SPELLINGS[name]
    before = spec(SPEC.replace("%s", text))
    after, reports = optimize(before)
    (op,) = attentions(after)
    assert {field: getattr(op, field) for field in expected} == expected
    kinds = {node.op.name for node in after.body.walk()}
    assert not kinds & {"softmax", "exp", "log_sum_exp"}, "parts of it are left"
    assert "attention: `attention` over [" in explain(reports)
    if name != "exp and sum where a row can be empty":
        assert difference(before, after) < 1e-10


@pytest.mark.parametrize("name", NEAR_MISSES)
def test_near_miss_stays(name, spec, difference):
    text, reason, line = NEAR_MISSES[name]
    before = spec(SPEC.replace("%s", text))
    after, reports = optimize(before)
    assert not attentions(after)
    (miss,) = [miss for report in reports for miss in report.misses]
    assert reason in miss.reason
    assert miss.where is not None
    assert miss.where.line == BODY + line
    assert miss.scope.startswith("h.*.attn")
    said = explain(reports)
    assert miss.reason in said
    assert f":{BODY + line}" in said
    if "zero by zero" not in reason:
        assert difference(before, after) < 1e-10


def test_a_mask_that_stays_a_bias_is_told(spec):
    text, _ = SPELLINGS["an additive mask under which rows may be empty stays a bias"]
    _, reports = optimize(spec(SPEC.replace("%s", text)))
    assert "bias, which is not a mask, since a row may be empty" in explain(reports)


def test_weights_that_are_an_output_stay(spec):
    before = spec(
        """
model M(width=4) {
  input x: [B, T, width]
  y = rearrange(x, [T] -> [S=T])
  weight = softmax(dot(x, y, over=width), over=S)
  output mixed = dot(weight, y, over=S)
  output weight = weight
}
"""
    )
    after, reports = optimize(before)
    assert not attentions(after)
    (miss,) = [miss for report in reports for miss in report.misses]
    assert miss.reason.startswith("the weights are an output as well")
    assert miss.where is not None
    assert miss.where.line == 5


def test_a_name_decides_nothing(spec):
    """A block called `attention` that is none is not fused, and one called otherwise is."""
    shadow = """
block attention(heads)(x: [*, T, D], memory: [*, S, E] = x) -> [*, T, D] {
  return dot(softmax(dot(x, memory, over=D), over=S) ^ 2, memory, over=S)
}
model M(width=4) {
  input x: [B, T, width]
  output y = attention(x, 2)
}
"""
    after, reports = optimize(spec(shadow.replace("memory: [*, S, E] = x", "memory: [*, S, D] = x")))
    assert not attentions(after)
    assert any(report.misses for report in reports)


def test_the_fused_node_takes_the_place_of_the_layer(spec):
    graph, _ = optimize(spec(SPEC.replace("%s", SPELLINGS["dropout on the weights"][0])))
    (node,) = [node for node in graph.body.walk() if isinstance(node.op, Attention)]
    assert node.scope == "h.*.attn"
    assert node.at is not None
    assert node.at.text.strip()
    assert "h.*.attn.mixed" in node.output.names


@pytest.mark.parametrize("name", ["dropout on the weights", "the standard block", "renamed weights"])
def test_training_draws_the_same_dropout(name, spec, difference):
    before = spec(SPEC.replace("%s", SPELLINGS[name][0]))
    after, _ = optimize(before)
    assert difference(before, after, training=True) < 1e-10


@pytest.mark.parametrize("name", SPELLINGS)
def test_expanded_twin(name, spec, difference):
    after, _ = optimize(spec(SPEC.replace("%s", SPELLINGS[name][0])))
    apart, report = Expand().run(after)
    assert report.count == 1
    assert not attentions(apart)
    assert difference(after, apart) < 1e-10
    again, _ = optimize(apart)
    assert attentions(again) == attentions(after)
