"""What a plan comes to: stages, the time of a step, what moves between devices, and the memory of the fullest
device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from attndsl.diagnostics import error
from attndsl.inspection.report import SizeChoice
from attndsl.planning.computing import attended, product_flops
from attndsl.planning.machines import DeviceGroup, MachineModel
from attndsl.planning.memory import DeviceMemory, memory_of
from attndsl.planning.plan import KINDS, MASTER, RECOMPUTE, ParallelPlan, ParameterKind, require
from attndsl.planning.rounds import Times, backward, forward
from attndsl.planning.share import Share
from attndsl.planning.stages import Stage, stages_of
from attndsl.planning.traffic import exposed, traffic
from attndsl.planning.work import Segment, Workload, batch_axis, token_axis
from attndsl.records import Frozen, dataclass, field, replace
from attndsl.sizes import Size

UPDATE = 7 * MASTER
"""Bytes that Adam moves for each parameter: reads gradient, master and two states, writes the latter; and the weight
of another precision."""


class StepTraffic(Frozen):
    """A kind of collective in a step: bytes that each device of the busiest stage sends, and over which group."""

    kind: str
    over: str
    group: DeviceGroup
    size: float
    times: float


class StepPrediction(Frozen):
    """A step by a plan. `parts` are the seconds of the busiest stage, and of what comes on top; they add up to
    `seconds`. `flops` are those of the model's products forwards and backwards, attention counted whole and nothing
    counted twice (Chowdhery et al., 2022, appendix B); `hidden` are those of them that masks leave out. `tokens` are
    those of all texts that a model reads: whole numbers, or bools, by rows and places, once where several have the same
    places. `sizes` are those of a step's inputs, where some of them were chosen for who asked."""

    plan: ParallelPlan
    machine: MachineModel
    seconds: float
    parts: dict[str, float]
    memory: DeviceMemory
    moved: tuple[StepTraffic, ...]
    flops: float
    hidden: float
    tokens: int
    sizes: tuple[SizeChoice, ...] = ()

    @property
    def mfu(self) -> float:
        """Of the peak in bfloat16."""
        return self.flops / self.seconds / self.plan.devices / self.machine.flops["bf16"]

    @property
    def seen_mfu(self) -> float:
        """The same without what masks hide."""
        return self.mfu * (1 - self.hidden / self.flops) if self.flops else 0.0

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds

    @property
    def fits(self) -> bool:
        return self.memory.total <= self.machine.memory

    def days(self, tokens: float) -> float:
        """Of a training on so many. Raises E0953 for a model that reads none."""
        if not self.tokens:
            raise error(
                "E0953", "a training is as long as its tokens are many, and the model reads no text",
                help="leave out `--tokens`; the plan says how many rows are read in a second",
            )  # fmt: skip
        return tokens / self.tokens_per_second / 86400


@dataclass(slots=True)
class KnownCosts:
    """What was found out for other plans of one model on one machine: lengths by the sizes of a micro-batch or of a
    whole batch, and what devices compute, by the plan as far as the number of devices for data and stages has no say,
    and the groups of devices that share a layer."""

    lengths: dict[tuple[tuple[str, int], ...], dict[Size, int]] = field(default_factory=dict)
    costs: dict[tuple[object, ...], tuple[Share, dict[int, tuple[Times, Times]]]] = field(default_factory=dict)


def predict(
    work: Workload,
    plan: ParallelPlan,
    machine: MachineModel,
    tokens: Mapping[str, int],
    known: KnownCosts | None = None,
) -> StepPrediction:
    """The step of a plan; `tokens` are the lengths of the inputs' axes, without that of the batch. Of one model and
    machine, many plans are faster with the same `known`.

    Raises E0953 where the plan cannot be carried out.
    """
    batch, axis = batch_axis(work), token_axis(work)
    whole = {**work.graph.sizes, **tokens, batch: plan.batch}
    require(plan, work, machine, whole)
    known, plan = KnownCosts() if known is None else known, plan.as_computed
    one = replace(plan, data=1, stages=1, virtual=1, batch=1 + (plan.micro_batches > 1), parameters="whole", mesh=())
    groups = (plan.tensor_group, plan.context_group, plan.expert_group)
    if (one, *groups) not in known.costs:
        local = {**tokens, batch: plan.micro_batch}
        if axis in local:
            local[axis] = -(-local[axis] // plan.context)
        lengths = known.lengths.setdefault(tuple(local.items()), {})
        kept = (replace(one, recompute=RECOMPUTE[0]), *groups)
        before, _ = known.costs.get(kept, (Share(work, plan, local, lengths), None))
        share = before.by(plan)
        costs = {id(s): (forward(share, s, machine), backward(share, s, machine)) for s in work.segments}
        known.costs[one, *groups] = (share, costs)
    share, costs = known.costs[one, *groups]
    share = share.by(plan)
    stages = stages_of(work, plan, costs)
    slowest = max(stages, key=lambda stage: stage.total)
    lengths = known.lengths.setdefault(tuple(whole.items()), {})
    flops, hidden = _operations(Share(work, ParallelPlan(), whole, lengths))
    parts = _pipeline(share, stages, slowest, machine)
    parts |= _between_steps(share, stages, slowest, machine)
    return StepPrediction(
        plan=plan,
        machine=machine,
        seconds=sum(parts.values()),
        parts=parts,
        memory=max((memory_of(share, stages, i) for i in range(len(stages))), key=lambda memory: memory.total),
        moved=tuple(_moved(share, slowest, machine)),
        flops=flops,
        hidden=hidden,
        tokens=sum(text.count(whole) for text in work.axes.texts.values()),
    )


def _operations(share: Share) -> tuple[float, float]:
    """Those of all products and attentions, forwards and twice as many backwards, and those of them that masks hide."""
    flops = hidden = 0.0
    for segment in share.work.segments:
        flops += 3 * segment.times * sum(product_flops(share, each) for each in segment.products)
        for each in segment.attentions:
            whole, unseen = attended(share, each)
            flops += 3 * segment.times * whole
            hidden += 3 * segment.times * unseen
    return flops, hidden


# ---------------------------------------------------------------- time


def _pipeline(share: Share, stages: list[Stage], slowest: Stage, machine: MachineModel) -> dict[str, float]:
    """All micro-batches on the slowest stage, and the bubble: the other stages' one micro-batch, of which virtual
    stages leave only a part (one forward, one backward in turn: Narayanan et al., 2019 and 2021)."""
    plan, count = share.plan, share.plan.micro_batches
    full = (plan.batch / plan.data) / (count * plan.micro_batch)  # the last micro-batch may be smaller
    parts: dict[str, float] = {}
    for name in ("products", "attention", "memory", "tensor", "experts", "context"):
        found = (getattr(slowest.forward, name) + getattr(slowest.backward, name)) * count * full
        if found:
            parts[name] = found
    if plan.stages > 1:
        others = (plan.stages - 1) * slowest.layers if plan.alike else sum(s.total for s in stages) - slowest.total
        parts["bubble"] = others / plan.virtual
        size = _between_stages(share)
        parts["stages"] = 2 * plan.steps * plan.virtual * machine.send(size, _stage_group(plan))
        parts["stages"] += 2 * machine.all_reduce(_at_the_ends(share), _stage_group(plan))
    return parts


def _stage_group(plan: ParallelPlan) -> DeviceGroup:
    return DeviceGroup(((plan.stages, plan.stride),))


def _between_stages(share: Share) -> float:
    """Bytes of one micro-batch between two stages: scattered over tensor parallel devices, and gathered on arrival."""
    return _carried(share) if share.plan.sequence else _carried(share) / share.plan.tensor


def _at_the_ends(share: Share) -> float:
    """Bytes of all micro-batches that stages add up, where all of them are to have what the last one makes, and again
    where gradients have come to the first: if stages are alike, and so compute what stands outside of them."""
    return _carried(share) * share.plan.micro_batches if share.plan.alike else 0.0


def _carried(share: Share) -> float:
    """Bytes of one micro-batch from layer to layer."""
    found = next((segment.carried for segment in share.work.segments if segment.carried), ())
    return share.plan.float_bytes * sum(share.count(extent) for extent in found)


def _between_steps(share: Share, stages: list[Stage], slowest: Stage, machine: MachineModel) -> dict[str, float]:
    """Gradients and parameters that move between the devices that share them, as far as nothing hides that, and the
    optimizer's update."""
    plan = share.plan
    parts: dict[str, float] = {}
    data = (_layer_by_layer if plan.layerwise else _once)(share, slowest, machine)
    if data:
        parts["data"] = data
    parts["update"] = machine.passing(
        (UPDATE + (0 if plan.precision == "fp32" else plan.float_bytes))
        * max(_updated(share, stage) for stage in stages)
    )
    return parts


def _updated(share: Share, stage: Stage) -> float:
    """The parameters whose states a device has."""
    groups = {kind: share.plan.dividing(kind) for kind in KINDS}
    return sum(stage.parameters(share, kind) / group.size for kind, group in groups.items())


def _once(share: Share, stage: Stage, machine: MachineModel) -> float:
    """Parameters that are whole while a step lasts: gradients are reduced beside the last micro-batch's backward pass,
    parameters that others updated are gathered beside the first one's forward pass."""
    plan = share.plan
    chunk = 1 / plan.virtual if plan.stages > 1 else 1
    reducing = gathering = 0.0
    for kind in KINDS:
        count = stage.parameters(share, kind)
        reducing += _reduced(plan, count, machine, kind)
        gathering += machine.gather(plan.float_bytes * count, plan.dividing(kind))
    return exposed(machine, reducing, stage.backward.computing * chunk) + exposed(
        machine, gathering, stage.forward.computing * chunk
    )


def _reduced(plan: ParallelPlan, count: float, machine: MachineModel, kind: ParameterKind) -> float:
    """Seconds until gradients are added up: each device has its part then, and the replicas of that have the same."""
    part = plan.dividing(kind)
    repeated = machine.all_reduce(MASTER * count / part.size, plan.repeating(kind))
    return machine.gather(MASTER * count, part) + repeated


def _layer_by_layer(share: Share, stage: Stage, machine: MachineModel) -> float:
    """Parameters that are divided: each segment's are gathered beside the computation of the one before, forwards and
    backwards, and its gradients are reduced beside the next one (Rajbhandari et al., 2020; Zhao et al., 2023)."""
    plan, total = share.plan, 0.0
    rounds = sum(times for segment, times in stage.segments if segment.carried) or 1
    for segment, times in stage.segments:
        gather = scatter = 0.0
        for kind in KINDS:
            count = share.parameters(segment, kind)
            gather += machine.gather(_gathered(plan, count), plan.dividing(kind))
            scatter += _reduced(plan, count, machine, kind)
        part = 1 / rounds if segment.carried else 0.0
        ahead, behind = stage.forward.computing * part, stage.backward.computing * part
        each = exposed(machine, gather, ahead) + exposed(machine, gather + scatter, behind)
        total += each * _often(plan, segment, times)
    return total


def _often(plan: ParallelPlan, segment: Segment, times: float) -> float:
    """How often in a step what is divided of a segment is put together for a pass: what stands outside of stages that
    are alike is computed for all micro-batches at once."""
    return times * (1 if plan.alike and not segment.carried else plan.micro_batches)


def _rounds(share: Share, stage: Stage, kind: ParameterKind) -> Iterator[tuple[float, float]]:
    """What parameters are moved together for data parallelism, and how often in a step."""
    if not share.plan.layerwise:
        yield stage.parameters(share, kind), 1.0
        return
    for segment, times in stage.segments:
        yield share.parameters(segment, kind), _often(share.plan, segment, times)


def _gathered(plan: ParallelPlan, count: float) -> float:
    """The bytes of so many parameters where they are gathered: layer by layer in the precision of products."""
    return (1 if plan.layerwise and plan.precision == "fp8" else plan.float_bytes) * count


# ---------------------------------------------------------------- what moves


def _moved(share: Share, stage: Stage, machine: MachineModel) -> Iterable[StepTraffic]:
    plan = share.plan
    groups = {"tensor": plan.tensor_group, "experts": plan.expert_group, "context": plan.context_group}
    sums: dict[tuple[str, str, DeviceGroup], list[float]] = {}

    def add(kind: str, over: str, group: DeviceGroup, size: float, times: float) -> None:
        if group.size > 1 and size:
            found = sums.setdefault((kind, over, group), [0.0, 0.0])
            found[0] += size * (group.size - 1) / group.size * times * (2 if kind == "all_reduce" else 1)
            found[1] += times

    for segment, times in stage.segments:
        again = plan.recompute == "full" and bool(segment.carried)
        for way, often in ((False, 1 + again), (True, 1)):
            for each in traffic(share, segment, machine, backward=way):
                add(each.kind, each.over, groups[each.over], each.size, float(often * times * plan.micro_batches))
    for kind in KINDS:
        part, alike = plan.dividing(kind), plan.repeating(kind)
        for held, rounds in _rounds(share, stage, kind):
            add("all_gather", "data", part, _gathered(plan, held), rounds * (2 if plan.layerwise else 1))
            add("reduce_scatter", "data", part, MASTER * held, rounds)
            add("all_reduce", "data", alike, MASTER * held / part.size, rounds)
    if plan.stages > 1:
        sends = 2.0 * plan.steps * plan.virtual
        sums["send", "stages", _stage_group(plan)] = [_between_stages(share) * sends, sends]
        add("all_reduce", "stages", _stage_group(plan), _at_the_ends(share), 2.0)
    return [StepTraffic(*which, size, times) for which, (size, times) in sums.items()]
