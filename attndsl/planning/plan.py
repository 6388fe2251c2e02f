"""A plan: how the work of a training step is divided over devices, and how it is computed there."""

from __future__ import annotations

import math
from collections.abc import Callable

from attndsl.diagnostics import AttnError, error
from attndsl.layouts.core import PlacementRule
from attndsl.layouts.staged_loop import StagedLoop
from attndsl.ops import Repeat
from attndsl.planning.machines import DeviceGroup, MachineModel
from attndsl.planning.work import EXPERTS, INNER, KERNELS, TOKENS, Workload
from attndsl.records import Frozen, replace

RECOMPUTE = ("none", "selective", "full")
WORDS = {
    "recompute": RECOMPUTE, "parameters": ("divided", "states", "whole"), "kernels": KERNELS,
    "precision": ("bf16", "fp8", "fp32"), "loss": ("plain", "fused", "chunked"), "schedule": ("gpipe", "1f1b"),
    "dispatch": ("allgather", "alltoall"),
}  # fmt: skip
COUNTS = ("virtual", "micro_batch")
CHOICES = (*COUNTS, *WORDS, "attention", "async_tensor")
"""What a layout does not say of a plan."""

MASTER = 4
"""Bytes of a float of gradients, masters and states."""


class MeshPart(Frozen):
    """A dimension of a mesh: the degree ("data", "context" or "tensor") that lies there, on so many devices; whether
    experts do, too, and parameters, where they are divided."""

    degree: str
    size: int
    experts: bool = False
    parameters: bool = False


class ParameterKind(Frozen):
    """Parameters that are divided over the same devices: those of experts, or the others; if `even`, those with an axis
    that as many devices can divide. The rest stays whole where a layout divides parameters."""

    experts: bool = False
    even: bool = True


KINDS = tuple(ParameterKind(experts, even) for experts in (False, True) for even in (True, False))


class ParallelPlan(Frozen):
    """Degrees of parallelism, whose product is the number of devices, and choices that decide time and memory.

    Ranks count the last dimension of a mesh the fastest, so that it stays inside a node, and stages the slowest. `mesh`
    is that of a layout, if it is not the one that `parts` makes of the degrees. Experts lie on devices that have other
    rows or tokens. `micro_batch`: the rows that one device (or tensor-parallel group) computes at a time; `batch`: the
    rows of a step, on all.

    `recompute`: "full" keeps what enters a layer and computes the rest again; "selective" computes again what is large
    and cheap: with materialised attention all between queries and keys (Korthikanti et al., 2022, section 5), else
    every second product and all that is no product. `parameters`: "divided" over data (ZeRO-3, FSDP; not in "1f1b"),
    gradients and states alone ("states": ZeRO-1, a distributed optimizer; over all that have other data), or "whole".
    `attention` is the kernel, by its name in the table of machines, or "materialised". `kernels`: "eager" computes
    operator by operator, "fused" chains of elementwise operators at once, "compiled" also makes these again rather than
    keeping them; a "fused" `loss` writes its gradient where it has its scores, a "chunked" one has those of some rows
    at a time, and makes its gradients at once (Hsu et al., 2024), unless words are divided. `precision`: "fp32" has no
    masters beside its weights; in "fp8" products read it. `async_tensor`: tensor-parallel collectives run beside the
    products that they belong to. `schedule` is that of stages: in "gpipe", as a layout trains, all have as many layers,
    keep all micro-batches (Huang et al., 2019), and compute what stands outside of the layers; in "1f1b" each micro-
    batch goes back as soon as it can (Narayanan et al., 2019, 2021). `dispatch`: each device gathers the rows of all
    that share experts ("allgather", as a layout trains), or is sent those that its experts read ("alltoall").
    """

    data: int = 1
    tensor: int = 1
    context: int = 1
    experts: int = 1
    stages: int = 1
    virtual: int = 1
    batch: int = 1
    micro_batch: int = 1
    sequence: bool = False
    recompute: str = "none"
    parameters: str = "divided"
    precision: str = "bf16"
    attention: str = "flash2"
    kernels: str = "compiled"
    loss: str = "plain"
    async_tensor: bool = False
    schedule: str = "gpipe"
    dispatch: str = "allgather"
    mesh: tuple[MeshPart, ...] = ()

    @property
    def float_bytes(self) -> int:
        """Bytes of a float that is computed with."""
        return MASTER if self.precision == "fp32" else 2

    @property
    def arithmetic(self) -> str:
        """In what is computed that float8 is too narrow for."""
        return "fp32" if self.precision == "fp32" else "bf16"

    @property
    def devices(self) -> int:
        return self.data * self.tensor * self.context * self.stages

    @property
    def micro_batches(self) -> int:
        """How many a device computes in a step; the last one may have fewer rows."""
        return -(-self.batch // (self.data * self.micro_batch))

    @property
    def alike(self) -> bool:
        """Whether there are stages that all compute the same, as a layout has them."""
        return self.stages > 1 and not self.in_turns

    @property
    def in_turns(self) -> bool:
        """Whether stages go forwards and backwards by turns, one micro-batch at a time, as other engines have them."""
        return self.stages > 1 and self.schedule == "1f1b"

    @property
    def laid_out(self) -> bool:
        """Whether a layout trains like that. Other engines may pad a vocabulary, and have stages of unequal layers."""
        return not self.in_turns and (self.experts == 1 or self.dispatch == "allgather")

    @property
    def steps(self) -> int:
        """How many steps a batch takes forwards: also those in which a stage that is like the others has no micro-batch
        yet, or no more, and waits."""
        return self.micro_batches + (self.stages - 1 if self.alike else 0)

    @property
    def layerwise(self) -> bool:
        """Whether the parameters of a layer are gathered where it is computed. In "1f1b", stages keep theirs whole,
        since each micro-batch would have them gathered again: there "divided" is "states" (`as_computed`)."""
        return self.parameters == "divided" and not self.in_turns

    @property
    def evenly(self) -> bool:
        """Whether parameters are divided as a layout divides them: along an axis, into equal parts. Other engines cut
        all that there are, one behind the other."""
        return self.layerwise and self.laid_out

    @property
    def as_computed(self) -> ParallelPlan:
        """The plan, where what it says of parameters is what is done with them."""
        return self if self.layerwise or self.parameters != "divided" else replace(self, parameters="states")

    # Groups of devices, by the order of ranks.

    @property
    def parts(self) -> tuple[MeshPart, ...]:
        """The mesh without stages, which come first. Where no layout says another one: devices with other rows, with
        other tokens, and with other parts of layers, which are neighbours; experts on the nearest of the first, and
        parameters, where they are divided, on the first dimension."""
        if self.mesh:
            return self.mesh
        rows = math.gcd(self.data, self.experts)
        tokens = self.experts // rows
        first, *others = (
            MeshPart("data", self.data // rows), MeshPart("data", rows, experts=True),
            MeshPart("context", self.context // tokens), MeshPart("context", tokens, experts=True),
            MeshPart("tensor", self.tensor),
        )  # fmt: skip
        found = [part for part in (first, *others) if part.size > 1]
        return tuple(replace(part, parameters=part is found[0] and part.degree != "tensor") for part in found)

    def _group(self, has: Callable[[MeshPart], bool]) -> DeviceGroup:
        """The devices along these dimensions of the mesh; of two that follow one another it is one."""
        found: list[tuple[int, int]] = []
        stride = 1
        for part in reversed(self.parts):
            if has(part):
                near = found.pop() if found and math.prod(found[-1]) == stride else (1, stride)
                found.append((near[0] * part.size, near[1]))
            stride *= part.size
        return DeviceGroup(tuple(reversed(found)), self.devices)

    @property
    def tensor_group(self) -> DeviceGroup:
        """Those that share what is inside of layers."""
        return self._group(lambda part: part.degree == "tensor")

    @property
    def context_group(self) -> DeviceGroup:
        """Those that share the tokens of a text."""
        return self._group(lambda part: part.degree == "context")

    @property
    def expert_group(self) -> DeviceGroup:
        """Those that share experts."""
        return self._group(lambda part: part.experts)

    def dividing(self, kind: ParameterKind) -> DeviceGroup:
        """Those that parameters, gradients and states are divided over."""
        return self._group(lambda part: self._has_data(part, kind) and self._divides(part, kind))

    def repeating(self, kind: ParameterKind) -> DeviceGroup:
        """Those that have the same part of them, and other data."""
        return self._group(lambda part: self._has_data(part, kind) and not self._divides(part, kind))

    @staticmethod
    def _has_data(part: MeshPart, kind: ParameterKind) -> bool:
        return part.degree != "tensor" and not (kind.experts and part.experts)

    def _divides(self, part: MeshPart, kind: ParameterKind) -> bool:
        return self.parameters == "states" or (self.parameters == "divided" and part.parameters and kind.even)

    @property
    def stride(self) -> int:
        """How far the next stage's device is."""
        return self.tensor * self.context * self.data

    def describe(self) -> str:
        """`data 8 × tensor 4 × stages 4, 2 virtual stages`."""
        degrees = [("data", self.data), ("tensor", self.tensor), ("context", self.context), ("stages", self.stages)]
        said = " × ".join(f"{name} {degree}" for name, degree in degrees if degree > 1) or "one device"
        said += f", experts {self.experts}" if self.experts > 1 else ""
        return said + (f", {self.virtual} virtual stages" if self.virtual > 1 else "")


def problem(plan: ParallelPlan, work: Workload, machine: MachineModel, sizes: dict[str, int]) -> str:
    """Why a plan cannot be carried out for a model on a machine; nothing where it can."""
    if plan.batch % plan.data:
        return f"the batch of {plan.batch} rows does not divide by data {plan.data}"
    if plan.micro_batch * plan.data > plan.batch:
        return f"a micro-batch of {plan.micro_batch} rows on data {plan.data} is more than the batch of {plan.batch}"
    if plan.stages * plan.virtual > work.layers + 2:  # what stands before and after the layers can have stages too
        return f"{plan.stages} × {plan.virtual} stages are more than {work.layers} layers fill"
    if plan.virtual > 1 and plan.stages == 1:
        return "virtual stages need stages"
    if plan.virtual > 1 and plan.alike:
        return "virtual stages need `schedule=1f1b`"
    if plan.alike and (found := _uneven(plan.stages, work)):
        return found
    if plan.data * plan.context % plan.experts:
        return f"experts {plan.experts} does not divide data × context {plan.data * plan.context}"
    if plan.precision not in machine.flops:
        return f"{machine.name} has no products in {plan.precision}"
    if plan.attention != "materialised" and plan.attention not in machine.attention:
        return f"{machine.name} has no attention kernel `{plan.attention}`"
    for kind, degree, name in ((INNER, plan.tensor, "tensor"), (EXPERTS, plan.experts, "experts")):
        for size in work.dimensions[kind]:
            length = size.value(sizes)
            if length % degree and length < 64 * degree:  # what is longer may be padded, or is left whole
                return f"{name} {degree} does not divide {size} = {length}"
    if plan.context > 1 and not work.dimensions[TOKENS]:
        return "context parallelism needs an axis of tokens"
    for size in work.dimensions[TOKENS]:
        divided = {"context": plan.context, "tensor": plan.tensor if plan.sequence else 1}
        if (length := size.value(sizes)) % math.prod(divided.values()):
            over = " × ".join(f"{name} {degree}" for name, degree in divided.items() if degree > 1)
            return f"{over} does not divide the tokens of one text, {size} = {length}"
    return ""


def _uneven(stages: int, work: Workload) -> str:
    """Why no layout divides the loops of a model into so many stages."""
    loops = [node for node in work.graph.body.nodes if isinstance(node.op, Repeat)]
    try:
        for node in loops:
            StagedLoop.of(work.graph, node, PlacementRule((), "stages"), stages)
    except AttnError as problem:
        return problem.diagnostics[0].message
    return "" if loops else "there are no layers"


def require(plan: ParallelPlan, work: Workload, machine: MachineModel, sizes: dict[str, int]) -> None:
    """Raises E0953 where a plan cannot be carried out."""
    found = problem(plan, work, machine, sizes)
    if found:
        raise error("E0953", f"the plan {plan.describe()} cannot be carried out: {found}")
