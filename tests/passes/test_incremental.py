"""The graph that reads a text on: every way of splitting a text into calls gives what one call gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attndsl.diagnostics import AttnError
from attndsl.elaborate import elaborate, open_spec, open_text
from attndsl.graph import Graph
from attndsl.graph.reader import parse_text
from attndsl.graph.text import to_text
from attndsl.graph.verify import verify
from attndsl.passes.incremental import incremental, kept
from attndsl.running import backends
from tests.passes.splits import Pair, at_every_position, gap, texts_of

SMALL = {"vocab": 11, "context": 24, "depth": 2, "width": 8}
DECODERS: dict[str, dict[str, Any]] = {
    "gpt1": {"heads": 2},
    "gpt2": {"heads": 2},
    "gpt3": {"heads": 2, "head": 4, "band": 3},
    "gpt_nano": {"heads": 2},
    "gpt_neox": {"width": 16, "heads": 2},
    "llama": {"heads": 4, "kv_heads": 2, "head": 4, "hidden": 12},
    "mistral": {"heads": 4, "kv_heads": 2, "head": 4, "hidden": 12, "band": 3},
    "mixtral": {"heads": 4, "kv_heads": 2, "head": 4, "hidden": 12, "n": 4},
    "phi3": {"width": 16, "heads": 4, "kv_heads": 4, "hidden": 12},
    "gemma3": {"depth": 3, "heads": 4, "kv_heads": 2, "head": 4, "hidden": 12, "band": 3, "pattern": 2, "scalar": 4},
    "deepseek_v3": {
        "depth": 2, "dense": 1, "heads": 2, "head": 4, "turned": 4, "value": 4, "query_rank": 6, "rank": 6,
        "hidden": 12, "expert_hidden": 6, "n": 8, "top": 2, "groups": 4, "top_groups": 2, "original": 8,
    },
}  # fmt: skip


def shipped(name: str) -> Graph:
    known = elaborate(open_spec(name), {}).hyperparameters
    chosen = {**SMALL, **DECODERS[name]}
    return elaborate(open_spec(name), {key: value for key, value in chosen.items() if key in known})


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("name", DECODERS)
def test_shipped_decoders_read_texts_on(name: str, backend: str) -> None:
    pair = Pair(shipped(name), backend)
    verify(pair.incremental)
    assert gap(pair, (13, 20, 1, 9), seed=3) < 1e-9


# ---------------------------------------------------------------- what a model may do along time

MODEL = """
model Small(vocab=7, width=8, heads=2, context=32) {{
  input tokens: int[B, T] where T <= context, tokens < vocab
  {inputs}
  x = embedding(tokens, vocab, width, init=normal(0.5)) as word
  {body}
  output logits = linear(x, vocab, init=normal(0.5)) as head
}}
"""
SPELLED = """
  q = linear(x, width) as q
  k = linear(x, width) as k |> rearrange([T] -> [S])
  v = linear(x, width) as v |> rearrange([T] -> [S])
  score = dot(q, k, over=width) / sqrt(width)
  seen: bool[T, S] = range(S) <= range(T)
  weight = softmax(where(seen, score, -inf), over=S)
  x += dot(weight, v, over=S)
"""
BODIES = {
    "causal": "x += attention(x, heads, mask=causal) as a",
    "spelled by hand": SPELLED,
    "a window": "repeat h in 2 {\n x += attention(x, heads, mask=causal & window(3)) as a\n }",
    "two windows": "x += attention(x, heads, mask=causal & window(2)) as a\n"
    "x += attention(x, heads, mask=causal & window(5)) as b",
    "alibi": "x += attention(x, heads, mask=causal, position=alibi(heads)) as a",
    "alibi in a window": "x += attention(x, heads, mask=causal & window(4), position=alibi(heads)) as a",
    "rotary": "x += attention(x, heads, mask=causal, position=rotary) as a",
    "buckets": "x += attention(x, heads, mask=causal, position=bucketed(heads)) as a",
    "a soft cap": "x += attention(x, heads, mask=causal, cap=3) as a",
    "a sink": "x += attention(x, heads, mask=causal, sink=true) as a",
    "documents": "ends = cumsum(int(tokens == 0), over=T)\n"
    "x += attention(x, heads, mask=causal & same(ends)) as a",
    "a running mean": "count = range(T) + 1\n x += cumsum(x, over=T) / count",
    "a scan": "y = scan t in T with h: [B, width] = 0.5 {\n"
    "h = tanh(0.9 * h + linear(x[T=t], width) as step)\n emit h\n}\n x += y",
    "a scan that knows where it is": "y = scan t in T with h: [B, width] = 0.0 {\n"
    "h = 0.9 * h + x[T=t] / (1 + t)\n emit h\n}\n x += y",
    "lstm": "x += recurrent(lstm_cell(width))(x) as r",
    "gru below attention": "x = recurrent(gru_cell(width))(x) as r\n x += attention(x, heads, mask=causal) as a",
    "experts": "x += x |> experts(4, 2, mlp(8)) as e\n x += attention(x, heads, mask=causal) as a",
    "a place table": "x += embedding(range(T), context, width, init=normal(0.5)) as place\n"
    "x += attention(x, heads, mask=causal) as a",
    "a shared layer": "layer f = attention(heads, mask=causal)\n repeat h in 2 {\n x += f(x)\n }",
    "a layer twice": "layer f = attention(heads, mask=causal)\n x += f(x)\n x += f(x)",
    "repeats in repeats": "repeat g in 2 {\n repeat h in 3 {\n x += attention(x, heads, mask=causal) as a\n }\n }",
    "unrolled": "unrolled repeat h in 2 {\n x += attention(x, heads, mask=causal) as a\n }",
    "cases": "repeat h in 4 {\n x += attention(x, heads, mask=causal if h % 2 == 0 else causal & window(3)) as a\n }",
    "dropout": "x = dropout(x, 0.5)\n x += attention(x, heads, mask=causal, dropout=0.5) as a",
}


def model(body: str, inputs: str = "") -> Graph:
    return elaborate(open_text(MODEL.format(body=body, inputs=inputs)), {})


RUNNING = ("documents", "a running mean", "a scan", "a scan that knows where it is", "lstm", "gru below attention")
"""What keeps a sum or a state, which does not go back."""


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("what", BODIES)
def test_what_is_causal_is_read_on(what: str, backend: str) -> None:
    pair = Pair(model(BODIES[what]), backend)
    assert gap(pair, (11, 17, 6), seed=5, back=what not in RUNNING) < 1e-9
