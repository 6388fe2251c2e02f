"""The device's part of each value, made once for each way in which somebody needs it to lie."""

from __future__ import annotations

from collections.abc import Sequence

from attndsl.graph import Graph, Node, Value
from attndsl.layouts.channels import Channel, channels
from attndsl.layouts.emitting import DeviceEmitter, Move
from attndsl.layouts.facts import Facts
from attndsl.layouts.located import Located, States, lying_before, next_states
from attndsl.layouts.parts import called, localized, on_parts
from attndsl.layouts.placements import PARTIAL, VARYING, WHOLE, Owned, Placement
from attndsl.layouts.wanted import WantedPlacements
from attndsl.ops import Rename
from attndsl.types import Axis


class ValueRequests:
    """Where the values of a graph lie: `located`, and in `placements` with the reason. What is requested is moved, or
    made anew, and noted in `moves`."""

    def __init__(self, graph: Graph, wanted: WantedPlacements) -> None:
        self.graph, self.wanted, self.mesh = graph, wanted, wanted.mesh
        self.facts = Facts(graph)
        self.moves: list[tuple[Value, Move]] = []  # with what they make
        self.placements: dict[Value, tuple[Placement, str]] = {}
        self.located: dict[Value, Located] = {}

    def made(self, value: Value, placement: Placement, local: Value, emitter: DeviceEmitter, reason: str) -> Located:
        """Note where a value lies, and the device's part of it."""
        assert local.type == placement.local(value.type), (local.type, placement, value.type)
        found = Located(value, placement, placement, emitter, {placement.states: local})
        self.located[value] = found
        self.placements[value] = placement, reason
        return found

    def request(self, value: Value, placement: Placement, reader: Node | None = None) -> Value:
        """The device's part of a value that lies so; it is moved once for all who want it there."""
        there = self.located[value]
        differentiated = value in self.facts.differentiated
        states = placement.states
        if not differentiated:  # where it is each device's own, it stays so
            pairs = zip(states, there.placement.states, strict=True)
            states = tuple(WHOLE if s is VARYING and made is not VARYING else s for s, made in pairs)
        if states in there.versions:
            return there.versions[states]
        if there.source is not None and there.recipe is not None:
            before = tuple(lying_before(there.recipe, state) for state in states)
            local = self.request(there.source.value, Placement(self.mesh, before), reader)
            there.emitter.stamp(there.recipe)
            parts = Placement(self.mesh, before).parts | Placement(self.mesh, states).parts
            found = called(there.emitter.emit(localized(there.recipe.op, parts), local), value)
        elif there.recipe is not None:
            found = self._made_anew(there.recipe, states, there.emitter)
        elif value in self.facts.zeros and PARTIAL in states:
            whole = tuple(WHOLE if state is PARTIAL else state for state in states)
            found = self.request(value, Placement(self.mesh, whole), reader)
        else:
            if reader is not None:
                there.emitter.stamp(reader)
            found = self._moved(there, states, _why(reader), differentiated=differentiated)
        there.versions[states] = found
        return found

    def _moved(self, there: Located, target: States, reason: str, *, differentiated: bool) -> Value:
        """One step after the other, first those that make it smaller."""
        for number, state in enumerate(target):
            nearly = (*target[:number], WHOLE, *target[number + 1 :])
            if state is VARYING and nearly in there.versions:
                return there.emitter.vary(there.versions[nearly], number, reason, differentiated=differentiated)
        now = there.placement.states
        while now != target:
            after = next_states(now, target)
            if after not in there.versions:
                number = next(i for i, (a, b) in enumerate(zip(now, after, strict=True)) if a != b)
                state, local = now[number], there.versions[now]
                placement, emitter = Placement(self.mesh, now), there.emitter
                there.versions[after] = (
                    self._with_zeros(emitter, local, state, placement)
                    if isinstance(state, Owned)
                    else emitter.moved(local, placement, number, after[number], reason, differentiated=differentiated)
                )
            now = after
        return there.versions[target]

    def _with_zeros(self, emitter: DeviceEmitter, value: Value, owned: Owned, now: Placement) -> Value:
        """A value that is right in some places on each device, with zeros in the others."""
        axes = owned.index.type.axes
        kept = (VARYING, *axes)  # the layers of each stage pick for themselves
        states = tuple(state if state in kept else WHOLE for state in now.states)
        placement = Placement(self.mesh, states)
        index = self.request(owned.index, placement)
        here, _ = emitter.within(index, owned.on, owned.over)
        parts = placement.parts
        for old, new in zip(axes, owned.axes, strict=True):
            if old != new:
                here = emitter.emit(Rename(parts.get(old, old), new), here)
        return emitter.where(here, value)

    def _made_anew(self, node: Node, states: States, emitter: DeviceEmitter) -> Value:
        """A value that anybody can make, as it is wanted here."""
        chosen, left = list[Channel](), list[tuple[int, Axis]]()
        for number, state in enumerate(states):
            ways = channels(node)
            others = [channel for channel in chosen if channel.result != state]
            found = next((c for c in ways if c.result == state and not any(map(any, map(c.shared, others)))), None)
            if found is None or (found.own is not None and any(c.own not in (None, found.own) for c in chosen)):
                found = ways[0]
                if isinstance(state, Axis):
                    left.append((number, state))
            chosen.append(found)
        inputs = tuple(
            self.request(value, Placement(self.mesh, tuple(channel.operands[i] for channel in chosen)), node)
            for i, value in enumerate(node.inputs)
        )
        emitter.stamp(node)
        placement = Placement(self.mesh, tuple(channel.result for channel in chosen))
        local = self.computed(node, inputs, chosen, placement, emitter)
        return emitter.moved_by(local, placement, left) if left else called(local, node.output)

    def computed(
        self,
        node: Node,
        inputs: tuple[Value, ...],
        chosen: Sequence[Channel],
        placement: Placement,
        emitter: DeviceEmitter,
    ) -> Value:
        """The device's part of the result."""
        differentiated = bool(node.inputs) and node.inputs[0] in self.facts.differentiated
        local = on_parts(node, inputs, chosen, placement, emitter, differentiated=differentiated)
        for owned in dict.fromkeys(placement.states) if node.op.contracts else ():
            if isinstance(owned, Owned):  # what is 0 where it means nothing need not be computed there
                local = self._with_zeros(emitter, local, owned, placement)
        return local


def _why(reader: Node | None) -> str:
    return "it is given so" if reader is None else f"for `{reader.op.name}`"
