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
    (Owned, PARTIAL), (WHOLE, Axis), (PARTIAL, Axis), (Axis, Axis), (WHOLE, VARYING), (PARTIAL, WHOLE), (Axis, WHOLE),
)  # fmt: skip
"""The order of steps: the earlier something is cut and the later it is put together, the less is sent, forwards and
for the gradient."""


def next_states(now: States, target: States) -> States:
    """The states after the next step from one to the other."""
    steps: list[tuple[int, States]] = []
    unlike = [number for number, (before, after) in enumerate(zip(now, target, strict=True)) if before != after]
    for number in unlike:
        before, after = now[number], target[number]
        if isinstance(before, Owned):
            after = PARTIAL
        if before is PARTIAL and after is VARYING:
            after = WHOLE
        ends = [state for state in (before, after) if isinstance(state, Axis)]
        if any(state in ends for state in now[number + 1 :]):
            continue  # a later dimension must let go of it first
        if isinstance(after, Axis) and any(after in (now[other], target[other]) for other in unlike if other < number):
            continue  # an earlier one must let go of it first, or have it
        order = next(
            (i for i, kinds in enumerate(_RANKS) if _is(before, kinds[0]) and _is(after, kinds[1])), len(_RANKS)
        )
        with_zeros = tuple([PARTIAL if state == before else state for state in now])  # along all of its dimensions
        steps.append((order, with_zeros if isinstance(before, Owned) else (*now[:number], after, *now[number + 1 :])))
    if not steps:  # the last one lets go that others wait for
        waited = {state for number in unlike for state in (now[number], target[number])}
        number = max(i for i, state in enumerate(now) if isinstance(state, Axis) and state in waited)
        return (*now[:number], WHOLE, *now[number + 1 :])
    return min(steps, key=lambda step: step[0])[1]


def _is(state: State, kind: object) -> bool:
    return isinstance(state, kind) if isinstance(kind, type) else state is kind
