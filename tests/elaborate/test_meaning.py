"""What constructs mean: addresses and counts of parameters, and values computed independently in NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.diagnostics import AttnError
from attndsl.elaborate import load
from attndsl.graph import Graph
from tests.std.meaning import drawn, meaning


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


def test_the_parts_of_a_requirement_are_checked_one_after_the_other(tmp_path: Path) -> None:
    text = """block clipped(bound=none)(x: [*]) -> [*] {
  require bound == none or bound > 0 else "a bound is above 0"
  return x if bound == none else minimum(x, bound)
}
model M(width=2) {
  input x: [B, T, width]
  require width > 0 and T >= 2 and T <= 4 else "two elements to four"
  output y = clipped(x) + clipped(x, 3.5)
}
"""
    program = NumpyProgram(graph(text, tmp_path))
    assert program.run({"x": np.full((1, 4, 2), 5, np.float32)})["y"].tolist() == [[[8.5, 8.5]] * 4]
    for length, said in ((1, "`T` (1) must be at least 2"), (5, "`T` (5) must be at most 4")):
        with pytest.raises(AttnError) as problem:
            program.run({"x": np.zeros((1, length, 2), np.float32)})
        assert (problem.value.diagnostics[0].message, problem.value.diagnostics[0].notes[0]) == (
            "two elements to four",
            said,
        )
    with pytest.raises(AttnError, match="a bound is above 0"):
        graph(text.replace("3.5", "-1"), tmp_path)


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
