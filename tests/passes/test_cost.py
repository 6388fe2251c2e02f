"""What passes cost: about as much as there is to look at, however deep expressions go and whatever shares what."""

from __future__ import annotations

import pytest

from attndsl.passes import optimize
from tests.costs import less_than, steps


def layers(count: int) -> str:
    """A model whose layers are written out: as many statements as sublayers."""
    lines = ["model Deep(width=8, heads=2) {", "  input x: [B, T, width]"]
    for _ in range(count):
        lines.append("  x += x |> layer_norm |> attention(heads, mask=causal)")
        lines.append("  x += x |> layer_norm |> mlp(4 * width, act=gelu_tanh)")
    return "\n".join([*lines, "  output y = x", "}", ""])


def entwined(count: int) -> str:
    """Two values that are made of each other again and again: every one is reached from the last in very many ways."""
    lines = ["model M(width=4) {", "  input a: [B, width]", "  input b: [B, width]"]
    for _ in range(count):
        lines += ["  c = tanh(a) + b", "  d = sin(b) * a", "  a = c", "  b = d"]
    return "\n".join([*lines, "  output y = a + b", "}", ""])


def doubled(count: int) -> str:
    """A sum with two terms for each of the one before: a polynomial in 2 ^ count of them."""
    lines = ["model M(width=4) {", "  input x: [B, width]", "  input z: [B, width]"]
    lines += ["  x = (x + sin(x)) * (x + z)" for _ in range(count)]
    return "\n".join([*lines, "  output y = x / (1 + sqrt(mean(x ^ 2, over=width)))", "}", ""])


@pytest.mark.parametrize(("written", "few"), [(layers, 10), (entwined, 20), (doubled, 20)])
def test_passes_are_near_linear(written, few, spec):
    """Eight times as many statements cost about eight times as much: far from what n ^ 1.5 would be (23 times)."""
    small, large = spec(written(few)), spec(written(8 * few))
    optimize(small)  # what the first run imports is not part of it
    assert steps(lambda: optimize(large)) < 16 * steps(lambda: optimize(small))


def test_sums_of_products_are_not_written_out(spec):
    for written in (entwined, doubled):
        graph = spec(written(50))
        with less_than(1):
            optimize(graph)
