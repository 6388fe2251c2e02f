"""The memory of a device: weights, gradients, states, what is kept and what is there for a time."""

from __future__ import annotations

from attndsl.planning.plan import ParallelPlan
from attndsl.planning.share import FLOAT, MASTER, Share, loss_bytes
from attndsl.planning.stages import Stage
from attndsl.records import dataclass, replace


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """Bytes on the fullest device."""

    weights: float
    gradients: float
    states: float
    activations: float
    working: float  # what is gathered, or computed again, at a time

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.states + self.activations + self.working


def memory_of(share: Share, stages: list[Stage], number: int) -> DeviceMemory:
    """What the devices of a stage hold at most."""
    plan, stage = share.plan, stages[number]
    weights = gradients = states = 0.0
    for experts in (False, True):
        count = stage.parameters(share, experts=experts)
        apart = count / plan.dividing(experts=experts).size
        states += 3 * MASTER * apart
        if plan.layerwise:
            gradients += MASTER * apart
        else:
            gradients += MASTER * count
            weights += FLOAT * count
    flying = _in_flight(plan, number)
    kept = sum(
        share.kept(segment) * times * (flying if segment.carried or segment.name == "before" else 1.0)
        for segment, times in stage.segments
    )
    working = 0.0
    if plan.layerwise:
        working += (
            2
            * FLOAT
            * max(
                sum(share.parameters(segment, experts=expert) for expert in (False, True))
                for segment, _ in stage.segments
            )
        )
    if plan.recompute != "none":
        plain = share.by(replace(plan, recompute="none"))
        working += max((plain.kept(s) - share.kept(s) for s, _ in stage.segments if s.carried), default=0.0)
    working += max((loss_bytes(share, s) for s, _ in stage.segments if not s.carried), default=0.0)
    return DeviceMemory(weights, gradients, states, kept, working)


def _in_flight(plan: ParallelPlan, number: int) -> float:
    """How many micro-batches a stage keeps at once, each with all of its virtual stages' parts."""
    if plan.stages == 1:
        return 1.0
    found: float = plan.stages - number
    if plan.virtual > 1:
        found = plan.stages + (plan.stages - 1 - 2 * number) / plan.virtual
    return min(found, plan.micro_batches)
