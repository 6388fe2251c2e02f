"""What repeats and scans mean: their bodies, what they carry and emit, how their index counts, and their addresses."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from attndsl.elaborate import load
from attndsl.graph import Graph
from attndsl.running.initial import initial_parameters
from tests.std.meaning import drawn, meaning


def graph(text: str, tmp_path: Path, **settings: str) -> Graph:
    path = tmp_path / "model.attn"
    path.write_text(text, encoding="utf-8")
    return load(str(path), settings)


def addresses(g: Graph) -> list[str]:
    return [a for info in g.parameters for a in info.addresses()]


def test_a_billion_layers_are_counted_not_enumerated() -> None:
    per_layer = 12 * 768 * 768 + 13 * 768
    rest = 50257 * 768 + 1024 * 768 + 2 * 768
    assert load("gpt2", {"depth": 10**9}).parameter_count == 10**9 * per_layer + rest


def test_one_body_for_each_case(tmp_path: Path) -> None:
    g = graph(
        """
model M(width=4, depth=5) {
  input x: float[B, width]
  repeat h in depth {
    if h % 2 == 0 { x += linear(x, width) as even } else { x += linear(x, 2 * width) as odd |> linear(width) as back }
    x += linear(x, width) as always
  }
  output y = x
}
""",
        tmp_path,
    )
    (node,) = [n for n in g.body.nodes if n.regions]
    assert len(node.regions) == 2
    assert node.op.cases == (0, 1, 0, 1, 0)  # type: ignore[attr-defined]
    weights = [a for a in addresses(g) if "weight" in a]
    assert sorted(weights) == sorted(
        [f"h.{i}.even.weight" for i in (0, 2, 4)]
        + [f"h.{i}.odd.weight" for i in (1, 3)]
        + [f"h.{i}.back.weight" for i in (1, 3)]
        + [f"h.{i}.always.weight" for i in range(5)]
    )


def test_the_repeat_index_as_a_number() -> None:
    text = """
model M(depth=4) {
  input x: float[B]
  repeat h in depth { x = x / sqrt(h + 1) + h ^ 2 }
  output y = x
}
"""
    x = drawn(3)
    expected = x
    for h in range(4):
        expected = expected / np.sqrt(h + 1) + h**2
    assert np.allclose(meaning(text, {"x": x})["y"], expected, atol=1e-14)


def test_emissions_of_a_repeat_are_stacked() -> None:
    text = """
model M(depth=3) {
  input x: float[B, T]
  seen = repeat h in depth {
    x = x + 1
    emit x
  }
  output y = seen
  output last = x
}
"""
    x = drawn(2, 5)
    out = meaning(text, {"x": x})
    assert np.allclose(out["y"], np.stack([x + 1, x + 2, x + 3], axis=1))
    assert np.allclose(out["last"], x + 3)


def test_loops_of_one_name_are_numbered(tmp_path: Path) -> None:
    """Each has its own values, draws and parameters."""
    text = """
model M(width=4, depth=2) {
  input x: [B, T, width]
  repeat h in depth { x += linear(x, width) as lin |> dropout(0.5) }
  repeat h in depth { x += linear(x, width) as lin |> dropout(0.5) }
  unrolled repeat h in depth { x += linear(x, width) as lin }
  a = scan t in T with s: [B, width] = 0.0 {
    s = tanh(s + x[T=t])
    emit s
  }
  b = scan t in T with s: [B, width] = 0.0 {
    s = tanh(s * 2 + a[T=t])
    emit s
  }
  output y = b
}
"""
    g = graph(text, tmp_path)
    weights = [
        f"{loop}.{i}.lin.{name}" for loop in ("h", "h_2", "h_3") for name in ("weight", "bias") for i in range(2)
    ]
    assert sorted(addresses(g)) == sorted(weights)
    assert {node.op.path for node in g.body.walk() if node.regions} == {"h", "h_2", "t", "t_2"}  # type: ignore[attr-defined]
    sites = [node.op.site for node in g.body.walk() if node.op.name == "dropout"]  # type: ignore[attr-defined]
    assert len(set(sites)) == 2
    x, p = drawn(2, 3, 4), dict(initial_parameters(g))
    y = x
    for loop in ("h", "h_2", "h_3"):
        for i in range(2):
            y = y + y @ p[f"{loop}.{i}.lin.weight"] + p[f"{loop}.{i}.lin.bias"]
    for factor in (1, 2):
        s, rows = np.zeros((2, 4)), []
        for t in range(3):
            s = np.tanh(factor * s + y[:, t])
            rows.append(s)
        y = np.stack(rows, 1)
    assert np.allclose(meaning(text, {"x": x}, p)["y"], y, atol=1e-12)


def test_scan_is_a_loop() -> None:
    text = """
model M() {
  input x: float[B, T, D]
  states = scan t in T with s: [B, D] = 0.0 * x[T=0] {
    s = tanh(s + x[T=t])
    emit s
  }
  output y = states
}
"""
    x, s, rows = drawn(2, 5, 3), np.zeros((2, 3)), []
    for t in range(5):
        s = np.tanh(s + x[:, t])
        rows.append(s)
    assert np.allclose(meaning(text, {"x": x})["y"], np.stack(rows, axis=1), atol=1e-14)


def test_nested_bodies_carry() -> None:
    text = """
model M() {
  input x: float[B]
  repeat h in 3 {
    scope s { x = x + 1 }
    e = repeat g in 2 {
      x = x + 10
      emit x
    }
    y = scope t {
      x = x + 100
      return x
    }
  }
  output z = x
}
"""
    x = drawn(3)
    assert np.allclose(meaning(text, {"x": x})["z"], x + 3 * (1 + 20 + 100))


def test_rates_that_depend_on_the_index_make_bodies(tmp_path: Path) -> None:
    g = graph(
        """
model M(width=4) {
  input x: float[B, width]
  repeat h in 3 { x += linear(dropout(x, 0.1 * h), width, init=normal(0.1 / (h + 1))) }
  output y = x
}
""",
        tmp_path,
    )
    (node,) = [n for n in g.body.nodes if n.regions]
    rates = [[n.op.p for n in region.nodes if n.op.name == "dropout"] for region in node.regions]  # type: ignore[attr-defined]
    assert rates == [[], [0.1], [0.2]]
    assert len([i for i in g.parameters if "weight" in i.address]) == 1  # its first values are not part of a body


def test_powers_of_the_repeat_index() -> None:
    text = "model M() {\n  input x: float[B]\n  repeat h in 3 { x = x * 2 ^ (-h) }\n  output y = x\n}\n"
    x = drawn(3)
    assert np.allclose(meaning(text, {"x": x})["y"], x / 8)


def test_a_layer_with_a_repeat_in_it_is_shared() -> None:
    text = """
block stack(depth)(x: [*, D]) -> [*, D] {
  repeat h in depth { x += linear(x, D) as f }
  return x
}
model M(width=3) {
  input x: float[B, width]
  layer s = stack(2)
  output y = s(s(x))
}
"""
    x, rng = drawn(2, 3), np.random.default_rng(1)
    p = {f"s.h.{i}.f.{n}": rng.normal(size=shape) for i in range(2) for n, shape in (("weight", (3, 3)), ("bias", 3))}
    expected = x
    for i in (0, 1, 0, 1):
        expected = expected + expected @ p[f"s.h.{i}.f.weight"] + p[f"s.h.{i}.f.bias"]
    assert np.allclose(meaning(text, {"x": x}, p)["y"], expected, atol=1e-13)
