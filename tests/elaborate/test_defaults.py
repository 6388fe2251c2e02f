"""Optional inputs with defaults: what needs what, what is named how, and what the graph says of them."""

from __future__ import annotations

import pytest

from attndsl.graph import Graph, Node
from attndsl.graph.reader import parse_text
from attndsl.graph.text import to_text
from attndsl.graph.verify import verify
from attndsl.ops import Attention, Given
from attndsl.passes import optimize
from tests.samples.anonymous import unlabelled
from tests.std.meaning import written

TAGGED = """
model M(vocab=16, context=8, segments=2, width=8, heads=2, depth=2) {
  input valid: bool[B, T] optional = true
  input tokens: int[B, T] where T <= context, tokens < vocab
  input place: int[B, T] optional = range(T) where place < context
  input segment: int[B, T] optional = 0 where segment < segments
  x = embedding(tokens, vocab, width) + embedding(place, context, width) + embedding(segment, segments, width)
  repeat h in depth {
    x += x |> layer_norm as ln |> attention(heads, mask=keys(valid)) as attn
  }
  output y = x
}
"""


def given_nodes(graph: Graph) -> list[Node]:
    return [node for node in graph.body.walk() if isinstance(node.op, Given)]


def needs(text: str) -> dict[str, set[str]]:
    return {info.name: set(info.needs) for info in written(text).outputs}


def test_no_output_needs_an_input_with_a_default() -> None:
    graph = written(TAGGED)
    verify(graph)
    assert {info.name: info.default for info in graph.inputs} == {
        "valid": "true", "tokens": None, "place": "range(T)", "segment": "0",
    }  # fmt: skip
    assert [info.optional for info in graph.inputs] == [True, False, True, True]
    assert graph.outputs[0].needs == frozenset()
    assert [node.output.names for node in given_nodes(graph)] == [("valid",), ("place",), ("segment",)]


def test_the_text_form_shows_defaults_and_comes_back() -> None:
    text = to_text(written(TAGGED))
    assert 'bool[B, T] optional = "true"' in text
    assert 'int[B, T] optional = "range(T)" where < context' in text
    assert to_text(parse_text(text)) == text
    verify(parse_text(unlabelled(parse_text(text))))


def test_attention_is_still_one_operator() -> None:
    graph, _ = optimize(written(TAGGED))
    (attention,) = [node.op for node in graph.body.walk() if isinstance(node.op, Attention)]
    assert attention.masked
    assert len(given_nodes(graph)) == 3


def test_an_unused_default_is_dropped_and_the_input_stays() -> None:
    graph, _ = optimize(written("model M { input x: [B]\n input w: [B] optional = 1.0\n output y = x }"))
    assert not given_nodes(graph)
    assert [info.name for info in graph.inputs] == ["x", "w"]


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        # a default that reads an optional input without one
        ("input a: [B] optional; input b: [B] optional = a * 2; output y = b; output z = x", {"y": {"a"}, "z": set()}),
        ("input a: [B] optional = x; input b: [B] optional = a * 2; output y = b", {"y": set()}),
        # a default with a size that only an optional input says
        ("input a: [N] optional; input b: [N] optional = 1.0; output y = mean(b, over=N); output z = x",
         {"y": {"a"}, "z": set()}),
        ("input b: [N] optional = 1.0; input a: [2 * N] optional; output y = mean(b, over=N)", {"y": {"a"}}),
        ("input a: [N, 2 * L] optional; input c: [N] optional; input b: [L] optional = 1.0; output y = sum(b, over=L)",
         {"y": {"a"}}),
        ("input a: [N] optional; input c: [N * L] optional; input b: [L] optional = 1.0; output y = sum(b, over=L)",
         {"y": {"a", "c"}}),
        # so too without a default
        ("input a: [N] optional; output y = float(N); output z = float(range(N))", {"y": {"a"}, "z": {"a"}}),
        ("input a: [N] optional; input c: [N] optional; output y = c * N", {"y": {"a", "c"}}),
        ("input a: [N] optional; y = repeat i in 2 with s: [] = 0.0 { s = s + N }; output z = y", {"z": {"a"}}),
        # sizes that an input says that is always given need nothing
        ("input a: [B] optional; output y = float(B); output z = float(range(2))", {"y": set(), "z": set()}),
    ],
)  # fmt: skip
def test_what_outputs_need(inputs: str, expected: dict[str, set[str]]) -> None:
    lines = "\n".join(inputs.split("; "))
    assert needs(f"model M {{\n input x: [B]\n {lines}\n}}") == expected


def test_a_default_is_brought_to_its_type() -> None:
    graph = written("""
model M(width=4) {
  input x: [B, T, width]
  input weight: [T, B] optional = mean(x, over=width)
  input delta: int[T, S] optional = range(T) - range(S)
  input y: [S]
  output a = weight
  output b = delta
}
""")
    assert [str(info.value.type) for info in graph.outputs] == ["float[T, B]", "int[T, S]"]


def test_a_layer_may_be_called_like_the_input() -> None:
    """The layer keeps its address, as it does beside an input without a default."""
    text = """
model M(width=4) {
  input x: [B, width]
  input gate: [B, width] optional = 1.0
  gate = linear(gate, width) as gate
  output y = x * gate
}
"""
    graph = written(text)
    assert [info.address for info in graph.parameters] == ["gate.weight", "gate.bias"]
    plain = written(text.replace(" optional = 1.0", ""))
    made = [[v.names for n in g.body.nodes for v in n.outputs if n.op.name == "add"] for g in (graph, plain)]
    assert made[0] == made[1]


def test_inputs_of_a_branch() -> None:
    text = """
model M(width=4, weighted=true) {
  input x: [B, width]
  if weighted {
    input weight: [B] optional = 1.0
    x = x * weight
  }
  output y = x
}
"""
    assert [info.name for info in written(text).inputs] == ["x", "weight"]
    assert [info.name for info in written(text.replace("true", "false")).inputs] == ["x"]
