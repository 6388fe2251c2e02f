"""The fastest plan that fits, of all that a machine allows, and the runner-up."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

from attndsl.diagnostics import AttnError, error
from attndsl.planning.laid_out import layout_text, names
from attndsl.planning.machines import MachineModel
from attndsl.planning.plan import KINDS, RECOMPUTE, ParallelPlan, ParameterKind, problem
from attndsl.planning.prediction import KnownCosts, StepPrediction, predict
from attndsl.planning.share import Share
from attndsl.planning.work import EXPERTS, INNER, TOKENS, Workload, batch_axis, has_other_rows, token_axis
from attndsl.records import Frozen, replace

MICRO_BATCHES = (1, 2, 4)
MOST_CONTEXT = 16
MOST_REFUSED = 32


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
        parts = dict.fromkeys((*self.best.parts, *self.runner_up.parts))
        differences = ((name, self.runner_up.parts.get(name, 0.0) - self.best.parts.get(name, 0.0)) for name in parts)
        return sorted(differences, key=lambda pair: -abs(pair[1]))


def search(
    work: Workload,
    plan: ParallelPlan,
    machine: MachineModel,
    devices: int,
    tokens: Mapping[str, int],
    by: Callable[[str], Workload] | None = None,
    refusal: Callable[[str], AttnError | None] = lambda layout: None,
    given: Collection[str] = (),
) -> SearchResult:
    """Tries all degrees of parallelism, micro-batches and virtual stages for so many devices; of each, the least
    recomputation that fits. `plan` says the rest: batch, precision, kernels, and of what is tried all that was `given`.
    `by` gives the work by a layout, which leaves whole what it does not name, and `refusal` why the model cannot be
    laid out by one, if it cannot: such plans are left out, and after so many (`MOST_REFUSED`) no more are looked at.

    Raises E0954 where none fits, or none that does can be laid out.
    """
    found: dict[ParallelPlan, StepPrediction] = {}
    count, least = 0, None
    known, works = KnownCosts(), {1: work}
    for candidate in _candidates(work, plan, machine, devices, tokens, found, given):
        tensor = candidate.tensor
        if tensor not in works:
            works[tensor] = by(layout_text(ParallelPlan(tensor=tensor), work)) if by else work
        for recompute in (plan.recompute,) if "recompute" in given else RECOMPUTE:
            prediction = predict(works[tensor], replace(candidate, recompute=recompute), machine, tokens, known)
            count += 1
            if least is None or prediction.memory.total < least.memory.total:
                least = prediction
            if prediction.fits:
                degrees = replace(candidate, virtual=1, micro_batch=1, parameters="states")
                if degrees not in found or prediction.seconds < found[degrees].seconds:
                    found[degrees] = prediction
                break
    laid_out: list[tuple[StepPrediction, str]] = []
    refused: list[AttnError] = []
    for prediction in sorted(found.values(), key=lambda prediction: prediction.seconds):
        layout = layout_text(prediction.plan, work)
        why = refusal(layout)
        if why is not None:
            refused.append(why)
            if len(refused) == MOST_REFUSED:
                break
            continue
        laid_out.append((prediction, layout))
        if len(laid_out) == 2:
            break
    if laid_out:
        (best, layout), *others = laid_out
        return SearchResult(best, others[0][0] if others else None, layout, count)
    ways = f"more nodes, or another batch: `--nodes`, `--size {batch_axis(work)}=…`"
    if refused:
        them = "them" if len(refused) == len(found) else f"the fastest {len(refused)} of them"
        raise error(
            "E0954", f"plans for {devices:,} devices of {machine.name} fit, but the model cannot be laid out by {them}",
            note=f"of the fastest one: {refused[0].diagnostics[0].message}", help=f"other sizes, {ways}",
        )  # fmt: skip
    notes = [f"no degrees of parallelism suit the model and the batch{', and what `--plan` says' if given else ''}"]
    if least is not None:
        held, there = (f"{size / 1e9:.1f} GB" for size in (least.memory.total, machine.memory))
        notes = [f"the least memory, {held} of {there}, takes {least.plan.describe()}"]
        share = Share(work, least.plan, {**tokens, batch_axis(work): 1})
        nodes = devices // machine.devices
        even = 2 ** (nodes - 1).bit_length()
        left = (share.parameters(part, kind) for part in work.segments for kind in KINDS if not kind.even)  # W1003
        if even > nodes and any(left):
            over = least.plan.dividing(ParameterKind()).size
            notes.append(f"{over} divides no axis of some parameters, which are whole")
            ways = f"a number of nodes that divides more axes, such as `--nodes {even}`, or {ways}"
    if has_other_rows(work) and "micro_batch" not in given:
        ways += ", or micro-batches, which read these rows each time: `--plan micro_batch=…`"
    raise error("E0954", f"no plan for {devices:,} devices of {machine.name} fits", note=notes, help=ways)


def _candidates(
    work: Workload,
    plan: ParallelPlan,
    machine: MachineModel,
    devices: int,
    tokens: Mapping[str, int],
    found: Mapping[ParallelPlan, object],
    given: Collection[str] = (),
) -> Iterator[ParallelPlan]:
    """Tokens of one text are divided (context parallelism) no further than it takes to find a plan that fits."""
    sizes = {**work.graph.sizes, **tokens, batch_axis(work): plan.batch}
    tensors = [n for n in _divisors(machine.devices) if n == 1 or names(work, INNER, n)]
    experts = [n for n in _divisors(devices) if n == 1 or names(work, EXPERTS, n)] if work.dimensions[EXPERTS] else [1]
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
                finer = _finer(work, degrees, experts, given)
                yield from (each for each in finer if not problem(each, work, machine, sizes))


def _finer(
    work: Workload, plan: ParallelPlan, experts: Iterable[int], given: Collection[str]
) -> Iterator[ParallelPlan]:
    """Plans of these degrees: experts on so many devices where rows allow it, virtual stages, micro-batches, and
    whether parameters are divided, if there is something to divide them over: as layouts train, with "1f1b" as other
    engines do. What is `given` stays as it is."""
    whole = plan.data * plan.context
    virtuals = {1, work.layers // plan.stages} if plan.in_turns else {1}
    virtuals = {plan.virtual} if "virtual" in given else virtuals
    micro_batches = (plan.batch // plan.data,) if has_other_rows(work) else MICRO_BATCHES
    micro_batches = (plan.micro_batch,) if "micro_batch" in given else micro_batches
    parameters: tuple[str, ...] = ("states",) if plan.in_turns else ("whole", "divided")
    parameters = ("whole",) if whole == 1 else (plan.parameters,) if "parameters" in given else parameters
    for count in (n for n in experts if n == whole or plan.data % n == 0):
        for virtual in sorted(n for n in virtuals if n >= 1 and plan.stages * n <= max(work.layers, 1)):
            for rows in micro_batches:
                if rows * plan.data <= plan.batch and plan.batch % (rows * plan.data) == 0:
                    for way in parameters:
                        yield replace(plan, experts=count, virtual=virtual, micro_batch=rows, parameters=way)


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]
