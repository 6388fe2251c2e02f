"""Ties between boxes that use the same parameters: the calls of a layer, and what else reads what it has."""

from __future__ import annotations

from itertools import pairwise

from attndsl.drawing.scene import Arrow, Box, Scene, SceneFrame


def tie(scene: Scene) -> None:
    """A line through all boxes that use one layer's parameters: its calls in order, then what else reads them."""
    calls = calls_of(scene)
    users: dict[tuple[str, SceneFrame | None], dict[Box, str]] = {}
    for address, box in scene.ties:
        owners = [key for key in calls if address.startswith(key[0] + ".")]
        if owners:
            users.setdefault(max(owners, key=lambda key: len(key[0])), {}).setdefault(box, address)
    for key, boxes in calls.items():
        chain = boxes + [box for box in users.get(key, ()) if box not in boxes]
        for first, second in pairwise(chain):
            if not _are_steps(first, second):
                scene.arrows.append(Arrow(first, second, "tie", users.get(key, {}).get(second, "")))


def _are_steps(first: Box, second: Box) -> bool:
    """Whether two boxes stand in different steps of a scan: the legend says that all have the same parameters."""
    one, two = ([frame for frame in box.frame.chain() if frame.kind == "step"] for box in (first, second))
    return any(a.parent is b.parent and a is not b for a in one for b in two)


def calls_of(scene: Scene) -> dict[tuple[str, SceneFrame | None], list[Box]]:
    """The boxes of each layer that is applied, by its address. Those in two cases of one body are two layers: each case
    has parameters of its own."""
    found: dict[tuple[str, SceneFrame | None], list[Box]] = {}
    for box in scene.boxes:
        if box.path:
            cases = [f for f in box.frame.chain() if f.kind == "case" and box.path.startswith(f"{f.path}.")]
            found.setdefault((box.path, cases[-1] if cases else None), []).append(box)
    return found
