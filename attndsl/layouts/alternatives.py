"""How else parameters and values could lie, all the rest as it is, and what the devices would send then."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from math import prod

from attndsl.graph import Graph, ParameterInfo, Value
from attndsl.graph.builder import Builder
from attndsl.layouts.channels import Channel
from attndsl.layouts.choosing import RARELY, ChannelChoice, ChannelChooser, ChannelUse, is_sum
from attndsl.layouts.emitting import DeviceEmitter, Move
from attndsl.layouts.located import Located, lying_after
from attndsl.layouts.placements import PARTIAL, VARYING, WHOLE, Owned, Placement, Rounds, State
from attndsl.ops import AllGather, Parameter
from attndsl.records import Frozen
from attndsl.sizes import Size
from attndsl.types import BYTES, Axis, Type

NOTHING = Size.of(0)


class Alternative(Frozen):
    """A way for a parameter to lie along the mesh dimension `on`: the bytes that a device `holds` of it, and that it
    `sends` in a step where it is put together and where it is read (None: nothing can be computed so)."""

    on: str
    state: State
    holds: Size
    sends: Size | None


class Alternatives:
    """What could have been chosen. Bytes are of float32, of all layers together, forwards and backwards. Of n devices
    each sends (n - 1) / n of an array in a collective, and twice that for a sum that all of them get, as in a ring
    (Patarasuk and Yuan, 2009)."""

    def __init__(
        self,
        graph: Graph,
        chooser: ChannelChooser,
        stored: Mapping[tuple[str, Type], Placement],
        over: str | None,
        again: Collection[Value],
    ) -> None:
        self.chooser, self.mesh, self.located = chooser, chooser.mesh, chooser.located
        self.stored, self.over, self.again = stored, over, again
        reads = [node for node in graph.body.walk() if isinstance(node.op, Parameter) and node.output in self.located]
        self.made: dict[tuple[str, Type], list[Located]] = {}
        for node in reads:
            assert isinstance(node.op, Parameter)
            found, there = self.made.setdefault((node.op.address, node.op.type), []), self.located[node.output]
            found += [there] if all(there is not each for each in found) else []

    def of_value(self, value: Value) -> Iterator[tuple[str, State, Size, str]]:
        """The ways that came second, along each dimension, with how many bytes more would be sent, and what else speaks
        against it."""
        for choice in self.chooser.choices.get(value, ()):
            if choice.second is None:
                continue
            taken, other = (self._sent(choice, way) for way in (choice.taken, choice.second))
            if taken is not None and other is not None:
                yield self.mesh.names[choice.number], choice.second.channel.result, other - taken, self._against(choice)

    def _against(self, choice: ChannelChoice) -> str:
        """What but the bytes speaks for the way that was taken."""
        node, second, facts = choice.node, choice.second, self.chooser.facts
        assert second is not None
        states = [self.located[value].planned.states[choice.number] for value in node.inputs]
        operands = zip(node.inputs, states, second.there, strict=True)
        if any(value in facts.weights and isinstance(state, Axis) and not there for value, state, there in operands):
            return "parts of a weight would be sent"
        wanted = self.chooser.wanted.of(node.output).states[choice.number]
        if self.chooser.repeats_work(node, second.channel, states, wanted):
            return "each device would do all the work"
        return "a sum may be smaller where it is made later" if is_sum(choice.taken.channel.result) else ""

    def of_parameter(self, info: ParameterInfo) -> Iterator[Alternative]:
        """Along each dimension of several devices the way that was taken, then the others that there are."""
        stored = self.stored[info.address, info.type]
        copies = Size.of(info.copies) / prod(self.mesh.size(name) for name, _ in stored.rounds)
        for number, (name, count) in enumerate(self.mesh.dimensions):
            for state in self._states(info, stored.states[number], count) if count > 1 else ():
                placement = self._instead(stored, number, state)
                if placement is not None:
                    sends = NOTHING if isinstance(state, Rounds) else self._sent_for(info, number, state)
                    yield Alternative(name, state, _bytes(placement.local(info.type)) * copies, sends)

    def _states(self, info: ParameterInfo, now: State, count: int) -> Sequence[State]:
        """The ways to lie along a dimension, the way that was taken first. In stages lie all layers, or none."""
        if isinstance(now, Rounds):
            return (now,)
        sizes = self.chooser.wanted.graph.sizes
        fit = [axis for axis in info.type.axes if (axis.size.known(sizes) or 1) % count == 0 and axis != now]
        return (now, *fit, *([WHOLE] if now is not WHOLE else []))

    def _instead(self, stored: Placement, number: int, state: State) -> Placement | None:
        """Where a parameter is stored that lies so; what is only stored along this axis makes room for it."""
        if isinstance(state, Axis) and state in stored.states and stored.states[number] != state:
            at = stored.states.index(state)
            if self.mesh.names[at] != self.over:
                return None
            stored = stored.at(at, stored.states[number])
        return stored.at(number, state)

    # ------------------------------------------------------------ what is sent

    def _sent_for(self, info: ParameterInfo, number: int, state: State) -> Size | None:
        """What is sent for a parameter that lies so: where it is only stored so, to put it together; else by whatever
        reads it, in the way that sends the least then."""
        total: Size | None = NOTHING
        for there in self.made.get((info.address, info.type), ()):
            if there.planned.states[number] is WHOLE and self.mesh.names[number] == self.over:
                states = there.planned.at(number, state)
                total = _add(total, self._moved(there, states, number, VARYING, there.emitter.times))
                continue
            same = state == there.planned.states[number]
            for choice in (each for choices in self.chooser.choices.values() for each in choices):
                if choice.number == number:
                    found = self._read(choice, there, state)
                    if found:
                        total = _add(total, self._sent(choice, choice.taken) if same else self._least(choice, found))
        return total

    def _read(self, choice: ChannelChoice, of: Located, state: State) -> dict[int, State]:
        """The operands of a node that are a parameter, and how they lie where it lies so."""
        found = {i: _as_read(self.located[value], of, state) for i, value in enumerate(choice.node.inputs)}
        return {i: state for i, state in found.items() if state is not None}

    def _least(self, choice: ChannelChoice, instead: Mapping[int, State]) -> Size | None:
        """What a node sends at least where these operands lie so."""
        node, number = choice.node, choice.number
        states = [instead.get(i, self.located[v].planned.states[number]) for i, v in enumerate(node.inputs)]
        others = {e.number: e.taken.channel for e in self.chooser.choices[node.output] if e is not choice}
        wanted = self.chooser.wanted.of(node.output).states[number]
        found: list[tuple[float, Size]] = []
        for channel in self.chooser.possible(node, number, states, wanted, others):
            there = [i not in instead and self._is_there(choice, i, channel) for i in range(len(states))]
            sent = self._sent(choice, ChannelUse(channel, tuple(there)), instead)
            if sent is not None:
                gathers = any(isinstance(s, Axis) and channel.operands[i] is WHOLE for i, s in instead.items())
                repeats = self.chooser.repeats_work(node, channel, states, wanted)
                more = self.chooser.work(node, choice.times) if repeats else 0.0
                found.append((self.chooser.facts.worth(sent) * (RARELY if gathers else 1) + 4 * more, sent))
        return min(found, key=lambda each: each[0])[1] if found else None

    def _is_there(self, choice: ChannelChoice, i: int, channel: Channel) -> bool:
        """Whether an operand need not be moved; what the way that was taken is the first to move is not there."""
        needed, taken = (self.chooser.needed(choice.node, i, each) for each in (channel, choice.taken.channel))
        moved = needed == taken and not choice.taken.there[i]
        return not moved and self.located[choice.node.inputs[i]].has(choice.number, needed)

    def _sent(self, choice: ChannelChoice, way: ChannelUse, instead: Mapping[int, State] | None = None) -> Size | None:
        """What is sent to compute a node in some way along a dimension; None where it cannot be."""
        node, number = choice.node, choice.number
        others = [each for each in self.chooser.choices[node.output] if each is not choice]
        total: Size | None = NOTHING
        for i, value in enumerate(node.inputs):
            if way.there[i]:
                continue
            there = self.located[value]
            placement = there.planned
            for other in others:
                placement = placement.at(other.number, other.taken.channel.operands[i])
            if instead and i in instead:
                placement = placement.at(number, instead[i])
            after = self.chooser.needed(node, i, way.channel)
            total = _add(total, self._moved(there, placement, number, after, there.emitter.times))
        results = {each.number: each.taken.channel.result for each in others} | {number: way.channel.result}
        placement = Placement(self.mesh, tuple([results.get(at, WHOLE) for at in range(len(self.mesh.dimensions))]))
        wanted = self.chooser.wanted.of(node.output).states[number]
        return _add(total, self._moved(self.located[node.output], placement, number, wanted, choice.times))

    def _moved(self, of: Located, placement: Placement, number: int, after: State, times: Size) -> Size | None:
        """What it takes to bring a value from one way of lying along a dimension to another."""
        before, moves = placement.states[number], list[tuple[Value, Move]]()
        if isinstance(before, Owned):
            before, placement = PARTIAL, placement.at(number, PARTIAL)
        if before in (after, VARYING) or (
            before is WHOLE and after is PARTIAL and of.value in self.chooser.facts.zeros
        ):
            return NOTHING
        if after is PARTIAL or isinstance(after, Owned):
            return None
        differentiated = of.value in self.chooser.facts.differentiated
        local = Value(placement.local(of.value.type))
        steps: Sequence[State] = (WHOLE, VARYING) if before is PARTIAL and after is VARYING else (after,)
        emitter = DeviceEmitter(self.mesh, moves, Builder(), times)
        emitter.moved_by(local, placement, ((number, step) for step in steps), differentiated=differentiated)
        total, again = NOTHING, any(made in self.again for made in of.versions.values())
        for _, move in moves:
            gathered = move.collective == AllGather.name and not move.in_backward
            total += ring_bytes(move, self.mesh.size(move.on)) * times * (2 if again and gathered else 1)
        return total


def ring_bytes(move: Move, count: int) -> Size:
    """What each of so many devices sends in a collective, for one time."""
    return move.bytes * ((count - 1) * (2 if move.collective == "all_reduce" else 1)) / count


def _bytes(type: Type) -> Size:
    return type.elements * BYTES[type.dtype]


def _add(left: Size | None, right: Size | None) -> Size | None:
    return left + right if left is not None and right is not None else None


def _as_read(located: Located, of: Located, state: State) -> State | None:
    """How a value lies that is `of` with its axes called otherwise, where that lies so; None where it is another."""
    if located.value is of.value:
        return state
    if located.source is None or located.recipe is None:
        return None
    before = _as_read(located.source, of, state)
    if before is None:
        return None
    return lying_after(located.recipe, Placement(of.planned.mesh, (before,))).states[0]
