"""What leads to what in a scene."""

from __future__ import annotations

import pytest

from attndsl.drawing.flow import SceneFlow
from attndsl.drawing.scene import Arrow, Box, SceneFrame

ROOT = SceneFrame("root", "root", "")


def flow(*arrows: str) -> tuple[SceneFlow, dict[str, Box]]:
    boxes = {name: Box(name, "operation", (), ROOT) for name in "abcde"}
    return SceneFlow(boxes.values(), [Arrow(boxes[a], boxes[b], "flow") for a, b in arrows]), boxes


def test_boxes_come_after_those_before_them_else_in_their_order() -> None:
    found, _ = flow("cb", "ca", "cb", "ba", "ed")
    assert [box.id for box in found.ordered()] == ["c", "e", "b", "d", "a"]
    assert {box.id: [other.id for other in others] for box, others in found.after.items() if others} == {
        "b": ["a"], "c": ["b", "a"], "e": ["d"],
    }  # fmt: skip
    with pytest.raises(ValueError, match="cycle"):
        flow("ab", "ba")[0].ordered()


def test_what_leads_to_boxes() -> None:
    found, boxes = flow("ab", "bc", "cb", "de")
    assert {box.id for box in found.leading_to([boxes["c"]])} == {"a", "b", "c"}
    assert found.leading_to([]) == set()
