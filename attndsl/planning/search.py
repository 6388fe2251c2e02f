"""The fastest plan that fits, of all that a machine allows, and the runner-up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from attndsl.diagnostics import error
from attndsl.planning.laid_out import layout_text
from attndsl.planning.machines import MachineModel
from attndsl.planning.plan import RECOMPUTE, ParallelPlan, problem
from attndsl.planning.prediction import KnownCosts, StepPrediction, predict, token_axis
from attndsl.planning.work import EXPERTS, INNER, TOKENS, Workload, batch_axis
from attndsl.records import Frozen, replace

MICRO_BATCHES = (1, 2, 4)
MOST_CONTEXT = 16


class SearchResult(Frozen):
    """The fastest plan and the fastest one with other degrees, if there is one; the layout of the former, as `--layout`
    reads it; how many were looked at."""

    best: StepPrediction
    runner_up: StepPrediction | None
    layout: str
    looked_at: int

    @property
    def reasons(self) -> list[tuple[str, float]]:
        """By how many seconds each part of a step is longer in the runner-up, the largest difference first."""
        if self.runner_up is None:
            return []
        names = dict.fromkeys((*self.best.parts, *self.runner_up.parts))
        differences = ((name, self.runner_up.parts.get(name, 0.0) - self.best.parts.get(name, 0.0)) for name in names)
        return sorted(differences, key=lambda pair: -abs(pair[1]))


def search(
    work: Workload,
    plan: ParallelPlan,
    machine: MachineModel,
    devices: int,
    tokens: Mapping[str, int],
    lays: Callable[[str], bool] = bool,
) -> SearchResult:
    """Tries all degrees of parallelism, micro-batches and virtual stages for so many devices; of each, the least
    recomputation that fits. `plan` says the rest: batch, precision, kernels. `lays` says of a layout whether the model
    can be laid out so: the fastest plans whose layouts cannot are left out.

    Raises E0954 where none fits.
    """
    found: dict[ParallelPlan, StepPrediction] = {}
    count, least = 0, None
    known = KnownCosts()
    for candidate in _candidates(work, plan, machine, devices, tokens, found):
        for recompute in RECOMPUTE:
            prediction = predict(work, replace(candidate, recompute=recompute), machine, tokens, known)
            count += 1
            if least is None or prediction.memory.total < least.memory.total:
                least = prediction
            if prediction.fits:
                degrees = replace(candidate, virtual=1, micro_batch=1, parameters="states")
                if degrees not in found or prediction.seconds < found[degrees].seconds:
                    found[degrees] = prediction
                break
    ordered = sorted(found.values(), key=lambda prediction: prediction.seconds)
    while ordered and not lays(layout_text(ordered[0].plan, work)):
        del ordered[0]
    if not ordered:
        note = "no degrees of parallelism suit the model and the batch"
        if least is not None:
            held, there = (f"{size / 1e9:.1f} GB" for size in (least.memory.total, machine.memory))
            note = f"the least memory, {held} of {there}, takes {least.plan.describe()}"
        raise error(
            "E0954", f"no plan for {devices:,} devices of {machine.name} fits", note=note,
            help="more nodes, or another batch: `--nodes`, `--size B=…`",
        )  # fmt: skip
    best, *others = ordered
    return SearchResult(best, others[0] if others else None, layout_text(best.plan, work), count)


def _candidates(
    work: Workload,
    plan: ParallelPlan,
    machine: MachineModel,
    devices: int,
    tokens: Mapping[str, int],
    found: Mapping[ParallelPlan, object],
) -> Iterator[ParallelPlan]:
    """Tokens of one text are divided (context parallelism) no further than it takes to find a plan that fits."""
    sizes = {**work.graph.sizes, **tokens, batch_axis(work): plan.batch}
    tensors = [n for n in _divisors(machine.devices) if n == 1 or work.dimensions[INNER]]
    for context in [n for n in _divisors(devices) if n <= MOST_CONTEXT] if work.dimensions[TOKENS] else [1]:
        if found:
            return
        for tensor in tensors:
            for stages in _divisors(devices // (tensor * context)):
                data, rest = divmod(devices, tensor * context * stages)
                if rest or stages > max(work.layers, 1) or plan.batch % data:
                    continue
                sequence = tensor > 1 and bool(token_axis(work))
                degrees = replace(plan, data=data, tensor=tensor, context=context, stages=stages, sequence=sequence)
                yield from (each for each in _finer(work, degrees) if not problem(each, work, machine, sizes))


def _finer(work: Workload, plan: ParallelPlan) -> Iterator[ParallelPlan]:
    """Plans of these degrees: experts on as many devices as there are experts for, virtual stages, micro-batches."""
    experts = [1]
    if work.dimensions[EXPERTS]:
        most = min(size.value(work.graph.sizes) for size in work.dimensions[EXPERTS])
        whole = plan.data * plan.context
        experts = [n for n in _divisors(whole) if most % n == 0 and (n == whole or plan.data % n == 0)][-3:]
    virtuals = {1} if plan.stages == 1 or plan.alike else {1, work.layers // plan.stages}
    for count in experts:
        for virtual in sorted(n for n in virtuals if n >= 1 and plan.stages * n <= max(work.layers, 1)):
            for rows in MICRO_BATCHES:
                if rows * plan.data <= plan.batch and plan.batch % (rows * plan.data) == 0:
                    for parameters in ("states", "divided") if plan.stages == 1 or plan.alike else ("states",):
                        found = replace(plan, experts=count, virtual=virtual, micro_batch=rows, parameters=parameters)
                        yield replace(found, replicas=replicas(found))


def replicas(plan: ParallelPlan) -> int:
    """Of divided parameters, where a layout divides them over one dimension of its mesh, the first that has rows."""
    whole = plan.data * plan.context
    apart = plan.data if plan.context > 1 else whole if plan.experts in (1, whole) else whole // plan.experts
    return whole // apart if plan.parameters == "divided" else 1


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]
