"""The time of one round of a segment for one micro-batch, forwards and backwards."""

from __future__ import annotations

from attndsl.planning.computing import attention_seconds, between_tokens, passing_bytes, product_seconds
from attndsl.planning.machines import MachineModel
from attndsl.planning.share import Share
from attndsl.planning.traffic import exposed, seconds, traffic
from attndsl.planning.work import Segment
from attndsl.records import dataclass


@dataclass(slots=True)
class Times:
    """Seconds of a segment's one round, for one micro-batch."""

    products: float = 0.0
    attention: float = 0.0
    memory: float = 0.0
    tensor: float = 0.0  # collectives, as far as nothing hides them
    experts: float = 0.0
    context: float = 0.0

    @property
    def computing(self) -> float:
        return self.products + self.attention + self.memory

    @property
    def total(self) -> float:
        return self.computing + self.tensor + self.experts + self.context

    def add(self, other: Times, times: float = 1.0) -> None:
        for name in ("products", "attention", "memory", "tensor", "experts", "context"):
            setattr(self, name, getattr(self, name) + times * getattr(other, name))


def forward(share: Share, segment: Segment, machine: MachineModel) -> Times:
    """One round of a segment, forwards."""
    times = Times()
    for product in segment.products:
        times.products += product_seconds(share, product, machine, "forward")
    for each in segment.attentions:
        times.attention += attention_seconds(share, each, machine, 1.0)
    for passing in segment.passings:
        times.memory += machine.passing(passing_bytes(share, passing, backward=False))
    _collectives(share, segment, machine, times, backward=False)
    return times


def backward(share: Share, segment: Segment, machine: MachineModel) -> Times:
    """One round backwards, with what is computed again."""
    plan, times = share.plan, Times()
    for product in segment.products:
        times.products += product_seconds(share, product, machine, "inputs")
        times.products += product_seconds(share, product, machine, "weights")
    for each in segment.attentions:
        times.attention += attention_seconds(
            share, each, machine, 2.5
        )  # scores once more, and four products (Dao, 2023)
    for passing in segment.passings:
        times.memory += machine.passing(passing_bytes(share, passing, backward=True))
    _collectives(share, segment, machine, times, backward=True)
    if plan.recompute == "full" and segment.carried:
        times.add(forward(share, segment, machine))
    elif plan.recompute == "selective" and segment.carried:
        for product in segment.products:
            if plan.attention != "materialised":
                times.products += product_seconds(share, product, machine, "forward") / 2
            elif not product.weight and between_tokens(product):
                times.products += product_seconds(share, product, machine, "forward")
        for passing in segment.passings:
            if plan.attention != "materialised" or passing.scores:
                times.memory += machine.passing(passing_bytes(share, passing, backward=False))
    return times


def _collectives(share: Share, segment: Segment, machine: MachineModel, times: Times, *, backward: bool) -> None:
    groups = {
        "tensor": share.plan.tensor_group, "experts": share.plan.expert_group, "context": share.plan.context_group,
    }  # fmt: skip
    for each in traffic(share, segment, machine, backward=backward):
        found = exposed(machine, seconds(machine, groups[each.over], each), each.beside)
        setattr(times, each.over, getattr(times, each.over) + found)
