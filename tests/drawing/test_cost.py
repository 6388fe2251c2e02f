"""What a diagram costs: about as much as there is to draw. Lines of Python that run are counted, not seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from attndsl.drawing.dot import to_dot
from attndsl.drawing.output import scene_of
from attndsl.elaborate import elaborate, open_text
from tests.passes.test_cost import entwined, layers


def beside(count: int) -> str:
    """Many ways that lead from one value to one other."""
    lines = ["model M(width=4) {", "  input x: [B, width]", "  y = x"]
    lines += [f"  y += tanh(sin(exp(x + {i})))" for i in range(count)]
    return "\n".join([*lines, "  output z = y", "}", ""])


def lines_run(text: str, depth: int) -> int:
    graph = elaborate(open_text(text), {})
    found = 0

    def count(frame: FrameType, event: str, argument: object) -> Callable[..., Any]:
        nonlocal found
        found += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        assert "digraph" in to_dot(scene_of(graph, depth=depth)).source
    finally:
        sys.settrace(before)
    return found


@pytest.mark.parametrize("depth", [0, 2])
@pytest.mark.parametrize("written", [layers, entwined, beside])
def test_drawing_is_near_linear(written: Callable[[int], str], depth: int) -> None:
    lines_run(written(1), depth)  # what the first run imports is not part of it
    assert lines_run(written(28), depth) < 6 * lines_run(written(7), depth)
