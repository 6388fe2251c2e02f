"""The collectives inside of a layer: what they send, and how much of that nothing hides."""

from __future__ import annotations

from attndsl.planning.computing import product_seconds
from attndsl.planning.machines import DeviceGroup, MachineModel
from attndsl.planning.share import Share
from attndsl.planning.work import Product, Segment
from attndsl.records import Frozen


class RoundTraffic(Frozen):
    """A collective of one round: its kind, over which degree, bytes of the whole value; `beside` is the time of
    computation that it can run beside, `copies` how many experts a row goes to."""

    kind: str
    over: str
    size: float
    beside: float = 0.0
    copies: float = 1.0


def traffic(share: Share, segment: Segment, machine: MachineModel, *, backward: bool) -> list[RoundTraffic]:
    """The collectives of one round forwards or backwards.

    Tensor parallelism: a product that makes a divided dimension needs its input whole, one that sums over it gives a
    sum that is pending. With sequence parallelism that is an all-gather and a reduce-scatter forwards; backwards the
    same the other way round, and the input is gathered again for the gradient of the weights. Without, an all-reduce
    forwards and another backwards."""
    plan, found = share.plan, []
    if plan.tensor > 1:
        found += _tensor_traffic(share, segment, machine, backward)
    if plan.experts > 1:
        grouped = {product.source: product for product in segment.products if product.grouped}
        found += [_expert_traffic(share, product, backward) for product in grouped.values()]  # once for all who read it
    if plan.context > 1:
        for each in segment.attentions:
            size = plan.float_bytes * sum(share.count(extent) for extent in each.memory) * plan.context
            found.append(RoundTraffic("all_gather", "context", size))
            if backward:
                found.append(RoundTraffic("reduce_scatter", "context", size))
    return found


def _expert_traffic(share: Share, product: Product, backward: bool) -> RoundTraffic:
    """Rows on their way to experts, or back: those that are read, or all of the devices that share experts, of which
    each has a part of the sum over the experts of a row."""
    plan, rows = share.plan, share.count(product.rows)
    width = share.count(product.columns if product.ends else product.summed, whole_tokens=True)
    width /= plan.tensor if plan.sequence else 1
    if plan.dispatch == "alltoall":
        copies = max(rows / share.rows, 1.0)
        return RoundTraffic("all_to_all", "experts", plan.float_bytes * rows * width, copies=copies)
    kind = "reduce_scatter" if product.ends != backward else "all_gather"
    rows = plan.experts * (share.rows if product.ends else rows)
    return RoundTraffic(kind, "experts", plan.float_bytes * rows * width)


def _tensor_traffic(share: Share, segment: Segment, machine: MachineModel, backward: bool) -> list[RoundTraffic]:
    plan, found, gathered = share.plan, [], set()
    for product in segment.products:
        if product.grouped or not (product.column or product.row):
            continue
        width = product.summed if product.column else product.columns
        size = plan.float_bytes * share.count(product.rows, width, whole_tokens=True)
        beside = product_seconds(share, product, machine, "weights" if backward else "forward")
        if product.column:
            if product.source in gathered:
                continue
            gathered.add(product.source)
            hidden = beside if backward or plan.async_tensor else 0.0
            if plan.sequence:
                found.append(RoundTraffic("all_gather", "tensor", size, beside if backward else hidden))
                if backward:
                    found.append(RoundTraffic("reduce_scatter", "tensor", size, beside))
            elif backward:
                found.append(RoundTraffic("all_reduce", "tensor", size, beside))
        else:
            hidden = beside if plan.async_tensor else 0.0
            if plan.sequence:
                found.append(RoundTraffic("all_gather" if backward else "reduce_scatter", "tensor", size, hidden))
            elif not backward:
                found.append(RoundTraffic("all_reduce", "tensor", size, hidden))
    for extent in segment.lookups:
        size = plan.float_bytes * share.count(extent, whole_tokens=True)
        if plan.sequence:
            found.append(RoundTraffic("all_gather" if backward else "reduce_scatter", "tensor", size))
        elif not backward:
            found.append(RoundTraffic("all_reduce", "tensor", size))
    return found


def seconds(machine: MachineModel, group: DeviceGroup, each: RoundTraffic) -> float:
    """How long a collective takes by itself."""
    if each.kind == "all_to_all":
        return machine.exchange(each.size, group, each.copies)
    return machine.gather(each.size, group) * (2 if each.kind == "all_reduce" else 1)


def exposed(machine: MachineModel, communicating: float, computing: float) -> float:
    """By how much a collective lengthens a computation that it runs beside: what is left of it when that has ended, and
    what it takes away from it (processors, memory, power) before."""
    both = min(communicating, computing)
    return communicating - both + machine.reached["beside"] * both
