"""Layers that are applied several times: one frame with how often, or a box for each and a tie between them."""

from __future__ import annotations

import pytest

from attndsl.drawing.output import scene_of
from attndsl.drawing.scene import Scene
from attndsl.elaborate import elaborate, open_text

BLOCK = """block sublayers(x: [*, T, D]) -> [*, T, D] {
  x += x |> layer_norm as first |> attention(2) as attn
  return x + mlp(x, 4 * D) as mlp
}
"""


def scene(*lines: str) -> Scene:
    body = "\n  ".join(("model M(width=8, depth=6) {", "input x: [B, T, width]", "input other: [B, T, width]", *lines))
    return scene_of(elaborate(open_text(f"{BLOCK}{body}\n}}"), {}))


def titles(drawn: Scene) -> list[tuple[str, str]]:
    return [(frame.kind, frame.title) for frame in drawn.frames if frame.kind in ("repeat", "again")]


@pytest.mark.parametrize(
    ("layer", "title"),
    [
        ("x = x + f(x)", "h × 6 · shared"),
        ("x = x + linear(x, width) as own", "h × 6"),
        ("x = x + f(x) + linear(x, width) as own", "h × 6"),  # not all of it is
        ("x = x + tanh(x)", "h × 6"),  # there is nothing to share
    ],
)
def test_a_repeat_says_whether_its_rounds_share_all_parameters(layer: str, title: str) -> None:
    drawn = scene("layer f = linear(width)", "repeat h in depth {", layer, "}", "output y = x")
    assert titles(drawn) == [("repeat", title)]


@pytest.mark.parametrize("layer", ["linear(width)", "sublayers", "mlp(16)"])
@pytest.mark.parametrize("written", ["x |> f |> f |> f", "f(f(f(x)))"])
def test_a_layer_several_times_in_a_row_is_one_box(layer: str, written: str) -> None:
    drawn = scene(f"layer f = {layer}", f"output y = {written}")
    assert titles(drawn) == [("again", "× 3 · shared")]
    (box,) = [b for b in drawn.boxes if b.path == "f"]
    assert box.frame.kind == "again"
    assert not [a for a in drawn.arrows if a.kind == "tie"]


@pytest.mark.parametrize("layer", ["linear(width)", "sublayers", "mlp(16)"])
def test_one_that_is_applied_to_two_things_is_two_boxes_with_a_tie(layer: str) -> None:
    drawn = scene(f"layer f = {layer}", "a = f(x)", "b = f(other)", "output y = a * b")
    assert titles(drawn) == []
    boxes = [b.id for b in drawn.boxes if b.path == "f"]
    assert len(boxes) == 2
    assert {(a.tail.id, a.head.id) for a in drawn.arrows if a.kind == "flow" and a.head.id in boxes} == {
        ("input x", boxes[0]),
        ("input other", boxes[1]),
    }
    assert [(a.tail.id, a.head.id) for a in drawn.arrows if a.kind == "tie"] == [tuple(boxes)]
