"""Masks, biases and blocks as values: what they capture, and attention with them computed independently in NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attndsl.elaborate import load
from attndsl.graph import Graph
from attndsl.graph.reader import parse_text
from attndsl.graph.text import to_text
from attndsl.running.initial import initial_parameters
from tests.std.meaning import drawn, meaning, written


def graph(text: str, tmp_path: Path, **settings: str) -> Graph:
    path = tmp_path / "model.attn"
    path.write_text(text, encoding="utf-8")
    return load(str(path), settings)


MASKS = {
    "full": lambda q, k: True,
    "causal": lambda q, k: k <= q,
    "window(3)": lambda q, k: q - 3 < k <= q,
    "local(2)": lambda q, k: abs(q - k) < 2,
    "prefix(3)": lambda q, k: k < 3 or k <= q,
    "global(2)": lambda q, k: q < 2 or k < 2,
    "strided(3)": lambda q, k: q >= k and (q - k) % 3 == 0,
    "causal & (window(2) | global(1))": lambda q, k: k <= q and (q - k < 2 or q < 1 or k < 1),
    "causal & (not window(2))": lambda q, k: k <= q - 2,
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("kv_heads", [4, 2, 1])
def test_attention_against_plain_numpy(mask: str, kv_heads: int) -> None:
    """Any mask with grouped queries, against loops over heads and rows; a row with nothing to attend to gives zeros."""
    text = f"""
model M(width=8, heads=4, groups={kv_heads}) {{
  input x: float[B, T, width]
  output y = attention(x, heads, kv_heads=groups, mask={mask}) as attn
}}
"""
    rng, x, length = np.random.default_rng(1), drawn(2, 6, 8), 6
    p = {f"attn.{n}.weight": rng.normal(size=(8, 2 * h)) for n, h in (("q", 4), ("k", kv_heads), ("v", kv_heads))}
    p |= {f"attn.{n}.bias": rng.normal(size=2 * h) for n, h in (("q", 4), ("k", kv_heads), ("v", kv_heads))}
    p |= {"attn.out.weight": rng.normal(size=(8, 8)), "attn.out.bias": rng.normal(size=8)}
    q, k, v = (x @ p[f"attn.{n}.weight"] + p[f"attn.{n}.bias"] for n in "qkv")
    mixed = np.zeros((2, length, 8))
    for b in range(2):
        for h in range(4):
            g = h // (4 // kv_heads)
            for i in range(length):
                seen = [j for j in range(length) if MASKS[mask](i, j)]
                if not seen:
                    continue
                score = np.array([q[b, i, 2 * h : 2 * h + 2] @ k[b, j, 2 * g : 2 * g + 2] for j in seen]) / np.sqrt(2)
                weight = np.exp(score - score.max())
                weight /= weight.sum()
                mixed[b, i, 2 * h : 2 * h + 2] = sum(
                    w * v[b, j, 2 * g : 2 * g + 2] for w, j in zip(weight, seen, strict=True)
                )
    expected = mixed @ p["attn.out.weight"] + p["attn.out.bias"]
    assert np.allclose(meaning(text, {"x": x}, p)["y"], expected, atol=1e-12)


REL = """
block rel(q: [*, T, D], k: [*, S, D], u: [D], r: [S, D]) -> [*, T, S] {
  return dot(q + u, k, over=D) + dot(q, r, over=D)
}
block adaptive(x: [*, D], by: [*, C]) -> [*, D] {
  return x * linear(by, D) as mod
}
block residual(f, norm)(x: [*, D]) -> [*, D] {
  return x + f(norm(x))
}
model M(width=4, depth=2) {
  input x: [B, T, width]
  input by: [B, width]
  param u: [width] = normal(1)
  r = tanh(x[B=0])
  norm = adaptive(tanh(by))
  layer shared = adaptive(by=by)
  repeat h in depth {
    x = x |> residual(attention(1, head=width, mask=causal, position=rel(u=u, r=r)), norm=shared) as res
    x = scan t in T with s: [B, width] = 0.0 {
      s = tanh(x[T=t] + norm(s) as own)
      emit s
    }
  }
  output y = x
}
"""


def test_a_block_value_captures_tensors() -> None:
    """Into a repeat, a scan and other blocks, where its axes have other names; positions, names and shared layers."""
    x, by = drawn(2, 5, 4), drawn(2, 4, seed=1)
    p = {address: 30 * value.astype(float) for address, value in initial_parameters(written(REL))}
    r, y = np.tanh(x[0]), x
    for h in range(2):
        mod = by @ p["shared.mod.weight"] + p["shared.mod.bias"]
        at = f"h.{h}.res.attention"
        q, k, v = ((y * mod[:, None]) @ p[f"{at}.{n}.weight"] + p[f"{at}.{n}.bias"] for n in "qkv")
        score = ((q + p["u"]) @ k.swapaxes(1, 2) + q @ r.T) / 2
        e = np.where(np.tri(5, dtype=bool), np.exp(score), 0)
        y = y + (e / e.sum(-1, keepdims=True)) @ v @ p[f"{at}.out.weight"] + p[f"{at}.out.bias"]
        s, rows = np.zeros((2, 4)), []
        for t in range(5):
            s = np.tanh(y[:, t] + s * (np.tanh(by) @ p[f"h.{h}.t.own.mod.weight"] + p[f"h.{h}.t.own.mod.bias"]))
            rows.append(s)
        y = np.stack(rows, 1)
    assert np.allclose(meaning(REL, {"x": x, "by": by}, p)["y"], y, atol=1e-12)


def test_a_mask_captures_several_tensors_of_one_axis() -> None:
    """`T` and `S` of its signature are one axis outside, and two inside self-attention."""
    text = """
mask both(doc: int[B, T], valid: bool[B, S])(b in B, q, k) = doc[b, q] == doc[b, k] and valid[b, k]
model M(width=4) {
  input x: [B, T, width]
  input doc: int[B, T]
  input valid: bool[B, T]
  output y = attention(x, 2, mask=both(doc, valid=valid)) as attn
  output z = attention(x, 2, mask=same(doc) & keys(valid)) as attn2
}
"""
    p = {a: 30 * v.astype(float) for a, v in initial_parameters(written(text))}
    p = {a: p[a.replace("attn2", "attn")] for a in p}
    doc, valid = np.array([[0, 0, 1, 1, 1]] * 2), np.array([[True, True, True, False, True]] * 2)
    out = meaning(text, {"x": drawn(2, 5, 4), "doc": doc, "valid": valid}, p)
    assert np.array_equal(out["y"], out["z"])
    assert not np.allclose(out["y"][:, 0], out["y"][:, 4])


def test_a_captured_axis_is_found_by_its_size() -> None:
    """Heads have a name of their own inside attention; `*` and a name of the signature both find them."""
    declared = """
block {name}(q: {q}, k: {k}, u: {u}) -> {result} {{
  return dot(q + u, k, over=D)
}}
model M(width=4, heads=2) {{
  input x: [B, T, width]
  head = width / heads
  param u: [heads, head] = normal(1)
  output y = attention(x, heads, position={name}(u=u)) as attn
}}
"""
    star = declared.format(name="rel", q="[*, T, D]", k="[*, S, D]", u="[*, D]", result="[*, T, S]")
    named = declared.format(name="rel", q="[*, H, T, D]", k="[*, H, S, D]", u="[H, D]", result="[*, H, T, S]")
    x, p = drawn(2, 3, 4), {a: 30 * v.astype(float) for a, v in initial_parameters(written(star))}
    q, k, v = (
        (x @ p[f"attn.{n}.weight"] + p[f"attn.{n}.bias"]).reshape(2, 3, 2, 2).swapaxes(1, 2) for n in "qkv"
    )  # [B, heads, T, head]
    e = np.exp((q + p["u"][:, None]) @ k.swapaxes(2, 3) / np.sqrt(2))
    mixed = ((e / e.sum(-1, keepdims=True)) @ v).swapaxes(1, 2).reshape(2, 3, 4)
    y = mixed @ p["attn.out.weight"] + p["attn.out.bias"]
    sized = named.replace("heads=2", "heads=2, head=2").replace("  head = width", "  require head == width")
    for text in (star, named, sized):
        assert np.allclose(meaning(text, {"x": x}, p)["y"], y, atol=1e-12)


@pytest.mark.torch
def test_captured_tensors_on_every_way(tmp_path: Path) -> None:
    from attndsl.comparison import compare

    g = graph(REL, tmp_path)
    assert to_text(parse_text(to_text(g))) == to_text(g)
    assert compare(g, gradients=True, dtype="float64").ok
    assert compare(g, candidate="passes", gradients=True, dtype="float64").ok


def test_cross_attention_with_padding_and_documents() -> None:
    text = """
model M(width=4) {
  input x: float[B, T, width]
  input memory: float[B, S, width]
  input valid: bool[B, S]
  input doc: int[B, T]
  output y = attention(x, memory, 2, mask=keys(valid)) as attn
  output z = attention(x, 2, mask=causal & same(doc)) as own
}
"""
    x, memory = drawn(2, 5, 4), drawn(2, 7, 4, seed=1)
    valid = np.ones((2, 7), bool)
    valid[:, 4:] = False
    doc = np.array([[0, 0, 1, 1, 1]] * 2)
    out = meaning(text, {"x": x, "memory": memory, "valid": valid, "doc": doc})
    changed = memory.copy()
    changed[:, 4:] = 99.0
    again = meaning(text, {"x": x, "memory": changed, "valid": valid, "doc": doc})
    assert np.array_equal(out["y"], again["y"])
    moved = x.copy()
    moved[:, 0] = 99.0
    other = meaning(text, {"x": moved, "memory": memory, "valid": valid, "doc": doc})
    assert np.array_equal(out["z"][:, 2:], other["z"][:, 2:])
    assert not np.allclose(out["z"][:, 1], other["z"][:, 1])


def test_index_functions_call_each_other() -> None:
    text = """
mask near(n)(q, k) = causal(q, k) and window(n)(q, k)
mask other(q, k) = causal[q=q, k=k] and not near(2)(q, k)
model M() {
  input x: float[T]
  input y: float[S]
  output a = near(2)[q=T, k=S]
  output b = other[q=T, k=S]
}
"""
    out = meaning(text, {"x": drawn(5), "y": drawn(5)})
    q, k = np.arange(5)[:, None], np.arange(5)[None, :]
    assert np.array_equal(out["a"], (k <= q) & (q - k < 2))
    assert np.array_equal(out["b"], (k <= q) & (q - k >= 2))
