"""What is decided once all boxes and arrows are known: forks that fork nothing, what leads nowhere, which arrows go
round a sublayer, where shared layers stand, and ties to the parameters that are used again."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from itertools import count

from attndsl.drawing.flow import SceneFlow
from attndsl.drawing.kinds import is_circle
from attndsl.drawing.scene import BODIES, Arrow, Box, Scene, SceneFrame
from attndsl.drawing.style import PLAIN, Style
from attndsl.drawing.ties import calls_of, tie


def finish(scene: Scene, style: Style = PLAIN) -> Scene:
    """Bring a freshly planned scene to the state in which it is drawn (in place)."""
    scene.style = style
    _prune(scene)
    _remove_idle_forks(scene)
    _join_states(scene)
    _place_shared(scene)
    _move_out(scene)
    _repeat_masks(scene)
    _mark_skips(scene)
    _find_spines(scene)
    _order_stacks(scene)
    tie(scene)
    return scene


def _prune(scene: Scene) -> None:
    """Take away what no output depends on. An input stays, used or not, unless it is there for the loss alone, and that
    is not shown."""
    needed = SceneFlow(scene.boxes, scene.arrows).leading_to(box for box in scene.boxes if box.kind == "output")
    read = {arrow.tail for arrow in scene.arrows} if not scene.style.shows("loss") else set()
    scene.boxes = [box for box in scene.boxes if box in needed or (box.kind == "input" and box not in read)]
    scene.arrows = [a for a in scene.arrows if a.head in needed and a.tail in needed]
    scene.ties = [(address, box) for address, box in scene.ties if box in needed]


def _remove_idle_forks(scene: Scene) -> None:
    """A fork with one way out is not a fork: its arrows become one. Forks that a scan's state comes back to stay, as do
    those where a stack's result leaves for another body: it is that of the last layer, not of every one."""
    ends_in, ends_out = scene.ends()
    joined: dict[Arrow, list[Arrow]] = {}  # what stands for the one way out of a fork
    idle, gone = set[Box](), set[Arrow]()
    for fork in [box for box in scene.boxes if box.kind == "fork"]:
        into, out = ends_in[fork], ends_out[fork]
        leaves = any(a.kind == "memory" for a in out) and any(a.tail.frame is not fork.frame for a in into)
        if len(out) > 1 or leaves or any(a.kind == "state" for a in into):
            continue
        idle.add(fork)
        gone.update(into)
        for before in into:
            ends_out[before.tail].remove(before)
        for after in out:
            new = joined[after] = [_joined(fork, before, after) for before in into]
            at = ends_in[after.head].index(after)
            ends_in[after.head][at : at + 1] = new
            for arrow in new:
                ends_out[arrow.tail].append(arrow)

    def now(arrow: Arrow) -> Iterator[Arrow]:
        if arrow in joined:
            for new in joined[arrow]:
                yield from now(new)
        elif arrow not in gone:
            yield arrow

    scene.arrows = [new for arrow in scene.arrows for new in now(arrow)]
    scene.boxes = [box for box in scene.boxes if box not in idle]


def _joined(fork: Box, into: Arrow, out: Arrow) -> Arrow:
    """One arrow instead of those before and behind a fork."""
    is_entry = fork.frame.kind in BODIES and fork.frame not in into.tail.frame.chain()
    kind = out.kind if out.kind != "flow" else into.kind
    carried = is_entry or into.is_carried or out.is_carried
    return Arrow(into.tail, out.head, kind, into.label, is_carried=carried)


def _join_states(scene: Scene) -> None:
    """Several states that one box of an unrolled scan hands on to another run as one arrow, with the names of all;
    parts of one state (`states.0`, `states.1`) have one name."""
    names: dict[tuple[Box, Box, str], dict[str, None]] = {}
    for arrow in scene.arrows:
        if arrow.kind in ("next", "later"):
            stem, _, last = arrow.label.rpartition(".")
            name = stem if stem and last.isdigit() else arrow.label
            names.setdefault((arrow.tail, arrow.head, arrow.kind), {})[name] = None
    kept = []
    for arrow in scene.arrows:
        if arrow.kind in ("next", "later"):
            found = names.pop((arrow.tail, arrow.head, arrow.kind), None)
            if found is None:
                continue
            arrow.label = ", ".join(found)
        kept.append(arrow)
    scene.arrows = kept


def _place_shared(scene: Scene) -> None:
    """A layer that is applied in several places has its address where it was made; draw each call in the scope whose
    boxes read it."""
    _, out = scene.ends()
    for boxes in calls_of(scene).values():
        for box in boxes if len(boxes) > 1 else ():
            readers = [a.head.frame.chain() for a in out[box] if a.head.kind != "output"]
            frame = _common(readers) if readers else box.frame
            while frame.kind in (*BODIES, "layer") and frame.parent is not None:
                frame = frame.parent
            if box.frame in frame.chain():
                box.frame = frame


def _move_out(scene: Scene) -> None:
    """A layer that was made around a body, and reads nothing in it, stands outside: it is the same for every run (T5's
    relative positions)."""
    into, out = scene.ends()
    for box in scene.boxes:
        while (
            box.path
            and box.frame.parent is not None
            and box.frame.kind in BODIES
            and not box.path.startswith(f"{box.frame.path}.")
            and not any(arrow.tail.frame is box.frame or arrow.is_carried for arrow in into[box])
        ):
            box.frame = box.frame.parent
            for arrow in (*into[box], *out[box]):
                if arrow.kind in ("flow", "memory"):
                    arrow.kind = "memory" if arrow.enters else "flow"


def _repeat_masks(scene: Scene) -> None:
    """A boolean that comes in as an input is shown beside everything that reads it: arrows from one place would run
    through the whole diagram."""
    for box in [box for box in scene.boxes if box.kind == "input"]:
        for number, arrow in enumerate([a for a in scene.arrows if a.tail is box and a.kind == "mask"]):
            frame = arrow.head.frame
            while frame.kind in (*BODIES, "layer") and frame.parent is not None:
                frame = frame.parent
            if number == 0:
                box.frame = frame
                continue
            arrow.tail = Box(
                f"{box.id} #{number + 1}",
                box.kind,
                box.lines,
                frame,
                optional=box.optional,
                address=box.address,
                at=box.at,
            )
            scene.boxes.insert(scene.boxes.index(box) + number, arrow.tail)


def _common(chains: list[tuple[SceneFrame, ...]]) -> SceneFrame:
    """The innermost frame that all chains share."""
    shared = chains[0][0]
    for frames in zip(*chains, strict=False):
        if any(frame is not frames[0] for frame in frames):
            break
        shared = frames[0]
    return shared


def _mark_skips(scene: Scene) -> None:
    """An arrow into a circle is a skip where its tail reaches the circle another way too: where the diagram says as
    much about what depends on what without it."""
    flow = SceneFlow(scene.boxes, (arrow for arrow in scene.arrows if arrow.kind != "state"))
    place = {box: number for number, box in enumerate(flow.ordered())}
    for arrow in scene.arrows:
        if arrow.kind == "flow" and is_circle(arrow.head.kind) and _goes_round(arrow, flow, place):
            arrow.kind = "skip"


def _goes_round(arrow: Arrow, flow: SceneFlow, place: dict[Box, int]) -> bool:
    """Whether another way leads from an arrow's tail to its head; what lies before the tail is not looked at."""
    waiting = [box for box in flow.before[arrow.head] if box is not arrow.tail]
    seen = set(waiting)
    while waiting:
        for box in flow.before[waiting.pop()]:
            if box is arrow.tail:
                return True
            if box not in seen and place[box] > place[arrow.tail]:
                seen.add(box)
                waiting.append(box)
    return False


def _find_spines(scene: Scene) -> None:
    """The longest ways through the diagram along plain arrows, longest first: each is drawn as a straight line."""
    flow = SceneFlow(scene.boxes, (arrow for arrow in scene.arrows if arrow.kind == "flow"))
    ordered = flow.ordered()
    place, number = ({box: i for i, box in enumerate(boxes)} for boxes in (ordered, scene.boxes))
    free = set(scene.boxes)
    length: dict[Box, int] = {}
    best: dict[Box, Box | None] = {}

    def measure(box: Box) -> None:
        length[box] = 1000 if box.kind == "output" and not box.optional else 1  # lead to what is always computed
        best[box] = None
        for head in flow.after[box]:
            if head in free and length[head] + 1 > length[box]:
                length[box], best[box] = length[head] + 1, head

    for box in reversed(ordered):
        measure(box)
    longest = [(-length[box], number[box]) for box in scene.boxes]
    heapify(longest)
    for spine in count():
        step: Box | None = None
        while longest and (step is None or step not in free):
            steps, at = heappop(longest)
            step = scene.boxes[at] if -steps == length[scene.boxes[at]] else None  # else it was measured again
        if step is None or step not in free or length[step] < 3:
            return
        shorter: list[int] = []  # the places of what leads to this spine, the last first
        while step is not None:
            step.spine = f"spine {spine}"
            free.discard(step)
            for box in flow.before[step]:
                heappush(shorter, -place[box])
            step = best[step]
        while shorter:
            box = ordered[-heappop(shorter)]
            before = length[box]
            if box in free:
                measure(box)
            if length[box] != before:
                heappush(longest, (-length[box], number[box]))
                for tail in flow.before[box]:
                    heappush(shorter, -place[tail])


def _order_stacks(scene: Scene) -> None:
    """Where one stack reads another's result, the inputs of both stand in one row, the one that is read first."""
    before: dict[Box, list[Box]] = {}
    for arrow in scene.arrows:
        if arrow.kind in ("flow", "skip"):
            before.setdefault(arrow.head, []).append(arrow.tail)

    def inputs_of(boxes: list[Box]) -> list[Box]:
        found: list[Box] = []
        seen: set[Box] = set()
        waiting = boxes
        while waiting:
            at = waiting.pop(0)
            if at not in seen:
                seen.add(at)
                found += [at] if at.kind == "input" and at.frame is scene.root else []
                waiting += before.get(at, ())
        return found

    order: list[Box] = []
    for arrow in scene.arrows:
        if arrow.kind == "memory":
            stack = arrow.head.frame.chain()[1]
            left, right = inputs_of([arrow.tail]), inputs_of([b for b in scene.boxes if stack in b.frame.chain()])
            if left and right and not set(left) & set(right):
                arrow.is_across = True
                order += [box for box in (left[0], right[0]) if box not in order]
    scene.heads = order
    _join_across(scene)


def _join_across(scene: Scene) -> None:
    """Several arrows from one box into one frame of another stack (to keys and to values, say) run as one, and fork
    inside."""
    bundles: dict[tuple[Box, SceneFrame], list[Arrow]] = {}
    for arrow in scene.arrows:
        if arrow.is_across:
            bundles.setdefault((arrow.tail, arrow.head.frame), []).append(arrow)
    for (tail, frame), arrows in bundles.items():
        if len(arrows) > 1:
            fork = Box(f"{frame.id} from {tail.id}", "fork", (), frame)
            scene.boxes.insert(scene.boxes.index(arrows[0].head), fork)
            scene.arrows.append(Arrow(tail, fork, "memory", arrows[0].label, is_across=True))
            for arrow in arrows:
                arrow.tail, arrow.label, arrow.is_across = fork, "", False
