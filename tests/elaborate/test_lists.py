"""Lists as compile-time values: where they come from, what their elements are by the index of a repeat."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import attndsl
from attndsl.elaborate import elaborate, meanings, open_text
from attndsl.graph import Graph
from attndsl.graph.reader import parse_text
from attndsl.graph.text import to_text
from attndsl.ops import Repeat
from attndsl.running.initial import initial_parameters
from attndsl.values import to_python
from attndsl.weights import save_weights
from tests.costs import less_than

LAYERS = """model M(width=4, kinds=["full", "band", "band", "full"], rates=[0.5, 2, 4.0, 1], acts=[gelu, none, tanh]) {
  input x: [B, width]
  repeat layer in len(kinds) {
    x *= rates[layer]
    x += layer if kinds[layer] == "full" else 2 * x
    x = x if layer in [1, 3] else -x
  }
  output y = x
}
variant M:other { kinds=["a", "b", "c", "full"], rates=[1, 1, 1, 1] }
"""


def graph(text: str = LAYERS, **settings: object) -> Graph:
    return elaborate(open_text(text), settings)  # type: ignore[arg-type]


def bodies(found: Graph) -> tuple[int, ...] | None:
    (node,) = [node for node in found.body.nodes if isinstance(node.op, Repeat)]
    assert isinstance(node.op, Repeat)
    return node.op.cases


@pytest.mark.parametrize("backend", ["numpy", "pytorch"])
def test_an_element_by_the_index_of_a_repeat(backend: str) -> None:
    model = attndsl.parse(LAYERS)
    x = np.array([[1.0, -2.0, 0.5, 3.0]], np.float32)
    expected = x
    for layer, (kind, rate) in enumerate(zip(("full", "band", "band", "full"), (0.5, 2, 4, 1), strict=True)):
        expected = expected * rate
        expected = expected + (layer if kind == "full" else 2 * expected)
        expected = expected if layer in (1, 3) else -expected
    np.testing.assert_allclose(model.run({"x": x}, backend=backend)["y"], expected, rtol=1e-6)


def test_there_is_a_body_for_each_kind_of_layer() -> None:
    assert bodies(graph()) == (0, 1, 2, 3)  # by the kind, and by `in`
    same = LAYERS.replace("layer in [1, 3]", "layer in [0, 3]")
    assert bodies(graph(same)) == (0, 1, 1, 0)
    assert bodies(graph(same.replace('kinds[layer] == "full"', "kinds == []"))) == (0, 1, 1, 0)
    assert bodies(graph(LAYERS.replace("layer in [1, 3]", "true"), kinds=["full"] * 4)) is None


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ('["a", "b b"]', ["a", "b b"]),
        ("[a, b]", ["a", "b"]),  # a shell's quotes are gone
        (["a", "b b"], ["a", "b b"]),
        (("a",), ["a"]),
        ([], []),
    ],
)
def test_a_list_of_texts_from_outside(setting: object, value: list[str]) -> None:
    spec = open_text('model M(kinds=["full"]) {\n  input x: [B]\n  output y = x\n}\n')
    assert to_python(meanings(spec, {"kinds": setting})["kinds"]) == value  # type: ignore[dict-item]


def test_a_list_of_blocks_from_outside() -> None:
    found = graph(acts=["gelu", None, "silu"])
    assert found.hyperparameters["acts"] == ("gelu", "none", "silu")
    assert [found.kinds[f"acts[{i}]"] for i in range(3)] == ["rotation", "none", "rotation"]


def test_numbers_of_a_list_are_of_one_kind() -> None:
    assert graph(rates=[1, 2, 3, 4]).hyperparameters["rates"] == (1.0, 2.0, 3.0, 4.0)
    from_numpy = attndsl.parse(LAYERS, rates=np.array([1, 2, 3, 4.5])).graph.hyperparameters["rates"]
    assert from_numpy == (1.0, 2.0, 3.0, 4.5)


def test_a_graph_with_lists_comes_back_from_its_text() -> None:
    text = to_text(graph())
    again = parse_text(text)
    assert to_text(again) == text
    assert again.hyperparameters == graph().hyperparameters


def test_weights_keep_lists(tmp_path: Path) -> None:
    text = 'model M(width=4, kinds=["full", "band"], depths=[1, 2]) {\n  input x: [B, width]\n'
    text += "  output y = linear(x, depths[1]) as lin\n}\n"
    model = attndsl.parse(text, kinds=["a", "b"], depths=(3, 5))
    save_weights(tmp_path / "w.safetensors", dict(initial_parameters(model.graph)), model.graph)
    again = attndsl.parse(text, weights=tmp_path / "w.safetensors")
    assert again.graph.hyperparameters == model.graph.hyperparameters
    with pytest.raises(attndsl.AttnError) as raised:
        attndsl.parse(text, weights=tmp_path / "w.safetensors", depths=[3, 6])
    assert raised.value.diagnostics[0].code == "E0617"


def test_a_list_passed_to_a_block_is_axes_or_values() -> None:
    text = """block total(over, scales)(x: [*]) -> [] { return sum(x, over=over) * scales[1] * len(scales) }
model M(width=4) {
  input x: [B, width]
  c = [B, width]
  output y = total(x, [B, width], [1, 3]) + sum(x, over=c) + mean(x, over=[width, B])
}
"""
    found = attndsl.parse(text).run({"x": np.ones((2, 4), np.float32)}, backend="numpy")["y"]
    assert found == 8 * 6 + 8 + 1


@pytest.mark.parametrize(
    "text",
    [
        "model M(a0=[1, 2], " + ", ".join(f"a{i}=[a{i - 1}, a{i - 1}]" for i in range(1, 60)) + ") {\n  input x: [B]\n",
        "model M() {\n  input x: [B]\n  l = [1, 2]\n  unrolled repeat k in 60 { l = l + l }\n",
    ],
    ids=["in one another", "joined"],
)
def test_lists_that_double_are_refused_at_once(text: str) -> None:
    with less_than(1), pytest.raises(attndsl.AttnError, match="a list holds at most 20,000 values"):
        graph(text + "  output y = x\n}\n")


def test_a_list_of_sizes_is_joined_over_and_split_into() -> None:
    text = """model M(sizes=[2, 1, 5], width=8) {
  input x: [B, width]
  a, b, c = split(x, over=width -> sizes)
  parts = []
  lengths = []
  repeat i, size in sizes {
    parts = parts + [x[width<size] * (i + 1)]
    lengths = lengths + [size]
  }
  output y = concat(parts, over=lengths -> joined)
  output z = concat(a, b, c, over=sizes -> width) - x
}
"""
    x = np.arange(16.0).reshape(2, 8)
    found = attndsl.parse(text).run({"x": x}, backend="numpy")
    one = attndsl.parse(
        text.replace("a, b, c =", "_, _, _ =").replace("concat(a, b, c, over=sizes", "concat([x], over=width")
    )
    assert not one.run({"x": x}, backend="numpy")["z"].any(), "a list may have one element"
    np.testing.assert_array_equal(found["y"], np.concatenate([x[:, :2], 2 * x[:, :1], 3 * x[:, :5]], 1))
    assert not found["z"].any()


@pytest.mark.parametrize(
    ("sizes", "code", "message"),
    [
        ("[4, 4]", "E0104", "3 operands are joined over 2 axes"),
        ("[2, 1, width]", "E0203", "is not an axis of the other operands"),
        ("[]", "E0104", "3 operands are joined over 0 axes"),
    ],
)
def test_a_list_of_sizes_fits_what_is_joined(sizes: str, code: str, message: str) -> None:
    text = "model M(width=8) {\n  input x: [B, width]\n  a, b, c = split(x, over=width -> [2, 1, 5])\n"
    with pytest.raises(attndsl.AttnError, match=message) as raised:
        graph(f"{text}  s = {sizes}\n  output y = concat(a, b, c, over=s -> joined)\n}}\n")
    assert raised.value.diagnostics[0].code == code


def test_a_list_of_tensors_is_not_compared() -> None:
    with pytest.raises(attndsl.AttnError, match="this one holds tensors"):
        graph("model M() {\n  input x: [B]\n  output y = x if [x] == [x] else -x\n}\n")


@pytest.mark.parametrize("call", ["len(act)", "sum(act)", "max(seen)", "len(width)", "len(x)", 'len("act")'])
def test_what_is_not_a_list_is_said_to_be_none(call: str) -> None:
    with pytest.raises(attndsl.AttnError) as raised:
        attndsl.parse(
            f"model M(width=4, act=gelu, seen=causal) {{\n  input x: [B, width]\n  n = {call}\n  output y = x\n}}"
        )
    (found,) = raised.value.diagnostics
    assert (found.code, "takes a list, but this is" in found.message) == ("E0104", True)
