"""Both models in one scene: what is kept, what is gone, what is new."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from attndsl.differences.matching import Matching
from attndsl.drawing.kinds import is_circle
from attndsl.drawing.output import scene_of
from attndsl.drawing.scene import Arrow, Box, Scene, SceneFrame
from attndsl.graph import Graph

NOTE = "grey: kept · thick border: new, or changed · struck out, dashed: gone"


def scene_of_both(before: Graph, after: Graph, matching: Matching, names: tuple[str, str]) -> Scene:
    """The second model's scene, with a mark on every box and arrow, and what only the first one has put in."""
    old, new = scene_of(before), scene_of(after)
    here = {key: box for box, key in _keys(new, {}).items()}
    there = {box: here.get(key) for box, key in _keys(old, matching.same).items()}
    kept = {box: mine for mine, box in there.items() if box is not None}
    for box in new.boxes:
        mine = kept.get(box)
        box.mark = "new" if mine is None else "kept" if mine.lines[-2:] == box.lines[-2:] else "changed"
    frames = {frame.id: frame for frame in new.frames}
    place: dict[Box, Box] = {}
    for box, counterpart in there.items():
        place[box] = counterpart or _put_in(box, new, frames, matching.same)
    drawn = {(arrow.tail, arrow.head): arrow for arrow in new.arrows}
    for arrow in new.arrows:
        arrow.mark = "new"
    for arrow in old.arrows:
        ends = place[arrow.tail], place[arrow.head]
        if ends in drawn:
            drawn[ends].mark = "kept"
        elif ends[0] is not ends[1]:
            new.arrows.append(Arrow(*ends, arrow.kind, mark="gone"))
    new.title = f"{names[0]} → {names[1]}"
    new.notes.insert(0, NOTE)
    new.description = f"{new.title}. {', '.join(_told(new))}."
    return new


def _told(scene: Scene) -> list[str]:
    """What is gone, new and changed, in words."""
    marked = [(box.mark, " ".join(box.lines)) for box in scene.boxes if box.mark != "kept" and box.lines]
    return [f"{mark}: {text}" for mark, text in marked] or ["nothing differs"]


def _keys(scene: Scene, same: Mapping[str, str]) -> dict[Box, tuple[str, ...]]:
    """What is the same of each box in both models: its address and its number; of an operation that has no address, the
    layers that it reads."""
    into, _ = scene.ends()
    found: dict[Box, tuple[str, ...]] = {}
    for box in scene.boxes:
        if box.path:
            found[box] = "layer", f"{_moved(box.path, same)}{box.id.removeprefix(box.path)}"
        elif is_circle(box.kind) or box.kind == "operation":
            read = sorted({_moved(arrow.tail.path or "", same) for arrow in into[box]})
            found[box] = box.kind, _moved(box.frame.path or box.frame.id, same), *read
        else:
            found[box] = box.kind, _moved(box.id, same)
    seen: Counter[tuple[str, ...]] = Counter()
    for box, key in found.items():
        seen[key] += 1
        found[box] = *key, str(seen[key])
    return found


def _moved(path: str, same: Mapping[str, str]) -> str:
    """An address of the first model, in the second."""
    rest = ""
    at = path
    while at and at not in same:
        at, dot, last = at.rpartition(".")
        rest = f"{dot}{last}{rest}"
    return f"{same[at]}{rest}" if at else path


def _put_in(box: Box, scene: Scene, frames: dict[str, SceneFrame], same: Mapping[str, str]) -> Box:
    """A box that is gone, in the frame that it would stand in."""
    frame = next((frames[f.id] for f in reversed(box.frame.chain()) if f.id in frames), scene.root)
    gone = Box(f"gone {box.id}", box.kind, box.lines, frame, box.path, mark="gone")
    scene.boxes.append(gone)
    return gone
