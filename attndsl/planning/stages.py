"""The stages of a pipeline: which rounds each has, and how long these take."""

from __future__ import annotations

from collections.abc import Mapping

from attndsl.planning.plan import ParallelPlan, ParameterKind
from attndsl.planning.rounds import Times
from attndsl.planning.share import Share
from attndsl.planning.work import Segment, Workload
from attndsl.records import dataclass, field


@dataclass(slots=True)
class Stage:
    """What one stage has: segments with so many rounds, and what these take for one micro-batch."""

    segments: list[tuple[Segment, int]] = field(default_factory=list)
    forward: Times = field(default_factory=Times)
    backward: Times = field(default_factory=Times)
    layers: float = 0.0  # seconds of its layers, both ways

    @property
    def total(self) -> float:
        return self.forward.total + self.backward.total

    def give(self, segment: Segment, times: int, costs: Mapping[int, tuple[Times, Times]]) -> None:
        """So many rounds more."""
        self.segments.append((segment, times))
        forward, backward = costs[id(segment)]
        self.forward.add(forward, times)
        self.backward.add(backward, times)
        self.layers += (forward.total + backward.total) * times if segment.carried else 0.0

    def parameters(self, share: Share, kind: ParameterKind) -> float:
        """How many of them a device has, before they are divided over data."""
        return sum(times * share.parameters(segment, kind) for segment, times in self.segments)


def stages_of(work: Workload, plan: ParallelPlan, costs: Mapping[int, tuple[Times, Times]]) -> list[Stage]:
    """Rounds in order are cut into as many pieces as there are virtual stages; the pieces are dealt to the stages in
    turn (Narayanan et al., 2021). Of stages that are alike it is one."""
    if plan.alike:
        stage = Stage()
        for segment in work.segments:
            stage.give(segment, segment.times // plan.stages if segment.carried else segment.times, costs)
        return [stage]
    rounds = [segment for segment in work.segments for _ in range(segment.times)]
    weights = [costs[id(segment)][0].total + costs[id(segment)][1].total for segment in rounds]
    stages = [Stage() for _ in range(plan.stages)]
    for number, (first, end) in enumerate(cut(weights, plan.stages * plan.virtual)):
        stage = stages[number % plan.stages]
        for segment in dict.fromkeys(rounds[first:end]):
            stage.give(segment, sum(each is segment for each in rounds[first:end]), costs)
    return stages


def cut(weights: list[float], pieces: int) -> list[tuple[int, int]]:
    """Cut a row of weights into pieces that are as even as its order allows: each cut is where the sum is the nearest
    to its share."""
    sums = [0.0]
    for weight in weights:
        sums.append(sums[-1] + weight)
    cuts, at = [0], 0
    for number in range(1, pieces):
        share = sums[-1] * number / pieces
        while at < len(weights) and abs(sums[at + 1] - share) <= abs(sums[at] - share):
            at += 1
        cuts.append(at)
    return list(zip(cuts, [*cuts[1:], len(weights)], strict=True))
