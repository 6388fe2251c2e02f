"""The pipeline as a whole: a GPT-2 spelled out by hand is the standard one, nothing changes a number, twice is once."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from attndsl.elaborate import load, shipped
from attndsl.graph import Graph
from attndsl.graph.text import to_text
from attndsl.graph.verify import InvalidGraph
from attndsl.inspection.attending import attending
from attndsl.passes import PIPELINE, explain, optimize
from attndsl.passes.base import Pass, PassReport
from attndsl.passes.dce import DeadCode
from attndsl.passes.fuse_norm import FuseNorm
from attndsl.passes.rewrite import Rewriter
from tests.samples.anonymous import unlabelled

BY_HAND = """
block norm(eps)(z: [*, F]) -> [*, F] {
  param gain: [F] = ones
  param offset: [F] = zeros
  m = mean(z, over=F)
  v = mean((z - m) ^ 2, over=F)
  return offset + (z - m) / sqrt(v + eps) * gain
}

block dense(n, start)(z: [*, F]) -> [*, n] {
  param w: [rows=F, columns=n] = start
  param b: [columns=n] = zeros
  y = b + dot(rearrange(z, [F] -> [rows=F]), w, over=rows)
  return rearrange(y, [columns=n] -> [n])
}

block attend(n, rate, start, last)(z: [*, L, F], memory: [*, K, G] = z) -> [*, L, F] {
  size = F / n
  a = dense(z, F, start) as a |> rearrange([L, F] -> [each=n, L, size=F / n])
  b = dense(memory, F, start) as b |> rearrange([K, F] -> [each=n, K, size=F / n])
  c = dense(memory, F, start) as c |> rearrange([K, F] -> [each=n, K, said=F / n])
  score = dot(a * size ^ -0.5, b, over=size)
  past: bool[L, K] = positions(L) >= positions(K)
  weight = softmax(where(past, score, -1e9), over=K)
  y = dot(dropout(weight, rate), c, over=K) |> rearrange([each=n, L, said=F / n] -> [L, F])
  return dense(y, F, last) as d
}

model Hand(vocab=50257, context=1024, depth=12, width=768, heads=12, p=0.1, eps=1e-5) {
  input tokens: int[B, T] where T <= context, tokens < vocab
  start = normal(0.02)
  last = normal(0.02 / sqrt(2 * depth))

  layer words = embedding(vocab, width, start)
  x = words(tokens) + embedding(range(T), context, width, start) as places
  x = dropout(x, p)
  repeat layer in depth {
    x = x + (norm(x, eps) as before |> attend(heads, p, start, last) as look |> dropout(p))
    y = dense(norm(x, eps) as between, 4 * width, start) as wide
    y = (1 + tanh((y + 0.044715 * y * y * y) * sqrt(2 / pi))) * y / 2
    x = x + dropout(dense(y, width, last) as narrow, p)
  }
  output logits = norm(x, eps) as final |> dot(words.table, over=width)

  input targets: int[B, T] optional where targets >= -100, targets < vocab
  output loss = cross_entropy(logits, targets, over=vocab)
}
"""
SMALL = {"vocab": "11", "context": "8", "depth": "2", "width": "24", "heads": "3"}


def fused(graph: Graph) -> Counter[str]:
    names = ("attention", "layer_norm", "rms_norm", "gelu", "silu", "softmax", "mean", "rsqrt", "sqrt", "tanh", "erf")
    return Counter(node.op.name for node in graph.body.walk() if node.op.name in names)


def test_by_hand_is_the_standard_one(spec):
    standard, _ = optimize(load("gpt2"))
    by_hand, reports = optimize(spec(BY_HAND))
    assert fused(standard) == fused(by_hand) == {"attention": 1, "layer_norm": 3, "gelu": 1}
    assert unlabelled(by_hand) == unlabelled(standard)
    before = [unlabelled(graph) for graph in (load("gpt2"), spec(BY_HAND))]
    assert before[0] != before[1]
    assert {miss.rule for report in reports for miss in report.misses} == {"cross entropy"}  # the logits are an output


def test_by_hand_gives_the_same_numbers(spec, difference):
    before = spec(BY_HAND, **SMALL)
    after, _ = optimize(before)
    assert difference(before, after) < 1e-10
    assert difference(before, after, training=True) < 1e-10


@pytest.mark.parametrize("name", sorted(shipped()))
def test_attention_is_found_in_shipped_specs(name):
    graph = load(name)
    small = {**SMALL, "kv_heads": "3", "filters": "[[1, 4], [3, 5]]"}
    settings = {key: value for key, value in small.items() if key in graph.hyperparameters}
    before = load(name, settings)
    after, _ = optimize(before)
    assert (fused(after)["attention"] >= 1) == bool(attending(before))
    assert not attending(after)  # a softmax that chooses among experts, or mixes codes, stays one


MODELS = {
    "one body for each case": (
        """
model M(width=8, heads=2, depth=5) {
  input x: [B, T, width]
  repeat h in depth {
    if h % 2 == 0 {
      x += x |> layer_norm as ln |> attention(heads, mask=causal) as attn
    } else {
      x += x |> rms_norm as ln |> attention(heads, mask=window(2)) as attn
    }
  }
  output y = x
}""",
        {"attention": 2, "layer_norm": 1, "rms_norm": 1},
    ),
    "attention inside a scan": (
        """
block bahdanau(hidden)(s: [*, Q], memory: [*, S, E], valid: bool[*, S]) -> [*, E] {
  param v: [hidden] = normal(0.5)
  state = rearrange(linear(s, hidden) as query, [hidden] -> [hidden])
  score: [*, S] = dot(tanh(linear(memory, hidden) as key), v, over=hidden)
  return dot(softmax(score, over=S, where=valid), memory, over=S)
}
model M(width=4, hidden=6) {
  input x: [B, T, width]
  input valid: bool[B, T]
  states = scan t in T with s: [B, hidden] = tanh(linear(x[T=0], hidden) as start) {
    c = bahdanau(hidden)(s, x, valid) as attend
    s = tanh(linear(c, hidden) as new + linear(s, hidden) as old)
    emit s
  }
  output y = states
}""",
        {"attention": 1, "tanh": 3},
    ),
    "a bias that all layers share": (
        """
model M(width=8, heads=2, depth=3) {
  input x: [B, T, width]
  input memory: [B, U, width]
  input valid: bool[B, U]
  distance = bucketed(heads, 8, 6)
  repeat h in depth {
    x += x |> rms_norm as n_1 |> attention(heads, position=distance, scale=1, bias=false) as attn
    x += attention(rms_norm(x) as n_2, memory, heads, mask=keys(valid)) as cross
    x += x |> rms_norm as n_3 |> gated_mlp(12) as mlp
  }
  output y = rms_norm(x) as norm
}""",
        {"attention": 2, "rms_norm": 4, "silu": 1},
    ),
    "rotary positions, few key heads, parallel sublayers": (
        """
model M(width=16, heads=4, depth=2) {
  input x: [B, T, width]
  repeat h in depth {
    z = layer_norm(x) as norm
    a = attention(z, heads, kv_heads=2, mask=causal, position=rotary, dropout=0.2) as attn
    x = x + a + (mlp(z, 24, act=gelu) as mlp)
  }
  output y = x
}""",
        {"attention": 1, "layer_norm": 1, "gelu": 1},
    ),
    "no layers": (
        """
model M(width=8, heads=2, depth=0) {
  input x: [B, T, width]
  repeat h in depth { x += x |> layer_norm as ln |> attention(heads, mask=causal) as attn }
  output y = x
}""",
        {"attention": 1, "layer_norm": 1},
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_other_models_keep_their_numbers(name, spec, difference):
    text, expected = MODELS[name]
    before = spec(text)
    after, _ = optimize(before)
    assert fused(after) == expected
    assert difference(before, after) < 1e-10
    assert difference(before, after, training=True) < 1e-10


@pytest.mark.parametrize("name", sorted(shipped()))
def test_twice_is_once(name):
    once, _ = optimize(load(name))
    twice, reports = optimize(once)
    assert to_text(twice) == to_text(once)
    assert not [rewrite for report in reports for rewrite in report.rewrites]


def test_bodies_are_visited_once():
    small, large = (optimize(load("gpt2", {"depth": depth}))[1] for depth in ("2", "96"))
    assert [report.count for report in small] == [report.count for report in large]


def test_names_and_places_stay():
    before = load("gpt2")
    after, _ = optimize(before)
    named = {name for node in after.body.walk() for value in node.outputs for name in value.names}
    for address in ("h.*.attn", "h.*.ln_1", "h.*.mlp", "ln_f", "h.*.attn.q", "wpe"):
        assert address in named
    assert all(node.at is not None for node in after.body.walk())
    assert set(after.scopes) == set(before.scopes)


def test_explain():
    text = explain(optimize(load("gpt2").giving(["loss"]))[1])
    lines = text.splitlines()
    assert lines[0] == "rewritten"
    assert sum("norm: `layer_norm` over [width] with scale and shift" in line for line in lines) == 3
    (line,) = [line for line in lines if "attention: `attention`" in line]
    assert "in h.*.attn: " in line
    assert "mask `k <= q`" in line
    assert "gpt2.attn:" in line
    (line,) = [line for line in lines if "cross entropy: " in line]
    assert "`linear_cross_entropy` over [vocab], in chunks of [B, T], with rows left out" in line
    assert "not rewritten" not in text
    assert "the logits over [vocab] are an output, too" in explain(optimize(load("gpt2"))[1])


def test_the_order_of_passes_is_checked():
    with pytest.raises(ValueError, match="`fuse-norm` needs constant-folding"):
        optimize(load("gpt_nano"), passes=(DeadCode(), FuseNorm()))
    optimize(load("gpt_nano"), passes=PIPELINE)


def test_a_pass_that_breaks_the_graph_is_caught():
    class Careless(Pass):
        name = "careless"

        def rewrite(self, rewriter: Rewriter) -> PassReport:
            first = next(place.node for place in rewriter.walk() if place.node is not None)
            rewriter.erase(first)
            return self.report(())

    with pytest.raises(InvalidGraph, match="before it is made"):
        optimize(load("gpt_nano"), passes=(Careless(),))


def test_torch_is_not_needed():
    code = (
        "import sys; sys.modules['torch'] = None; from attndsl.elaborate import load; from attndsl.passes import *; "
        "print(explain(optimize(load('gpt2'))[1]))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "attention" in found.stdout
