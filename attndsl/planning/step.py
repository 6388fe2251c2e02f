"""The time and the memory of one step of training, by a plan, on a machine.

Nothing is measured and nothing guessed at run time: each piece of work (`attndsl.planning.work`) is given its extent on
one device, and the machine says how long that takes. What is added up how is stated at each function.
"""

from __future__ import annotations

import math

from attndsl.planning.machines import DeviceGroup, MachineModel
from attndsl.planning.plan import ParallelPlan
from attndsl.planning.work import (
    EXPERTS,
    INNER,
    TOKENS,
    Attending,
    Extent,
    Keeping,
    Passing,
    Product,
    Segment,
    Workload,
)
from attndsl.records import dataclass
from attndsl.sizes import Size

FLOAT = 2  # bytes of a float of a model that computes in bfloat16
MASTER = 4  # bytes of a float of its gradients, masters and states


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


class Share:
    """What one device has of each extent."""

    def __init__(
        self, work: Workload, plan: ParallelPlan, tokens: dict[str, int], lengths: dict[Size, int] | None = None
    ) -> None:
        self.work, self.plan, self.tokens = work, plan, tokens
        self.sizes = dict(work.graph.sizes) | tokens
        self.rows = math.prod(tokens.values())  # of tokens, in a micro-batch
        self._lengths = {} if lengths is None else lengths  # of sizes, at these tokens
        self._parameters: dict[tuple[int, bool], float] = {}
        self._kept: dict[tuple[int, str], float] = {}
        self.products: dict[tuple[int, str], float] = {}  # seconds that each takes one way

    def length(self, size: Size) -> int:
        found = self._lengths.get(size)
        if found is None:
            found = self._lengths[size] = size.value(self.sizes)
        return found

    def by(self, plan: ParallelPlan) -> Share:
        """The same, by a plan that differs in the number of devices for data or stages, or in what is computed
        again."""
        found = Share(self.work, plan, self.tokens, self._lengths)
        found._parameters, found._kept, found.products = self._parameters, self._kept, self.products
        return found

    def kept(self, segment: Segment) -> float:
        """Bytes that one round keeps of one micro-batch until the backward pass."""
        key = (id(segment), self.plan.recompute)
        if key not in self._kept:
            self._kept[key] = _kept_bytes(self, segment)
        return self._kept[key]

    def parameters(self, segment: Segment, *, experts: bool) -> float:
        """How many parameters of a segment's one round a device has, before they are divided over data: those of
        experts, or the others."""
        key = (id(segment), experts)
        if key not in self._parameters:
            own = (each for each in segment.weights if any(kind == EXPERTS for _, kind in each) == experts)
            self._parameters[key] = sum(self.count(each, whole_tokens=True) for each in own)
        return self._parameters[key]

    def count(self, *extents: Extent, whole_tokens: bool | None = None) -> float:
        """How many elements there are on one device. With sequence parallelism, what has no dimension that tensor
        parallelism divides is divided along its tokens, unless `whole_tokens`."""
        total, divided, tokens = 1.0, False, False
        for extent in extents:
            for size, kind in extent:
                length: float = self.length(size)
                if kind == INNER:
                    divided = True
                    length = math.ceil(length / self.plan.tensor)
                elif kind == EXPERTS:
                    length = length / self.plan.experts
                elif kind == TOKENS:
                    if tokens:
                        length *= self.plan.context  # queries are divided, and see all keys
                    tokens = True
                total *= length
        whole = divided if whole_tokens is None else whole_tokens
        return total / self.plan.tensor if self.plan.sequence and tokens and not whole else total


def forward(share: Share, segment: Segment, machine: MachineModel) -> Times:
    """One round of a segment, forwards."""
    times = Times()
    for product in segment.products:
        times.products += _product(share, product, machine, "forward")
    for each in segment.attentions:
        times.attention += _attention(share, each, machine, 1.0)
    for passing in segment.passings:
        times.memory += machine.passing(_moved(share, passing, backward=False))
    _collectives(share, segment, machine, times, backward=False)
    return times


def backward(share: Share, segment: Segment, machine: MachineModel) -> Times:
    """One round backwards, with what is computed again."""
    plan, times = share.plan, Times()
    for product in segment.products:
        times.products += _product(share, product, machine, "inputs")
        times.products += _product(share, product, machine, "weights")
    for each in segment.attentions:
        times.attention += _attention(share, each, machine, 2.5)  # scores once more, and four products (Dao, 2023)
    for passing in segment.passings:
        times.memory += machine.passing(_moved(share, passing, backward=True))
    _collectives(share, segment, machine, times, backward=True)
    if plan.recompute == "full" and segment.carried:
        times.add(forward(share, segment, machine))
    elif plan.recompute == "selective" and segment.carried:
        for product in segment.products:
            if plan.attention != "materialised":
                times.products += _product(share, product, machine, "forward") / 2
            elif not product.weight and _scores(product):
                times.products += _product(share, product, machine, "forward")
        for passing in segment.passings:
            if plan.attention != "materialised" or passing.scores:
                times.memory += machine.passing(_moved(share, passing, backward=False))
    return times


def _scores(product: Product) -> bool:
    kinds = [kind for _, kind in (*product.rows, *product.columns)]
    return kinds.count(TOKENS) > 1


# ---------------------------------------------------------------- computing


def _product(share: Share, product: Product, machine: MachineModel, way: str) -> float:
    """Seconds forwards, or of the gradient of the inputs or of the weights (of the other operand)."""
    key = (id(product), way)
    if key not in share.products:
        share.products[key] = _product_seconds(share, product, machine, way)
    return share.products[key]


def _product_seconds(share: Share, product: Product, machine: MachineModel, way: str) -> float:
    plan = share.plan
    extents = (product.rows, product.columns, product.summed, product.batch)
    inner = any(kind == INNER for extent in extents for _, kind in extent)
    batch = share.count(product.batch, whole_tokens=True)
    rows = share.count(product.rows, whole_tokens=inner)
    columns, summed = share.count(product.columns, whole_tokens=True), share.count(product.summed, whole_tokens=True)
    if _scores(product):
        columns *= plan.context
    elif any(kind == TOKENS for _, kind in product.summed):
        summed *= plan.context
    if product.grouped:
        rows /= batch
    if way == "inputs":
        columns, summed = summed, columns
    elif way == "weights":
        rows, columns, summed = summed, columns, rows
    low = product.weight and plan.precision == "fp8"
    moved = batch * (rows * summed + summed * columns + rows * columns) * FLOAT
    if product.weight and way == "weights":
        moved += batch * rows * columns * (2 * MASTER - FLOAT if plan.micro_batches > 1 else MASTER - FLOAT)
    seconds = machine.product(batch, rows, columns, summed, "fp8" if low else "bf16", moved)
    if low:  # an operand is read in bfloat16 for its largest element, read once more, and written in float8
        seconds += machine.passing(batch * rows * summed * (2 * FLOAT + 1))
    return seconds * share.count(product.times)


def _attention(share: Share, each: Attending, machine: MachineModel, times: float) -> float:
    whole, hidden = attended(share, each)
    return machine.attending((whole - hidden) * times, share.plan.attention, "bf16")


def attended(share: Share, each: Attending) -> tuple[float, float]:
    """The operations of an attention forwards, and those of them between queries and keys that its mask hides from each
    other."""
    keys = share.count(each.keys, whole_tokens=True) * share.plan.context
    shown = 1.0 if each.visible == "all" else 0.5
    if each.window is not None:
        window = min(share.length(each.window), keys)
        shown = window / keys * (1 - window / keys / 2)
    numbers = share.count(each.head, whole_tokens=True) + share.count(each.value, whole_tokens=True)
    whole = 2 * share.count(each.queries, whole_tokens=True) * keys * numbers
    return whole, whole * (1 - shown)


def _moved(share: Share, passing: Passing, *, backward: bool) -> float:
    """Bytes that an operation reads and writes. Backwards it reads its result's gradient and what it read, and writes
    the gradients of what it read."""
    fused = share.plan.kernels != "eager"
    read = sum(
        share.count(extent) for extent, inside in zip(passing.read, passing.inside_read, strict=True)
        if not (fused and inside)
    )  # fmt: skip
    written = 0.0 if fused and passing.inside_written else sum(share.count(extent) for extent in passing.written)
    return (MASTER if passing.loss else FLOAT) * (2 * read + written if backward else read + written)


# ---------------------------------------------------------------- collectives inside of a layer


@dataclass(frozen=True, slots=True)
class RoundTraffic:
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
        for product in segment.products:
            if product.grouped:
                width = product.columns if product.ends else product.summed
                rows = share.count(product.rows)
                copies = max(rows / share.rows, 1.0)
                size = FLOAT * rows * share.count(width, whole_tokens=True)
                size = size / plan.tensor if plan.sequence else size
                found.append(RoundTraffic("all_to_all", "experts", size, copies=copies))
        found = _dispatched_once(segment, found)
    if plan.context > 1:
        for each in segment.attentions:
            size = FLOAT * sum(share.count(extent) for extent in each.memory) * plan.context
            found.append(RoundTraffic("all_gather", "context", size))
            if backward:
                found.append(RoundTraffic("reduce_scatter", "context", size))
    return found


def _dispatched_once(segment: Segment, found: list[RoundTraffic]) -> list[RoundTraffic]:
    """Rows go to their experts once for all products that read them."""
    sources = [product.source for product in segment.products if product.grouped]
    extra = len(sources) - len(set(sources))
    for _ in range(extra):
        found.remove(next(each for each in found if each.kind == "all_to_all"))
    return found


def _tensor_traffic(share: Share, segment: Segment, machine: MachineModel, backward: bool) -> list[RoundTraffic]:
    plan, found, gathered = share.plan, [], set()
    for product in segment.products:
        if product.grouped or not (product.column or product.row):
            continue
        width = product.summed if product.column else product.columns
        size = FLOAT * share.count(product.rows, width, whole_tokens=True)
        beside = _product(share, product, machine, "weights" if backward else "forward")
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
        size = FLOAT * share.count(extent, whole_tokens=True)
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


def _collectives(share: Share, segment: Segment, machine: MachineModel, times: Times, *, backward: bool) -> None:
    groups = {
        "tensor": share.plan.tensor_group, "experts": share.plan.expert_group, "context": share.plan.context_group,
    }  # fmt: skip
    for each in traffic(share, segment, machine, backward=backward):
        found = exposed(machine, seconds(machine, groups[each.over], each), each.beside)
        setattr(times, each.over, getattr(times, each.over) + found)


# ---------------------------------------------------------------- memory


def _kept_bytes(share: Share, segment: Segment) -> float:
    """Full recomputation keeps what enters a round. The selective one keeps all but the scores where these are
    materialised; else every second product, attention's result, and what enters (torchtitan's policy)."""
    plan = share.plan
    again = plan.recompute if segment.carried else "none"
    if again == "full":
        return sum(FLOAT * share.count(extent) for extent in segment.carried)
    if again == "selective" and plan.attention != "materialised":
        return sum(
            _bytes(share, each) / (2 if each.maker == "product" else 1) for each in segment.kept["compiled"]
        )  # fmt: skip
    kept = segment.kept[plan.kernels]
    return sum(_bytes(share, each) for each in kept if not (each.scores and again == "selective"))


def loss_bytes(share: Share, segment: Segment) -> float:
    """What a loss needs when its gradient is made: as much as it keeps, scores and their gradient as floats of the
    model, and where it is not one kernel, the gradient of what is picked from its logarithms (`nll_loss` makes it
    whole)."""
    made = (share.count(product.rows, product.columns, whole_tokens=True) for product in segment.products)
    gradients = 1 if share.plan.loss == "fused" else 2
    return gradients * share.kept(segment) + 2 * FLOAT * max(made, default=0.0)


def _bytes(share: Share, each: Keeping) -> float:
    return share.count(each.extent) * (each.bytes if each.bytes != MASTER or each.loss else FLOAT)
