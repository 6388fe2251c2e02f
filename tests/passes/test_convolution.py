"""Convolutions and their transposes: spellings, near misses, and that the numbers stay."""

from __future__ import annotations

import pytest

from attndsl.graph import Graph
from attndsl.ops import Convolution, Sliding, TransposedConvolution
from attndsl.passes import explain, optimize
from attndsl.passes.expand import Expand

SPEC = """
block spelled(size, out)(x: [*, T, D], z: [*, Y, X, D]) {
%s
}
model M(width=4, out=6, size=3) {
  input x: [B, T, width]
  input z: [B, Y, X, width]
  output y = spelled(size, out)(x, z)
}
"""
BODY = SPEC[: SPEC.index("%s")].count("\n") + 1

CONVOLUTIONS: dict[str, tuple[str, dict[str, object]]] = {
    "the standard block": ("return conv(x, out, size, pad=1)", {}),
    "in two dimensions": ("return conv2d(z, out, size, stride=2, pad=1)", {}),
    "in groups": ("return conv2d(z, out, size, dilation=2, groups=2)", {}),
    "of each channel": ("return depthwise(x, size, before=size - 1)", {"channels": 1}),
    "operands the other way round": (
        """
  param w: [R_=size, D, out]
  return dot(w, windows(x, over=T -> [U, R], size=size) |> rearrange([R] -> [R_=size]), over=[R_, D])""",
        {"channels": 1},
    ),
    "the sum of a product": (
        """
  param w: [R_=size, D]
  return sum(rearrange(windows(x, over=T -> [U, R], size=size), [R] -> [R_=size]) * w, over=R_)""",
        {"channels": 0},
    ),
    "summed in two steps": (
        """
  param w: [R_=size, D, out]
  seen = windows(x, over=T -> [U, R], size=size) |> rearrange([R] -> [R_=size])
  return sum(dot(seen, w, over=D), over=R_)""",
        {"channels": 1},
    ),
    "a linear layer over what is in a window": (
        "return windows(x, over=T -> [U, R], size=size, stride=2) |> rearrange([R, D] -> [R * D]) |> linear(out)",
        {"channels": 1},
    ),
    "patches of an image": (
        """
  seen = windows(z, over=Y -> [V, R], size=2, stride=2) |> windows(over=X -> [U, S], size=2, stride=2)
  return linear(rearrange(seen, [V, U, R, S, D] -> [V * U, D * R * S]), out)""",
        {"channels": 1},
    ),
    "columns first": (
        """
  param w: [out, D, across=size, down=2]
  seen = windows(z, over=X -> [U, S], size=size) |> rearrange([Y, U] -> [U, Y]) |> windows(over=Y -> [V, R], size=2)
  return dot(w, rearrange(seen, [R, S] -> [down=2, across=size]), over=[across, down, D])""",
        {"channels": 1},
    ),
    "a kernel that is computed": (
        """
  param w: [R_=size, D, out]
  return dot(rearrange(windows(x, over=T -> [U, R], size=size), [R] -> [R_=size]), 2 * tanh(w), over=[R_, D])""",
        {"channels": 1},
    ),
    "a kernel for each sequence": (
        """
  w = linear(mean(x, over=T), 2 * D) |> rearrange([2 * D] -> [R_=2, D])
  return dot(rearrange(windows(x, over=T -> [U, R], size=2), [R] -> [R_=2]), w, over=R_)""",
        {"channels": 0},
    ),
}

TRANSPOSED: dict[str, str] = {
    "the standard block": "return conv_transpose(x, out, size, stride=2, pad=1)",
    "in two dimensions": "return conv2d_transpose(z, out, size, stride=2, pad=1, extra=1)",
    "in groups": "return conv2d_transpose(z, out, size, dilation=2, groups=2)",
    "cut at one end": """
  param w: [R=size, D, out]
  at: int[T, R=size] = range(T) + range(R=size)
  return scatter_add(dot(w, x, over=D), at, over=[T, R] -> L=T + size - 1)[L=0:T]""",
    "the kernel's elements counted first": """
  param w: [R=size, D, out]
  at: int[R=size, T] = 2 * range(R=size) + 3 * range(T)
  return scatter_add(dot(x, w, over=D), at, over=[R, T] -> L=3 * T + 2 * size - 2)""",
}

MISSES: dict[str, tuple[str, str]] = {
    "not summed over the window": (
        """
  param w: [R_=size, D, out]
  return dot(rearrange(windows(x, over=T -> [U, R], size=size), [R] -> [R_=size]), w, over=D)""",
        "the products are not summed over `R_`, the elements of a window",
    ),
    "windows of windows": (
        """
  param w: [R_=2, S_=2, D]
  seen = windows(x, over=T -> [U, R_], size=2) |> windows(over=U -> [V, S_], size=2)
  return dot(seen, w, over=[R_, S_])""",
        "comes of windows itself, and windows of windows are no convolution",
    ),
    "an activation between": (
        """
  param w: [R_=size, D, out]
  return dot(tanh(rearrange(windows(x, over=T -> [U, R], size=size), [R] -> [R_=size])), w, over=[R_, D])""",
        "`tanh` is applied to the windows: apply it before them",
    ),
    "more than is scattered to": (
        """
  param w: [R=size, D, out]
  at: int[T, R=size] = 2 * range(T) + range(R=size)
  return scatter_add(dot(x, w, over=D), at, over=[T, R] -> L=2 * T + size)""",
        "the result is longer by a stride than what is added up in it",
    ),
}


def nodes(graph: Graph, kind: type) -> list[object]:
    return [node for node in graph.body.walk() if isinstance(node.op, kind)]


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_every_spelling_is_a_convolution(name: str, spec, difference) -> None:  # type: ignore[no-untyped-def]
    body, attributes = CONVOLUTIONS[name]
    graph = spec(SPEC % body)
    optimized, _ = optimize(graph)
    (found,) = nodes(optimized, Convolution)
    if "channels" in attributes:
        assert len(found.op.channels) == attributes["channels"]
    assert difference(graph, optimized) < 1e-11
    assert difference(graph, Expand().run(optimized)[0]) < 1e-11


@pytest.mark.parametrize("name", TRANSPOSED)
def test_every_spelling_is_a_transposed_convolution(name: str, spec, difference) -> None:  # type: ignore[no-untyped-def]
    graph = spec(SPEC % TRANSPOSED[name])
    optimized, _ = optimize(graph)
    assert len(nodes(optimized, TransposedConvolution)) == 1
    assert difference(graph, optimized) < 1e-11
    assert difference(graph, Expand().run(optimized)[0]) < 1e-11


@pytest.mark.parametrize("name", MISSES)
def test_near_misses_say_why(name: str, spec) -> None:  # type: ignore[no-untyped-def]
    body, reason = MISSES[name]
    optimized, reports = optimize(spec(SPEC % body))
    assert not nodes(optimized, Sliding)
    assert reason in explain(reports)


UNRELATED = {
    "weights that are computed for each place": """
  weight = softmax(linear(x, size), over=size)
  seen = windows(x, over=T -> [T, R], size=size, before=size - 1) |> rearrange([R] -> [size])
  return dot(seen, weight, over=size)""",
    "a product in windows of attention": """
  q = windows(x, over=T -> [U, R], size=3)
  return dot(q, linear(x, D)[T=1:T - 1 -> U=T - 2], over=D)""",
    "the mean of a window": "return mean_pool(x, 2)",
    "messages of a graph": """
  at = int(abs(sum(x, over=D))) // 100
  return scatter_add(linear(x, out), at, over=T -> 3)""",
}


@pytest.mark.parametrize("name", UNRELATED)
def test_other_products_are_left_alone_without_a_word(name: str, spec) -> None:  # type: ignore[no-untyped-def]
    optimized, reports = optimize(spec(SPEC % UNRELATED[name]))
    assert not nodes(optimized, Sliding)
    assert "not rewritten" not in explain(reports)
