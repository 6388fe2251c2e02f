"""Values on the mesh, and the steps from one way of lying to another."""

from __future__ import annotations

from attndsl.graph import Node, Value
from attndsl.layouts.emitting import DeviceEmitter
from attndsl.layouts.placements import PARTIAL, VARYING, WHOLE, Owned, Placement, State
from attndsl.records import dataclass, field
from attndsl.types import Axis

States = tuple[State, ...]


@dataclass(slots=True)
class Located:
    """A value on the mesh: `placement` is how it was made, `planned` how operations are to see it (a parameter that is
    divided only to be stored is whole to them), `versions` what it has been moved to, by state, each made in the region
    of `emitter`. A `recipe` is a node that is computed wherever and however its result is needed; if it only calls the
    axes of `source` otherwise, that is what is moved, once for all its names."""

    value: Value
    placement: Placement
    planned: Placement
    emitter: DeviceEmitter
    versions: dict[States, Value] = field(default_factory=dict)
    recipe: Node | None = None
    source: Located | None = None

    def has(self, number: int, state: State) -> bool:
        """Whether it lies so along a dimension in some version."""
        if self.source is not None and self.recipe is not None:
            return self.source.has(number, lying_before(self.recipe, state))
        return self.recipe is not None or any(states[number] == state for states in self.versions)


def lying_before(node: Node, state: State) -> State:
    """How the operand of an operation that only calls axes otherwise lies, where its result lies so."""
    if isinstance(state, Owned):
        return state.called({new: own for own, new in node.op.corresponding})
    return next((own for own, new in node.op.corresponding if new == state), state)


def lying_after(node: Node, placement: Placement) -> Placement:
    """How the result of such an operation lies, where its operand lies so."""
    new = dict(node.op.corresponding)
    states = (
        new.get(state, state) if isinstance(state, Axis) else state.called(new) if isinstance(state, Owned) else state
        for state in placement.states
    )
    return Placement(placement.mesh, tuple(states))


_RANKS = (
    (Owned, PARTIAL), (WHOLE, Axis), (PARTIAL, Axis), (Axis, Axis), (PARTIAL, WHOLE), (Axis, WHOLE), (WHOLE, VARYING),
)  # fmt: skip


def next_states(now: States, target: States) -> States:
    """The states after the next step from one to the other."""
    steps: list[tuple[int, States]] = []
    for number, (before, after) in enumerate(zip(now, target, strict=True)):
        if before == after:
            continue
        if isinstance(before, Owned):
            after = PARTIAL
        if before is PARTIAL and after is VARYING:
            after = WHOLE
        if isinstance(after, Axis) and after in now:
            continue  # another dimension must let go of it first
        order = next((i for i, kinds in enumerate(_RANKS) if _is(before, kinds[0]) and _is(after, kinds[1])), 4)
        steps.append((order, (*now[:number], after, *now[number + 1 :])))
    if not steps:  # two dimensions exchange their axes
        number = next(i for i, (before, after) in enumerate(zip(now, target, strict=True)) if before != after)
        return (*now[:number], WHOLE, *now[number + 1 :])
    return min(steps, key=lambda step: step[0])[1]


def _is(state: State, kind: object) -> bool:
    return isinstance(state, kind) if isinstance(kind, type) else state is kind
