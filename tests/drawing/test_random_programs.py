"""Whatever can be written can be drawn: random programs, closed and open, have a scene and a text for Graphviz."""

from __future__ import annotations

import pytest

from attndsl.drawing import Style
from attndsl.drawing.dot import to_dot
from attndsl.drawing.output import scene_of
from attndsl.elaborate import elaborate, open_text
from tests.programs.writer import Program


@pytest.mark.parametrize("first", range(0, 120, 20))
def test_random_programs_are_drawn(first: int) -> None:
    for number in range(first, first + 20):
        graph = elaborate(open_text(Program.random(number).text), {})
        for depth, style in ((0, Style()), (2, Style(unrolled=True))):
            scene = scene_of(graph, depth=depth, style=style)
            drawn = {box.id for box in scene.boxes if box.kind == "output"}
            assert drawn == {f"output {info.name}" for info in graph.own_outputs}
            assert "digraph" in to_dot(scene).source
