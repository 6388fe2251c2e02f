"""Which of the ways in which an operation can be computed on parts moves the fewest bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attndsl.graph import Node, Value
from attndsl.layouts.channels import Channel, channels, linear_channels, owned_channels
from attndsl.layouts.core import Mesh
from attndsl.layouts.facts import Facts
from attndsl.layouts.located import Located
from attndsl.layouts.placements import PARTIAL, VARYING, WHOLE, Owned, State
from attndsl.layouts.wanted import WantedPlacements
from attndsl.records import dataclass
from attndsl.sizes import Size
from attndsl.types import Axis

LATER = 0.95
"""What a sum costs that need not be made yet: there may be less to add up then."""

RARELY = 1e6
"""What moving a part of a weight costs besides: it was divided so that no device has it all."""


@dataclass(frozen=True, slots=True)
class RunnerUp:
    """The way that was not taken along the dimension `on`: how the result would have lain, and how many elements would
    have been sent for it, where the way that was taken sends `sent`. Lengths that only inputs say are guessed."""

    on: str
    result: State
    instead: float
    sent: float


class ChannelChooser:
    """Chooses among channels. `runners_up` has what came second, by the value that was made."""

    def __init__(self, wanted: WantedPlacements, facts: Facts, located: Mapping[Value, Located]) -> None:
        self.mesh: Mesh = wanted.mesh
        self.wanted, self.facts, self.located = wanted, facts, located
        self.runners_up: dict[Value, list[RunnerUp]] = {}

    def best(self, node: Node, number: int, times: Size, others: Sequence[Channel]) -> Channel:
        """How to compute a node along a dimension: the cheapest of its channels, and of equally cheap ones that which
        gives what is wanted."""
        if self.mesh.dimensions[number][1] == 1:
            return channels(node)[0]
        wanted = self.wanted.of(node.output).states[number]
        if wanted is VARYING:  # of layers in stages: each device computes its own
            return Channel((VARYING,) * len(node.inputs), VARYING)
        states = [self.located[value].planned.states[number] for value in node.inputs]
        partial = self._partial(node, number)
        zero = [i for i, value in enumerate(node.inputs) if value in self.facts.zeros]
        there = {state for state in (*states, wanted) if isinstance(state, Axis)}
        possible = list(owned_channels(node, states, self.facts.choices))
        possible += [
            channel
            for channel in channels(node)
            if channel.is_whole or any(state in there for state in (*channel.operands, channel.result))
        ]
        possible += linear_channels(node, partial, zero)
        free = [channel for channel in possible if not any(channel.clashes(other) for other in others)]
        first, *others_left = sorted(free, key=lambda channel: self._cost(node, number, channel, wanted, times))
        if others_left:
            sent, instead = (self._sent(node, number, each, wanted, times)[0] for each in (first, others_left[0]))
            second = RunnerUp(self.mesh.names[number], others_left[0].result, instead, sent)
            self.runners_up.setdefault(node.output, []).append(second)
        return first

    def _cost(self, node: Node, number: int, channel: Channel, wanted: State, times: Size) -> tuple[float, bool, bool]:
        """What a channel costs: what is sent, and what else speaks against it."""
        sent, result, more = self._sent(node, number, channel, wanted, times)
        later = LATER if channel.result is PARTIAL or isinstance(channel.result, Owned) else 1.0
        total = sent + more - (1 - later) * result
        states = [self.located[value].planned.states[number] for value in node.inputs]
        if channel.is_whole and any(isinstance(state, Axis) for state in (wanted, *states)):
            all = sum(self.facts.elements(value.type) for value in (*node.inputs, node.output))
            total += 2 * all * self.facts.often(times)  # each device does the work of all
        return total, channel.result != wanted, channel.is_whole

    def _sent(
        self, node: Node, number: int, channel: Channel, wanted: State, times: Size
    ) -> tuple[float, float, float]:
        """How many elements are sent in all, how many of them to bring the result where it is wanted, and how many
        more these are to count as."""
        size, total, more = self.mesh.dimensions[number][1], 0.0, 0.0
        for i, (value, after) in enumerate(zip(node.inputs, channel.operands, strict=True)):
            there = self.located[value]
            elements = self.facts.elements(value.type) * self.facts.often(there.emitter.times)
            after = VARYING if after is WHOLE and not channel.is_whole and value in self.facts.differentiated else after
            if there.has(number, after):
                continue
            if after is PARTIAL and i not in self._partial(node, number):
                continue  # zeros
            before = there.planned.states[number]
            sent = elements * _price(before, after, size)
            total += sent
            if value in self.facts.weights and isinstance(before, Axis):
                more += RARELY * sent
        result = self.facts.elements(node.output.type) * self.facts.often(times)
        result *= _price(channel.result, wanted, size)
        return total + result, result, more

    def _partial(self, node: Node, number: int) -> set[int]:
        """The operands that are sums still to be made, or are with zeros in some places."""
        states = enumerate(self.located[value].planned.states[number] for value in node.inputs)
        return {i for i, state in states if state is PARTIAL or isinstance(state, Owned)}


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
