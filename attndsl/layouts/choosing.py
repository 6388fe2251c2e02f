"""Which of the ways in which an operation can be computed on parts moves the fewest bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from attndsl.graph import Node, Value
from attndsl.layouts.channels import Channel, channels, linear_channels, owned_channels
from attndsl.layouts.core import Mesh
from attndsl.layouts.facts import Facts
from attndsl.layouts.located import Located
from attndsl.layouts.placements import PARTIAL, VARYING, WHOLE, Owned, State
from attndsl.layouts.wanted import WantedPlacements
from attndsl.ops import Take
from attndsl.records import Frozen
from attndsl.sizes import Size
from attndsl.types import Axis

LATER = 0.95
"""What a sum costs that need not be made yet: there may be less to add up then."""

RARELY = 1e6
"""What moving a part of a weight costs besides: it was divided so that no device has it all."""


class ChannelUse(Frozen):
    """A channel, and which of the operands need not be moved for it."""

    channel: Channel
    there: tuple[bool, ...]


class ChannelChoice(Frozen):
    """How a node is computed along the dimension `number`, in a region that runs so many `times`: the way that was
    taken, and the one that came second, if there was one."""

    node: Node
    number: int
    times: Size
    taken: ChannelUse
    second: ChannelUse | None


class ChannelChooser:
    """Chooses among channels. `choices` has what was chosen, by the value that was made."""

    def __init__(self, wanted: WantedPlacements, facts: Facts, located: Mapping[Value, Located]) -> None:
        self.mesh: Mesh = wanted.mesh
        self.wanted, self.facts, self.located = wanted, facts, located
        self.choices: dict[Value, list[ChannelChoice]] = {}

    def best(self, node: Node, number: int, times: Size, others: Sequence[Channel]) -> Channel:
        """How to compute a node along a dimension: the cheapest of its channels, and of equally cheap ones that which
        gives what is wanted."""
        if self.mesh.dimensions[number][1] == 1:
            return channels(node)[0]
        wanted = self.wanted.of(node.output).states[number]
        if wanted is VARYING:  # of layers in stages: each device computes its own
            return Channel((VARYING,) * len(node.inputs), VARYING)
        states = [self.located[value].planned.states[number] for value in node.inputs]
        first, *rest = sorted(
            self.possible(node, number, states, wanted, dict(enumerate(others))),
            key=lambda each: self._cost(node, number, each, wanted, times),
        )
        second = self._way(node, number, rest[0]) if rest else None
        choice = ChannelChoice(node, number, times, self._way(node, number, first), second)
        self.choices.setdefault(node.output, []).append(choice)
        return first

    def possible(
        self, node: Node, number: int, states: Sequence[State], wanted: State, others: Mapping[int, Channel]
    ) -> Iterator[Channel]:
        """The channels of a node that make use of how its operands lie along a dimension (`states`), or of how its
        result is wanted, beside those along other dimensions."""
        partial = {i for i, state in enumerate(states) if is_sum(state)}
        zero = [i for i, value in enumerate(node.inputs) if value in self.facts.zeros]
        there = {state for state in (*states, wanted) if isinstance(state, Axis)}
        found = chain(
            owned_channels(node, states, self.facts.choices, self._on(node)),
            (
                channel
                for channel in channels(node)
                if channel.is_whole or any(state in there for state in (*channel.operands, channel.result))
            ),
            linear_channels(node, partial, zero),
        )
        return (channel for channel in found if not self._clashes(node, number, channel, others))

    def _clashes(self, node: Node, number: int, channel: Channel, others: Mapping[int, Channel]) -> bool:
        """Whether a channel divides an axis that is divided along another dimension, unless rules put it on both; or
        is not `Owned` where another is along its dimension, too."""
        values, names = (*node.inputs, node.output), self.mesh.names
        for at, other in others.items():
            if any(
                self.wanted.rule(values[i], a, names[n]) is None for i, a in channel.shared(other) for n in (number, at)
            ):
                return True
            pairs = zip(channel.owned, other.owned, strict=True)
            both = {names[number], names[at]}
            if any(a != b and both <= {on for each in (a, b) if each is not None for on in each.on} for a, b in pairs):
                return True
        return False

    def _on(self, node: Node) -> tuple[str, ...]:
        """The dimensions on which the axis lies that an operation takes from."""
        if not isinstance(node.op, Take):
            return ()
        return self.located[node.inputs[0]].planned.divided.get(node.op.over, ())

    def needed(self, node: Node, i: int, channel: Channel) -> State:
        """How an operand must lie for a channel."""
        after = channel.operands[i]
        varies = after is WHOLE and not channel.is_whole and node.inputs[i] in self.facts.differentiated
        return VARYING if varies else after

    def repeats_work(self, node: Node, channel: Channel, states: Sequence[State], wanted: State) -> bool:
        """Whether each device does the work of all, though something is divided."""
        return channel.is_whole and any(isinstance(state, Axis) for state in (wanted, *states))

    def work(self, node: Node, times: Size) -> float:
        """What it counts as, in elements sent, that each device does the work of all."""
        all = sum(self.facts.elements(value.type) for value in (*node.inputs, node.output))
        return 2 * all * self.facts.often(times)

    def _way(self, node: Node, number: int, channel: Channel) -> ChannelUse:
        located = enumerate(map(self.located.__getitem__, node.inputs))
        return ChannelUse(channel, tuple([there.has(number, self.needed(node, i, channel)) for i, there in located]))

    def _cost(self, node: Node, number: int, channel: Channel, wanted: State, times: Size) -> tuple[float, bool, bool]:
        """What a channel costs: what is sent, and what else speaks against it."""
        sent, result, more = self._sent(node, number, channel, wanted, times)
        later = LATER if channel.result is PARTIAL or isinstance(channel.result, Owned) else 1.0
        total = sent + more - (1 - later) * result
        states = [self.located[value].planned.states[number] for value in node.inputs]
        if self.repeats_work(node, channel, states, wanted):
            total += self.work(node, times)
        return total, channel.result != wanted, channel.is_whole

    def _sent(
        self, node: Node, number: int, channel: Channel, wanted: State, times: Size
    ) -> tuple[float, float, float]:
        """How many elements are sent in all, how many of them to bring the result where it is wanted, and how many
        more these are to count as."""
        size, total, more = self.mesh.dimensions[number][1], 0.0, 0.0
        for i, value in enumerate(node.inputs):
            there, after = self.located[value], self.needed(node, i, channel)
            before = there.planned.states[number]
            if there.has(number, after) or (after is PARTIAL and not is_sum(before)):  # zeros
                continue
            elements = self.facts.elements(value.type) * self.facts.often(there.emitter.times)
            sent = elements * _price(before, after, size)
            total += sent
            if value in self.facts.weights and isinstance(before, Axis):
                more += RARELY * sent
        result = self.facts.elements(node.output.type) * self.facts.often(times)
        result *= _price(channel.result, wanted, size)
        return total + result, result, more


def is_sum(state: State) -> bool:
    """Whether a value that lies so is a sum still to be made, or is one with zeros in some places."""
    return state is PARTIAL or isinstance(state, Owned)


def _price(before: State, after: State, size: int) -> float:
    """What a move costs, in elements sent for each of the value."""
    if before == after or before is VARYING or (isinstance(before, Owned) and after is PARTIAL):
        return 0.0
    if after is PARTIAL or isinstance(after, Owned):
        return float("inf")
    if isinstance(before, Axis):
        return 1 / size if isinstance(after, Axis) else 1.0
    if before is PARTIAL or isinstance(before, Owned):
        return 1.0 if isinstance(after, Axis) else 2.0
    return 0.0 if isinstance(after, Axis) else 0.01  # cut; or let vary, which costs something on the way back
