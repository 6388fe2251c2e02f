"""What counts as attention, under which axes, and that the weights are the ones that the model computes with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attndsl.attention_maps import find_attention
from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.elaborate import load
from attndsl.graph import Graph
from attndsl.graph.verify import verify
from attndsl.running.inputs import example_inputs

HEAD = "model M(vocab=11, width=8, heads=4, depth=3, experts=5) {\n"
TEXT = HEAD + "  input tokens: int[B, T] where tokens < vocab\n  x = embedding(tokens, vocab, width)\n"


@pytest.fixture
def spec(tmp_path: Path):
    def write(body: str, head: str = TEXT, before: str = "") -> Graph:
        path = tmp_path / "m.attn"
        path.write_text(f"{before}\n{head}{body}\n  output y = x\n}}\n")
        return load(str(path), {})

    return write


HAND = """
  q = linear(x, width) as q
  k = linear(x, width) as k |> rearrange([T] -> [S=T])
  v = linear(x, width) as v |> rearrange([T] -> [S=T])
  x = {sum}
"""
ADDITIVE = """
block bahdanau(hidden)(s: [*, Q], memory: [*, S, E]) -> [*, E] {
  param v: [hidden] = normal(1.0)
  sums: [*, S, hidden] = linear(s, hidden) as query + linear(memory, hidden) as key
  return dot(softmax(dot(tanh(sums), v, over=hidden), over=S), memory, over=S)
}
"""

# The body, what stands before the model, then for each attention: its paths, the names of its queries, keys and heads.
SPELLINGS = {
    "the library's": (
        "  repeat h in depth { x += attention(x, heads, mask=causal) as attn }",
        "",
        [(["h.0.attn", "h.1.attn", "h.2.attn"], "T", "S", ["attn_heads"])],
    ),
    "grouped": (
        "  x += attention(x, heads, kv_heads=2) as attn",
        "",
        [(["attn"], "T", "S", ["attn_heads", "attn_group"])],
    ),
    "with a score of its own": (
        "  x += attention(x, heads, position=mine) as attn",
        "block mine(q: [*, T, H], k: [*, S, H]) -> [*, T, S] {\n"
        "  apart: [*, T, S, H] = q - k\n  return -sum(apart ^ 2, over=H)\n}",
        [(["attn"], "T", "S", ["attn_heads"])],
    ),
    "written out": (
        HAND.format(sum="dot(softmax(dot(q, k, over=width), over=S), v, over=S)"),
        "",
        [([""], "T", "S", [])],
    ),
    "as a product and a sum": (
        HAND.format(sum="weighted(softmax(dot(q, k, over=width), over=S), v)"),
        "block weighted(w: [*, T, S], v: [*, S, D]) -> [*, T, D] {\n"
        "  each: [*, T, S, D] = w * v\n  return sum(each, over=S)\n}",
        [([""], "T", "S", [])],
    ),
    "changed afterwards": (
        HAND.format(sum="dot(softmax(dot(q, k, over=width), over=S) * 0.5 |> dropout(0.1), v, over=S)"),
        "",
        [([""], "T", "S", [])],
    ),
    "pooling, with one query": (
        "  param q: [width] = normal(1.0)\n  x = dot(softmax(dot(x, q, over=width), over=T), x, over=T)",
        "",
        [([""], None, "T", [])],
    ),
    "in a scan": (
        "  x = scan t in T with s: [B, width] = 0.0 {\n"
        "    s = tanh(bahdanau(6)(s, x) as attend + x[T=t])\n    emit s\n  }",
        ADDITIVE,
        [(["t.attend"], "T'", "T", [])],
    ),
    "in branches": (
        "  repeat h in depth { x += attention(x, heads, mask=causal if h == 1 else full) as attn }",
        "",
        [(["h.0.attn", "h.2.attn"], "T", "S", ["attn_heads"]), (["h.1.attn"], "T", "S", ["attn_heads"])],
    ),
    "a gate over experts": (
        "  gate = softmax(linear(x, experts), over=experts)\n"
        "  x = dot(gate, linear(x, experts * width) |> rearrange([experts * width] -> [experts, width]), over=experts)",
        "",
        [],
    ),
    "a mixture of words": (
        "  param table: [vocab, width] = normal(1.0)\n"
        "  x = dot(softmax(dot(x, table, over=width), over=vocab), table, over=vocab)",
        "",
        [],
    ),
    "a softmax that weighs nothing": ("  x = softmax(dot(x, x, over=width), over=T)", "", []),
}


@pytest.mark.parametrize("name", SPELLINGS)
def test_attention_is_found_however_it_is_written(spec, name):
    body, before, expected = SPELLINGS[name]
    named, found = find_attention(spec(body, before=before))
    verify(named)
    said = [
        (
            [path for _, path in it.places],
            it.queries.name if it.queries else None,
            it.keys.name,
            [axis.name for axis in it.heads],
        )
        for it in found
    ]
    assert sorted(said, key=str) == sorted(expected, key=str)


@pytest.mark.parametrize("name", [name for name, (_, _, found) in SPELLINGS.items() if found])
def test_rows_sum_to_one_and_outputs_stay(spec, name):
    body, before, _ = SPELLINGS[name]
    graph = spec(body, before=before)
    named, found = find_attention(graph)
    inputs = example_inputs(graph)
    program = NumpyProgram(named, dtype="float64", seed=1)
    addresses = [address for it in found for address, _ in it.places]
    arrays = program.run(inputs, dump=addresses)
    np.testing.assert_array_equal(arrays["y"], NumpyProgram(graph, dtype="float64", seed=1).run(inputs)["y"])
    for it in found:
        for address, _ in it.places:
            array = arrays[address]
            assert array.ndim == it.weights.rank
            np.testing.assert_allclose(array.sum(it.weights.index(it.keys)), 1, rtol=1e-12)


def test_the_weights_are_those_of_the_layer_that_they_are_named_after(spec):
    graph = spec(SPELLINGS["the library's"][0])
    named, (found,) = find_attention(graph)
    program = NumpyProgram(named, dtype="float64", seed=2)
    tokens = np.array([[3, 1, 4, 1, 5]])
    again = [f"h.{index}.attn.weight" for index in range(3)]
    arrays = program.run({"tokens": tokens}, [], dump=[*(address for address, _ in found.places), *again])
    for index, (address, path) in enumerate(found.places):
        assert path == f"h.{index}.attn"
        np.testing.assert_array_equal(arrays[address], arrays[again[index]])
    parameters = program.parameters()
    x = parameters["embedding.table"][tokens[0]]

    def projected(name):
        y = x @ parameters[f"h.0.attn.{name}.weight"] + parameters[f"h.0.attn.{name}.bias"]
        return y.reshape(5, 4, 2).transpose(1, 0, 2)

    score = projected("q") @ projected("k").transpose(0, 2, 1) / np.sqrt(2)
    score[:, ~np.tril(np.ones((5, 5), bool))] = -np.inf
    expected = np.exp(score) / np.exp(score).sum(-1, keepdims=True)
    np.testing.assert_allclose(arrays[found.places[0][0]][0], expected, rtol=1e-10)


def test_a_scans_weights_are_stacked_step_by_step(spec):
    body, before, _ = SPELLINGS["in a scan"]
    graph = spec(body, before=before)
    named, (found,) = find_attention(graph)
    ((address, _),) = found.places
    short, long = (
        NumpyProgram(named, dtype="float64", seed=2).run({"tokens": np.array([tokens])}, ["y"], dump=[address])
        for tokens in ([3, 1, 4], [3, 1, 4, 1, 5])
    )
    assert long[address].shape == (1, 5, 5)
    assert short[address].shape == (1, 3, 3)
    assert len({tuple(row) for row in long[address][0].round(9)}) > 1


def test_what_lacks_an_input_is_left_out(spec):
    head = TEXT + "  input memory: float[B, S, width] optional\n"
    body = "  x += attention(x, heads) as own\n  output more = attention(x, memory, heads) as other\n"
    graph = spec(body, head)
    assert [it.places[0][1] for it in find_attention(graph)[1]] == ["own", "other"]
    assert [it.places[0][1] for it in find_attention(graph, ["tokens"])[1]] == ["own"]


def test_several_layers_around_have_an_index_each(spec):
    graph = spec("  repeat g in 2 { repeat h in depth { x += attention(x, heads) as attn } }")
    _, (found,) = find_attention(graph)
    assert [path for _, path in found.places] == [f"g.{g}.h.{h}.attn" for g in range(2) for h in range(3)]


@pytest.mark.torch
@pytest.mark.parametrize("name", ["the library's", "grouped", "in a scan", "in branches", "written out"])
def test_both_backends_give_the_same_weights(spec, name):
    from attndsl.backends.pytorch import TorchProgram

    body, before, _ = SPELLINGS[name]
    named, found = find_attention(spec(body, before=before))
    inputs = example_inputs(named)
    addresses = [address for it in found for address, _ in it.places]
    program = NumpyProgram(named, dtype="float64", seed=3)
    other = TorchProgram(named, dtype="float64", parameters=program.parameters())
    ours, theirs = (p.run(inputs, [], dump=addresses) for p in (program, other))
    for address in addresses:
        np.testing.assert_allclose(ours[address], theirs[address], atol=1e-12)
