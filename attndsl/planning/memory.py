"""The memory of a device at its fullest: weights, gradients, states, what is kept and what is there for a time.

A backward pass frees what it has read and makes the gradients of parameters, layer by layer from the last. With one
micro-batch, operator by operator, these take the place of activations; with several, those of the one before are there
all along, as are buffers that compiled programs have for them. Stages that are alike go back when all micro-batches are
there, and have what stands outside of their layers for all of these at once.
"""

from __future__ import annotations

from collections.abc import Iterator

from attndsl.planning.plan import KINDS, MASTER, ParallelPlan
from attndsl.planning.share import Share, backward_bytes, loss_bytes
from attndsl.planning.stages import Stage
from attndsl.planning.work import Segment
from attndsl.records import Frozen, replace


class DeviceMemory(Frozen):
    """Bytes on the fullest device, when it is at its fullest."""

    weights: float
    gradients: float
    states: float
    activations: float
    working: float  # what is gathered, or computed again, at a time, and gradients of activations

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.states + self.activations + self.working


def memory_of(share: Share, stages: list[Stage], number: int) -> DeviceMemory:
    """What the devices of a stage hold at most."""
    plan, stage = share.plan, stages[number]
    weights = states = 0.0
    for kind in KINDS:
        count = stage.parameters(share, kind)
        apart = count / plan.dividing(kind).size
        single = plan.precision == "fp32"  # the weights are the masters
        states += (2 if single else 3) * MASTER * apart
        if not plan.layerwise:
            weights += plan.float_bytes * count
        elif single:
            weights += MASTER * apart
    fullest = max(_moments(share, stage, _in_flight(plan, number)), key=sum)
    return DeviceMemory(weights, fullest[0], states, *fullest[1:])


def _moments(share: Share, stage: Stage, flying: float) -> Iterator[tuple[float, float, float]]:
    """Gradients, activations and what is there for a time, as the backward pass goes through a stage: where each
    segment begins, and its last round."""
    plan = share.plan
    outside = share.whole_batch() if plan.alike else share
    rounds = []
    for segment, own in stage.segments:
        flies = segment.carried or (segment.name == "before" and not plan.alike)
        rounds.append((segment, own, own * (flying if flies else 1.0), share if segment.carried else outside))
    kept = sum(has.kept(segment) * times for segment, _, times, has in rounds)
    every = sum(_gradients(share, segment) * times for segment, times in stage.segments)
    accumulated = (not plan.alike and (plan.micro_batches > 1 or flying > 1)) or plan.kernels != "eager"
    made = every if accumulated else 0.0
    shared = 0.0  # gradients of parameters to which parts before this one add
    yield made, kept, _handed_on(outside, stage) if plan.alike else 0.0
    for segment, own, times, has in reversed(rounds):
        working = _working(has, segment)
        # the last round is left, or all of the micro-batches before the last one
        first, ready = (own, own) if plan.alike and segment.carried else (times - 1, own - 1)
        yield made + shared, kept, working
        shared += 0.0 if accumulated else MASTER * sum(share.count(each, whole_tokens=True) for each in segment.others)
        kept -= has.kept(segment) * first
        made += 0.0 if accumulated else _gradients(share, segment) * ready
        if times > 1:
            yield made + shared, kept, working
        kept -= has.kept(segment) * (times - first)
        made += 0.0 if accumulated else _gradients(share, segment) * (own - ready)
    yield every, 0.0, 0.0


def _handed_on(share: Share, stage: Stage) -> float:
    """What goes into loops in stages, and comes out, which is there until the forward pass ends, beside what a loss
    makes: the rows in micro-batches, what each step makes, that put together, and without what is of other stages."""
    copies = 3 + share.plan.steps / share.plan.micro_batches
    carried = (extent for segment, _ in stage.segments for extent in segment.carried)
    outside = (segment for segment, _ in stage.segments if not segment.carried and not segment.ahead)
    loss = max((loss_bytes(share, segment) for segment in outside), default=0.0)
    return copies * share.plan.float_bytes * sum(map(share.count, carried)) + loss


def _gradients(share: Share, segment: Segment) -> float:
    """Bytes of those of the parameters of one round, as far as a device has them when a layer is done."""
    plan, total = share.plan, 0.0
    for kind in KINDS:
        count = share.parameters(segment, kind)
        total += MASTER * (count / plan.dividing(kind).size if plan.layerwise else count)
    return total


def _working(share: Share, segment: Segment) -> float:
    """What one round has for a time on its way back."""
    plan = share.plan
    working = 0.0
    here = sum(share.parameters(segment, kind) for kind in KINDS)
    if plan.layerwise and plan.kernels != "eager":  # of this and the next one
        here += sum(share.count(extent, whole_tokens=True) for extent in segment.others)
        working += 2 * plan.float_bytes * here
    if plan.recompute != "none" and segment.carried:
        working += plan.float_bytes * here if plan.layerwise and plan.kernels == "eager" else 0.0
        working += share.by(replace(plan, recompute="none")).kept(segment) - share.kept(segment)
    loss = 0.0 if segment.carried else loss_bytes(share, segment)
    return working + (max(loss, backward_bytes(share, segment)) if plan.kernels == "eager" else loss)


def _in_flight(plan: ParallelPlan, number: int) -> float:
    """How many micro-batches a stage keeps at once, each with all of its virtual stages' parts."""
    if plan.stages == 1:
        return 1.0
    if plan.alike:
        return plan.micro_batches
    found: float = plan.stages - number
    if plan.virtual > 1:
        found = plan.stages + (plan.stages - 1 - 2 * number) / plan.virtual
    return min(found, plan.micro_batches)
