"""Transformer-XL's relative positions against the four terms of its equation, and what a memory of segments is worth:
exactly what one call over the whole text is, as far as each layer can look back."""

from __future__ import annotations

import math

import numpy as np
import pytest

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.elaborate import load
from attndsl.running.program import Program
from tests.std.meaning import Array, drawn, meaning

N, H, T, M, WIDTH = 3, 4, 5, 2, 6
PLAIN = """
model M(width=6, heads=3, head=4, clamp={clamp}) {{
  input q: [B, heads, T, head]
  input k: [B, heads, S, head]
  input u: [heads, head]
  input v: [heads, head]
  past = k
  {joined}
  output y = relative_xl(width, base=100, clamp=clamp, u=u, v=v)(q, past) as place
}}
"""


def sinusoid(distance: int) -> Array:
    angles = [distance / 100 ** (2 * i / WIDTH) for i in range(WIDTH // 2)]
    return np.array([*map(math.sin, angles), *map(math.cos, angles)])


@pytest.mark.parametrize("clamp", [None, 0, 3, 40])
@pytest.mark.parametrize("before", [0, M])
def test_the_four_terms(clamp: int | None, before: int) -> None:
    """Section 3.3: content and content, content and distance, `u` and content, `v` and distance."""
    q, k, u, v = drawn(2, N, T, H), drawn(2, N, T + before, H), drawn(N, H), drawn(N, H)
    given = {"q": q, "k": k[:, :, before:], "u": u, "v": v}
    joined = ""
    if before:
        given["m"] = k[:, :, :before]
        joined = "input m: [B, heads, L, head]\n  past = concat(m, k, over=[L, S] -> K)"
    text = PLAIN.format(clamp="none" if clamp is None else clamp, joined=joined)
    w = {"place.r.weight": drawn(WIDTH, N * H)}
    y = meaning(text, given, w)["y"]
    for i in range(T):
        for j in range(T + before):
            distance = max(before + i - j, 0)
            r = (sinusoid(distance if clamp is None else min(distance, clamp)) @ w["place.r.weight"]).reshape(N, H)
            terms = q[:, :, i] * k[:, :, j], q[:, :, i] * r, u * k[:, :, j], v * r
            np.testing.assert_allclose(y[:, :, i, j], sum(term.sum(-1) for term in terms), atol=1e-12)


SETTINGS = {"vocab": 11, "width": 8, "heads": 2, "head": 3, "hidden": 10, "p": 0.0}


def program(depth: int, memory: int, **settings: object) -> tuple[Program, dict[str, Array]]:
    graph = load("transformer_xl", {**SETTINGS, "depth": depth, "memory": memory, **settings})
    rng = np.random.default_rng(5)
    weights = {a: rng.normal(size=w.shape) for a, w in NumpyProgram(graph).parameters().items()}
    return NumpyProgram(graph, dtype="float64", parameters=weights), weights


def in_segments(model: Program, tokens: Array, lengths: list[int]) -> Array:
    states, said, start = None, [], 0
    for length in lengths:
        found = model.run({"tokens": tokens[:, start : start + length]}, states=states)
        states, start = found.states, start + length
        said.append(found["logits"])
    return np.concatenate(said, 1)


TOKENS = np.random.default_rng(6).integers(0, 11, (2, 24))


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("lengths", [[6, 6, 6, 6], [24], [1] * 24, [5, 1, 9, 2, 7]])
def test_a_memory_of_everything_is_attention_to_everything(depth: int, lengths: list[int]) -> None:
    model, _ = program(depth, 24)
    whole = model.run({"tokens": TOKENS})["logits"]
    np.testing.assert_allclose(in_segments(model, TOKENS, lengths), whole, atol=1e-11)


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("lengths", [[6, 6, 6, 6], [1] * 24, [3, 8, 1, 12]])
def test_a_memory_is_attention_to_the_same_window(depth: int, lengths: list[int]) -> None:
    """With windows as long as the memory, segments are one call, however many layers there are: what a layer needs of
    the past is what it kept of it."""
    model, weights = program(depth, 7, same_length=True)
    whole, _ = program(depth, 24, same_length=True)
    graph = load("transformer_xl", {**SETTINGS, "depth": depth, "memory": 7, "same_length": True})
    once = NumpyProgram(graph, dtype="float64", parameters=weights).run({"tokens": TOKENS})["logits"]
    np.testing.assert_allclose(in_segments(model, TOKENS, lengths), once, atol=1e-11)
    assert np.abs(whole.run({"tokens": TOKENS})["logits"] - once).max() > 1e-3


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_the_context_grows_with_depth(depth: int) -> None:
    """A token is seen `depth` memories later (the paper's figure 2), and not after that."""
    memory, length = 3, 3
    model, _ = program(depth, memory)
    changed = TOKENS.copy()
    changed[:, length - 1] = (changed[:, length - 1] + 1) % 11  # the last token of the first segment
    lengths = [length] * 8
    reach = np.abs(in_segments(model, TOKENS, lengths) - in_segments(model, changed, lengths)).max((0, 2)) > 1e-9
    assert reach.nonzero()[0].max() == length - 1 + depth * memory


def test_a_longer_memory_for_the_same_parameters() -> None:
    short, weights = program(2, 4)
    graph = load("transformer_xl", {**SETTINGS, "depth": 2, "memory": 20})
    long = NumpyProgram(graph, dtype="float64", parameters=weights)
    lengths = [4] * 6
    whole = long.run({"tokens": TOKENS[:, :20]})["logits"]
    np.testing.assert_allclose(in_segments(long, TOKENS, lengths)[:, :20], whole, atol=1e-11)
    assert np.abs(in_segments(short, TOKENS, lengths)[:, :20] - whole).max() > 1e-3


def test_of_a_large_model_as_in_the_paper() -> None:
    """257 M in the paper's table are sixteen layers of the size that was released with eighteen."""
    assert load("transformer_xl:large").parameter_count == 285_170_506
    assert load("transformer_xl:large", {"depth": 16}).parameter_count == 257_889_098
    assert load("transformer_xl:enwik8_large").parameter_count == 277_231_820


def test_it_is_one_attention() -> None:
    """Both terms that depend on distance become a bias of the attention that the library has in one call."""
    from attndsl.passes import optimize

    graph, _ = optimize(load("transformer_xl:nano"))
    ops = [node.op.name for node in graph.body.walk()]
    assert ops.count("attention") == 1
    assert "softmax" not in ops
