"""Scans in diagrams: folded, with their states named, or as the steps that they make; gates as such."""

from __future__ import annotations

from dataclasses import replace

import pytest

from attndsl.drawing import Style, captions
from attndsl.drawing.output import scene_of
from attndsl.drawing.scene import Scene
from attndsl.elaborate import elaborate, load, open_text
from attndsl.graph import Graph
from attndsl.ops import Scan

UNROLLED = Style(unrolled=True)
SUMMING = """
model M(width=8) {{
  input x: [B, {axis}, width]
  layer step = linear(width)
  output sums = scan t in T with total: [B, width] = 0.0, last: [B, width] = 0.0 {{
    total = step(total + x[T=t]) |> tanh
    last = last + x[T=t]
    emit total + last
  }}
}}
"""


def summing(axis: str = "T") -> Graph:
    return elaborate(open_text(SUMMING.format(axis=axis)), {})


def drawn(scene: Scene, kind: str) -> set[tuple[str, str, str]]:
    return {(a.tail.id, a.head.id, a.label) for a in scene.arrows if a.kind == kind}


def steps(scene: Scene) -> list[str]:
    return [frame.title for frame in scene.frames if frame.kind == "step"]


def test_a_folded_scan_names_its_states_and_comes_back_to_them() -> None:
    scene = scene_of(summing())
    assert {b.id: b.lines for b in scene.boxes if b.kind == "state"} == {
        "t state total": ("total", "[B, width]"),
        "t state last": ("last", "[B, width]"),
    }
    assert drawn(scene, "state") == {
        ("t.tanh", "t state total", "next step"),
        ("add #2", "t state last", "next step"),
    }
    assert not steps(scene)


def test_an_unrolled_one_hands_them_on_from_step_to_step() -> None:
    scene = scene_of(summing(), style=UNROLLED)
    assert steps(scene) == ["t = 0", "t = 1", "t = T-1"]
    assert [b.frame.title for b in scene.boxes if b.path == "step"] == ["t = 0", "t = 1", "t = T-1"]
    assert not [b for b in scene.boxes if b.kind == "state"]
    for kind, ends in ("next", ("t = 0", "t = 1")), ("later", ("t = 1", "t = T-1")):
        arrows = [arrow for arrow in scene.arrows if arrow.kind == kind]
        assert {(a.tail.frame.title, a.head.frame.title) for a in arrows} == {ends}
        assert {a.label for a in arrows} == {"total", "last"}
    assert not [
        a for a in scene.arrows if a.kind in ("state", "tie")
    ]  # the legend says that all share their parameters
    (output,) = [b for b in scene.boxes if b.kind == "output"]
    assert len([a for a in scene.arrows if a.head is output]) == 3


@pytest.mark.parametrize(
    ("axis", "forward", "backward"),
    [
        ("T", ["t = 0", "t = 1", "t = T-1"], ["t = T-1", "t = T-2", "t = 0"]),
        ("T=5", ["t = 0", "t = 1", "t = 4"], ["t = 4", "t = 3", "t = 0"]),
        ("T=3", ["t = 0", "t = 1", "t = 2"], ["t = 2", "t = 1", "t = 0"]),
        ("T=2", ["t = 0", "t = 1"], ["t = 1", "t = 0"]),
        ("T=1", ["t = 0"], ["t = 0"]),
    ],
)
def test_the_steps_that_are_drawn(axis: str, forward: list[str], backward: list[str]) -> None:
    graph = summing(axis)
    (op,) = (node.op for node in graph.body.walk() if isinstance(node.op, Scan))
    leaps = axis not in ("T=3", "T=2", "T=1")
    for order, expected in (op, forward), (replace(op, reverse=True), backward):
        made = captions.steps(order, graph.sizes)
        assert [step.title for step in made] == expected
        assert [step.enters for step in made] == ["flow", "next", "later" if leaps else "next"][: len(made)]
    assert steps(scene_of(graph, style=UNROLLED)) == forward


def test_a_recurrent_layer_is_opened_to_show_its_steps() -> None:
    closed, opened = scene_of(load("rnn_lm", {})), scene_of(load("rnn_lm", {}), style=UNROLLED)
    assert [b.lines for b in closed.boxes if b.kind == "recurrent"] == [("rnn", "recurrent", "gates: f, i, o")]
    assert [b.lines for b in opened.boxes if b.kind == "recurrent"] == [("cell", "lstm cell", "gates: f, i, o")] * 3
    (handed,) = [a for a in opened.arrows if a.kind == "next"]
    assert handed.label == "states"  # both: h and c
    assert {a.tail.frame.title for a in opened.arrows if a.kind == "state"} == {
        "t = T-1"
    }  # the next call goes on there


def test_attention_in_a_scan_is_attention() -> None:
    scene = scene_of(load("seq2seq:additive", {}))
    (look,) = [b for b in scene.boxes if b.kind == "attention"]
    assert "scan" in [frame.kind for frame in look.frame.chain()]


@pytest.mark.parametrize(
    ("expression", "lines"),
    [
        ("sigmoid(g) * y", [("gate g", "sigmoid")]),
        ("y - sigmoid(y + g) * g", [("gate", "sigmoid")]),
        ("(1 - sigmoid(g)) * y + g", [("gate g", "sigmoid")]),
        ("y * sigmoid(y)", []),  # a curve
        ("sigmoid(g) + y", []),
    ],
)
def test_a_gate_is_drawn_as_one(expression: str, lines: list[tuple[str, ...]]) -> None:
    text = (
        "model M(width=8) {\n  input x: [B, width]\n  g = linear(x, width) as a\n"
        f"  y = linear(x, width) as b\n  output z = {expression}\n}}"
    )
    scene = scene_of(elaborate(open_text(text), {}))
    assert [b.lines for b in scene.boxes if b.kind == "gate"] == lines
