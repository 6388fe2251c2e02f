"""An input with a default, in a diagram and in the counts: as if it had to be given."""

from __future__ import annotations

from attndsl.drawing.scene import Scene
from attndsl.inspection import inspect
from attndsl.passes import optimize
from tests.drawing.test_scene import arrows, box, scene_of
from tests.elaborate.test_defaults import TAGGED
from tests.std.meaning import written


def boxes(scene: Scene) -> list[tuple[str, tuple[str, ...]]]:
    return [(b.kind, b.lines) for b in scene.boxes if b.kind != "input"]


def test_the_box_of_the_input_says_what_stands_for_it() -> None:
    scene = scene_of(written(TAGGED))
    assert "optional = true" in "\n".join(box(scene, "input valid").lines)
    assert "optional = range(T)" in "\n".join(box(scene, "input place").lines)
    assert box(scene, "input tokens").lines == ("tokens", "int[B, T]")
    assert box(scene, "input valid").optional
    assert not box(scene, "output y").optional
    long = scene_of(written(TAGGED.replace("= range(T)", "= minimum(range(T), context - 1)")))
    assert "optional = …" in "\n".join(box(long, "input place").lines)


def test_nothing_else_is_drawn_of_it() -> None:
    plain = scene_of(written(TAGGED.replace("optional = true", "").replace("optional = range(T)", "")))
    for graph in (written(TAGGED), optimize(written(TAGGED))[0]):
        scene = scene_of(graph)
        assert arrows(scene, "mask") == arrows(plain, "mask") == {("input valid", "h.*.attn")}
    assert boxes(scene_of(written(TAGGED))) == boxes(plain)


def test_it_costs_nothing() -> None:
    plain = TAGGED.replace("optional = true", "").replace("optional = range(T)", "").replace("optional = 0", "")
    found, expected = inspect(written(TAGGED)), inspect(written(plain))
    assert found.totals == expected.totals
    assert found.sizes == expected.sizes
