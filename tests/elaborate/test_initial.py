"""First values: formulas of draws, ranges and repeat indices, in one body, and the same wherever they are made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attndsl.diagnostics import AttnError
from attndsl.elaborate import load
from attndsl.graph import Graph
from attndsl.graph.reader import parse_text
from attndsl.graph.text import to_text
from attndsl.ops.arrays import generator
from attndsl.running.initial import initial_parameters
from tests.samples.anonymous import unlabelled
from tests.std.meaning import written

TEXT = """
block squashed(scale=2)(x: [*], y: [*] = 1) -> [*] {
  return scale * tanh(x) * y
}
model M(width=6, heads=3, depth=4, inner=2, rates=[0.5, 1, 2, 4]) {
  input x: [B, width]
  half = width / 2
  start = normal(0.02) * 0.5
  steps = -(range(heads) + 1) / heads
  param a: [heads, head=width / heads] = log(range(heads) + 1)
  param b: [heads] = log(exp(exp(uniform(log(0.001), log(0.1)))) - 1)
  param k: [heads] = log(uniform(1, 16))
  param l: [heads] = normal(1) |> squashed(scale=3, y=range(heads))
  param c: [half2=2 * half, width] = concat(zeros, 2 * ones, over=[half, half] -> half2)
  param d: [width] = where(range(width) < 3, 7, normal(0.1) + normal(0.1))
  param e: [] = 0.25 * heads
  param f: [heads] = 2 ^ steps
  x += linear(x, width, init=start) as first
  repeat h in depth {
    x += linear(x, width, init=normal(0.02 / (h + 1)), bias_init=h) as lin
    param g: [width] = range(width) * h + 1
    param w: [width] = concat(constant(h), rates[h] * normal(1), over=[half, half] -> width)
    x = x * g + w if h < 2 else x - g - w
    repeat j in inner {
      param u: [width] = uniform(0, log(h + 1) + j + 1)
      param v: [width] = 10 * h + j
      x += u * v
    }
  }
  output y = x + mean(a, over=[heads, head]) + mean(b * f * k * l, over=heads) + mean(c, over=half2) + d + e
}
"""


def drawn(address: str, kind: str, *shape: int) -> np.ndarray:
    draw = generator("initial", 0, address)
    return draw.standard_normal(shape, np.float32) if kind == "normal" else draw.random(shape, np.float32)


def expected() -> dict[str, np.ndarray]:
    found = {
        "a": np.log(np.arange(3) + 1)[:, None] * np.ones((3, 2)),
        "b": np.log(np.expm1(np.exp(np.log(0.001) + np.log(100) * drawn("b", "uniform", 3)))),
        "c": np.concatenate([np.zeros((3, 6)), 2 * np.ones((3, 6))]),
        "e": np.array(0.75),
        "l": 3 * np.tanh(drawn("l", "normal", 3)) * np.arange(3),
        "k": np.log(1 + 15 * drawn("k", "uniform", 3)),
        "f": 2.0 ** (-np.arange(1, 4) / 3),
        "first.weight": 0.01 * drawn("first.weight", "normal", 6, 6),
    }
    draw = generator("initial", 0, "d")
    twice = draw.standard_normal(6, np.float32) + draw.standard_normal(6, np.float32)
    found["d"] = np.where(np.arange(6) < 3, 7, 0.1 * twice)
    for h in range(4):
        at = f"h.{h}.lin"
        found[f"{at}.weight"] = 0.02 / (h + 1) * drawn(f"{at}.weight", "normal", 6, 6)
        found[f"{at}.bias"] = np.full(6, h)
        found[f"h.{h}.g"] = np.arange(6) * h + 1
        w = f"h.{h}.w"
        found[w] = np.concatenate([np.full(3, h), 2.0 ** (h - 1) * drawn(w, "normal", 3)])
        for j in range(2):
            u = f"h.{h}.j.{j}.u"
            found[u] = (np.log(h + 1) + j + 1) * drawn(u, "uniform", 6)
            found[f"h.{h}.j.{j}.v"] = np.full(6, 10 * h + j)
    return found


def test_formulas_of_draws_ranges_and_indices() -> None:
    found = dict(initial_parameters(written(TEXT)))
    wanted = expected()
    assert found.keys() - {"first.bias"} == wanted.keys()
    for address, array in wanted.items():
        np.testing.assert_allclose(found[address], array, rtol=1e-5, err_msg=address)
        assert found[address].dtype == np.float32
        assert found[address].flags.writeable


def test_a_first_value_is_not_part_of_a_body() -> None:
    """There is a body for each outcome of the condition, and no more; and one parameter at each address."""
    graph = written(TEXT)
    (repeat,) = [node for node in graph.body.nodes if node.regions]
    assert len(repeat.regions) == 2
    assert len({info.address for info in graph.parameters}) == len(graph.parameters)


def test_the_text_of_a_graph_says_what_a_parameter_starts_from() -> None:
    graph = written(TEXT)
    again = parse_text(to_text(graph))
    assert [info.initializer for info in again.parameters] == [info.initializer for info in graph.parameters]
    for form in (to_text, unlabelled):
        assert form(parse_text(form(graph))) == form(graph)


@pytest.mark.torch
def test_the_file_makes_the_same_values() -> None:
    """Those that are not drawn are equal; those that are lie in the same range. One class serves 96 layers."""
    import torch

    from attndsl.backends.pytorch import generate_source
    from attndsl.comparison import compare

    graph = written(TEXT)
    torch.manual_seed(0)
    namespace: dict[str, object] = {}
    exec(generate_source(graph), namespace)
    made = {name: value.detach().numpy() for name, value in namespace["M"]().named_parameters()}  # type: ignore[operator]
    wanted = dict(initial_parameters(graph))
    assert made.keys() == wanted.keys()
    for address, array in wanted.items():
        if address.split(".")[-1] in ("weight", "u", "w", "b", "d", "k", "l"):
            assert 0.1 * np.abs(array).max() < np.abs(made[address]).max() < 10 * np.abs(array).max() + 1e-9, address
        else:
            np.testing.assert_allclose(made[address], array, rtol=1e-6, err_msg=address)
    assert compare(graph, gradients=True, dtype="float64").ok
    deep = "model D(width=4) {\n  input x: [B, width]\n  repeat h in 96 {\n" \
           "    x += linear(x, width, init=normal(0.02 / (h + 1)))\n  }\n  output y = x\n}\n"  # fmt: skip
    assert generate_source(written(deep)).count("class Block") == 1


WRONG = {
    "log(range(width) + 1)": ("E0208", "[width], which the parameter lacks"),
    "range(heads) / T": ("E0209", "`T`"),
    "sum(x, over=[B, T, width]) + normal(1)": ("E0104", "that the inputs decide"),
    "uniform([heads])": ("E0104", "what `uniform` gives"),
    "w": ("E0104", "what `parameter` gives"),
    "layer_norm(normal(1))": ("E0401", "`eps`"),
    "relu(normal(1), normal(1))": ("E0104", "1 tensor"),
    "twice(normal(1))": ("E0113", "one initialiser"),
    "mean(normal(1), over=heads)": ("E0104", "have no axes"),
    "causal": ("E0104", "a mask"),
    "concat(zeros, ones, over=[heads, width] -> heads)": ("E0206", "must be equal"),
    "2 * xavier": ("E0104", "two axes"),
    "normal(2 - depth)": ("E0403", "at least 0"),
    "normal(range(heads))": ("E0404", "known at compile time"),
    " + ".join(["range(heads)"] * 150): ("E0111", "200"),
}


@pytest.mark.parametrize("formula", WRONG)
def test_what_a_parameter_cannot_start_from(formula: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.attn"
    path.write_text(
        "block twice(x: [*]) -> [*], [*] {\n  return x, x\n}\n"
        "model M(width=6, heads=3, depth=4) {\n  input x: [B, T, width]\n  param w: [heads]\n"
        f"  param p: [heads] = {formula}\n  output y = x\n}}\n",
        encoding="utf-8",
    )
    with pytest.raises(AttnError) as caught:
        load(str(path))
    (problem,) = caught.value.diagnostics
    code, said = WRONG[formula]
    assert problem.code == code
    assert said in problem.message


def bodies(graph: Graph) -> list[int]:
    return [len(node.regions) for node in graph.body.nodes if node.regions]


def test_a_deviation_below_zero_is_refused_in_whichever_round(tmp_path: Path) -> None:
    text = "model M(width=4) {{\n  input x: [B, width]\n  repeat h in 4 {{\n    param p: [width] = normal({})\n" \
           "    x += p\n  }}\n  output y = x\n}}\n"  # fmt: skip
    assert bodies(written(text.format("3 - h"))) == [1]
    with pytest.raises(AttnError, match="E0403"):
        written(text.format("2 - h"))
