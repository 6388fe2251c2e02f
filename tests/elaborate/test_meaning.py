"""What constructs mean: addresses and counts of parameters, and values computed independently in NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attndsl.diagnostics import AttnError
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


def addresses(g: Graph) -> list[str]:
    return [a for info in g.parameters for a in info.addresses()]


@pytest.mark.parametrize(
    ("spec", "count"),
    [
        ("gpt2", 124_439_808),
        ("gpt2:small", 124_439_808),
        ("gpt2:medium", 354_823_168),
        ("gpt2:large", 774_030_080),
        ("gpt2:xl", 1_557_611_200),
        ("gpt3:175b", 174_604_259_328),
        ("gpt3:small", 125_226_240),
    ],
)
def test_published_counts(spec: str, count: int) -> None:
    assert load(spec).parameter_count == count


def test_a_billion_layers_are_counted_not_enumerated() -> None:
    per_layer = 12 * 768 * 768 + 13 * 768
    rest = 50257 * 768 + 1024 * 768 + 2 * 768
    assert load("gpt2", {"depth": 10**9}).parameter_count == 10**9 * per_layer + rest


def test_a_written_type_orders_and_broadcasts_an_output() -> None:
    found = meaning(
        """
model M {
  input x: [B, T, D]
  output y: [D, B, T] = 2 * x
  output apart: [B, T, S=T] = range(S=T) - range(T) + 0.5 * sum(x, over=[D, T])
  output ones: [B, two=2] = 1.0
}
""",
        {"x": (x := drawn(2, 3, 4))},
    )
    assert np.array_equal(found["y"], 2 * x.transpose(2, 0, 1))
    at = np.arange(3)
    assert np.array_equal(found["apart"], (at - at[:, None]) + 0.5 * x.sum((1, 2))[:, None, None])
    assert np.array_equal(found["ones"], np.ones((2, 2)))


def test_calling_a_label_again_shares(tmp_path: Path) -> None:
    g = graph(
        """
model M(width=4) {
  input x: float[B, width]
  layer f = linear(width)
  y = f(f(x)) |> linear(width) as g
  output z = g(y)
}
""",
        tmp_path,
    )
    assert addresses(g) == ["f.weight", "f.bias", "g.weight", "g.bias"]


def test_unlabelled_layers_are_numbered_by_kind(tmp_path: Path) -> None:
    g = graph(
        """
model M(width=4) {
  input x: float[B, width]
  scope inner { x = linear(x, width) }
  output z = linear(linear(x, width), width)
}
""",
        tmp_path,
    )
    assert [a for a in addresses(g) if "weight" in a] == ["inner.linear.weight", "linear.weight", "linear_2.weight"]


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


def test_a_renamed_axis_is_a_name_of_its_body() -> None:
    """A mask over it, and its length as a number; from an inner body as well."""
    text = """
model M() {
  input x: float[B, T, D]
  past = rearrange(x, [T] -> [S=T])
  repeat i in 2 {
    weight = softmax(dot(x, past, over=D), over=S, where=causal[q=T, k=S])
    x = dot(past, weight, over=S) / S
  }
  output y = x
}
"""
    x = drawn(2, 5, 3)
    y = x
    for _ in range(2):
        e = np.where(np.tri(5, dtype=bool), np.exp(y @ x.swapaxes(1, 2)), 0)
        y = e / e.sum(-1, keepdims=True) @ x / 5
    assert np.allclose(meaning(text, {"x": x})["y"], y, atol=1e-14)


def test_the_name_that_a_result_has_is_the_callers_axis() -> None:
    """`D` and `H` are both `hidden` outside: what the block makes with `hidden` goes with `H`."""
    text = """
block cell(hidden)(x: [*, D], h: [*, H]) -> [*, H] {
  return linear(x, hidden, bias=false, init=ones) * h
}
model M(hidden=3) {
  input x: [B, hidden]
  output y = cell(hidden)(x, x)
}
"""
    x = drawn(2, 3)
    assert np.allclose(meaning(text, {"x": x})["y"], x.sum(-1, keepdims=True) * x, atol=1e-14)


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


def test_axes_of_windows_may_be_written_with_their_sizes() -> None:
    x = drawn(2, 5)
    named, sized = (
        meaning(
            f"model M() {{ input x: float[B, T]\n output y = sum(windows(x, over=T -> [{axes}], size=3), over=R) }}",
            {"x": x},
        )["y"]
        for axes in ("U, R", "U=T - 2, R=3")
    )
    assert named.shape == (2, 3)
    assert (named == sized).all()


def test_positions_count_from_what_stands_before() -> None:
    text = """
model M() {
  input memory: float[B, M]
  input x: float[B, T]
  past = concat(memory, x, over=[M, T] -> S)
  output y = past
  output m = causal[q=T, k=S]
  output p = positions(S)
}
"""
    out = meaning(text, {"memory": drawn(2, 3), "x": drawn(2, 4, seed=1)})
    assert out["p"].tolist() == [-3, -2, -1, 0, 1, 2, 3]
    assert out["m"].tolist() == [[k <= q for k in range(-3, 4)] for q in range(4)]


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


@pytest.mark.parametrize("smoothing", [0, 0.1])
def test_cross_entropy(smoothing: float) -> None:
    text = f"""
model M(vocab=7) {{
  input logits: float[B, T, vocab]
  input targets: int[B, T] where targets >= -100, targets < vocab
  output loss = cross_entropy(logits, targets, over=vocab, smoothing={smoothing})
}}
"""
    logits, targets = drawn(2, 3, 7), np.array([[1, 6, -100], [0, -1, 3]])
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    each = [
        -(1 - smoothing) * log_p[b, t, targets[b, t]] - smoothing * log_p[b, t].mean()
        for b in range(2)
        for t in range(3)
        if targets[b, t] >= 0
    ]
    assert meaning(text, {"logits": logits, "targets": targets})["loss"] == pytest.approx(np.mean(each), abs=1e-13)


def test_blocks_are_values(tmp_path: Path) -> None:
    text = """
model M(width=4, norm=layer_norm, act=gelu, seen=causal) {
  input x: float[B, T, width]
  x += x |> norm as norm |> attention(2, mask=seen) as attn
  output y = x |> mlp(8, act=act) as mlp
}
"""
    assert "norm.shift" in addresses(graph(text, tmp_path))
    other = graph(text, tmp_path, norm="rms_norm(eps=1e-5)", act="relu", seen="causal & window(4)")
    assert "norm.shift" not in addresses(other)
    assert other.hyperparameters["seen"] == "causal & window(4)"


def test_optional_inputs_are_needed_by_what_uses_them() -> None:
    needs = {o.name: set(o.needs) for o in load("gpt2").outputs}
    assert needs == {"logits": set(), "loss": {"targets"}}


def test_imports_rename_and_see_their_own_file(tmp_path: Path) -> None:
    (tmp_path / "parts.attn").write_text(
        "block half()(x: [*]) -> [*] {\n  return x / two()(x)\n}\nblock two()(x: [*]) -> [*] {\n  return 0 * x + 2\n}\n"
    )
    g = graph(
        'use "parts.attn": half as by_two\nmodel M() {\n  input x: float[B]\n  output y = by_two(x)\n}\n', tmp_path
    )
    assert [str(o.value.type) for o in g.outputs] == ["float[B]"]


def test_files_that_import_each_other(tmp_path: Path) -> None:
    (tmp_path / "a.attn").write_text('use "b.attn"\nblock a()(x: [*]) -> [*] {\n  return x\n}\n')
    (tmp_path / "b.attn").write_text('use "a.attn"\nblock b()(x: [*]) -> [*] {\n  return x\n}\n')
    with pytest.raises(AttnError) as caught:
        graph('use "a.attn"\nmodel M() {\n  input x: float[B]\n  output y = x\n}\n', tmp_path)
    (found,) = caught.value.diagnostics
    assert found.code == "E0109"
    assert "a.attn → b.attn → a.attn" in found.message


def test_call_time_constraint_has_the_message_of_check_time(tmp_path: Path) -> None:
    from attndsl.running.inputs import check_inputs

    g = graph(
        "model M(context=4) {\n  input x: float[B, T] where T <= context, B % 2 == 0\n  output y = x\n}\n", tmp_path
    )
    check_inputs(g, {"x": drawn(2, 4)})
    with pytest.raises(AttnError, match=r"T` \(5\) must be at most") as caught:
        check_inputs(g, {"x": drawn(2, 5)})
    assert caught.value.diagnostics[0].code == "E0211"
    assert caught.value.diagnostics[0].primary is not None
    with pytest.raises(AttnError):
        check_inputs(g, {"x": drawn(3, 4)})


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


def test_concatenated_features_align() -> None:
    text = """
model M(width=3) {
  input x: float[B, width]
  y = concat(x, x, over=width -> 2*width)
  output z = y + linear(x, 2 * width)
  output w = linear(y, width)
}
"""
    assert meaning(text, {"x": drawn(2, 3)})["z"].shape == (2, 6)


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


def test_powers_of_the_repeat_index() -> None:
    text = "model M() {\n  input x: float[B]\n  repeat h in 3 { x = x * 2 ^ (-h) }\n  output y = x\n}\n"
    x = drawn(3)
    assert np.allclose(meaning(text, {"x": x})["y"], x / 8)


def test_settings_see_other_hyperparameters(tmp_path: Path) -> None:
    text = """
model M(width=8, heads=4, place=none, mode="sum") {
  input x: float[B, T, width]
  output y = attention(x, heads, position=place, mask=none)
}
variant M:slopes { place=alibi(heads) }
"""
    assert graph(text, tmp_path, place="alibi(heads)", mode="mean").hyperparameters["mode"] == "mean"


def test_a_slice_binds_its_name() -> None:
    text = """
model M() {
  input x: float[B, T] where T >= 2
  rest = x[T=1: -> U]
  output y = rest + float(range(U))
  output z = sum(x, over=[*])
}
"""
    x = drawn(2, 4)
    out = meaning(text, {"x": x})
    assert np.allclose(out["y"], x[:, 1:] + np.arange(3))
    assert out["z"] == pytest.approx(x.sum())


def test_rearrange_renames_what_keeps_its_size() -> None:
    text = """
model M(width=6, heads=2) {
  input x: float[B, T, width]
  output y = rearrange(x, [T, width] -> [S=T, heads, head=width / heads])
}
"""
    x = drawn(2, 5, 6)
    assert np.array_equal(meaning(text, {"x": x})["y"], x.reshape(2, 5, 2, 3))


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
