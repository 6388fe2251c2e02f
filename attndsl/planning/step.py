"""The time and the memory of one step of training, by a plan, on a machine.

Nothing is measured and nothing guessed at run time: each piece of work (`attndsl.planning.work`) is given its extent on
one device, and the machine says how long that takes. What is added up how is stated at each function.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from attndsl.planning.machines import Group, Machine
from attndsl.planning.plan import Plan
from attndsl.planning.work import EXPERTS, INNER, TOKENS, Attending, Extent, Keeping, Passing, Product, Segment, Work
from attndsl.records import dataclass, field
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

    def __init__(self, work: Work, plan: Plan, tokens: dict[str, int]) -> None:
        self.work, self.plan, self.tokens = work, plan, tokens
        self.sizes = dict(work.graph.sizes) | tokens
        self.rows = math.prod(tokens.values())  # of tokens, in a micro-batch
        self._lengths: dict[Size, int] = {}

    def length(self, size: Size) -> int:
        found = self._lengths.get(size)
        if found is None:
            found = self._lengths[size] = size.value(self.sizes)
        return found

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


def forward(share: Share, segment: Segment, machine: Machine) -> Times:
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


def backward(share: Share, segment: Segment, machine: Machine) -> Times:
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


def _product(share: Share, product: Product, machine: Machine, way: str) -> float:
    """Seconds forwards, or of the gradient of the inputs or of the weights (of the other operand)."""
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
    if low:  # an operand is read in bfloat16 and written in float8
        seconds += machine.passing(batch * rows * summed * (FLOAT + 1))
    return seconds


def _attention(share: Share, each: Attending, machine: Machine, times: float) -> float:
    plan = share.plan
    keys = share.count(each.keys, whole_tokens=True) * plan.context
    shown = 1.0 if each.visible == "all" else 0.5
    if each.window is not None:
        window = min(share.length(each.window), keys)
        shown = window / keys * (1 - window / keys / 2)
    pairs = share.count(each.queries, whole_tokens=True) * keys * shown
    flops = 2 * pairs * (share.count(each.head, whole_tokens=True) + share.count(each.value, whole_tokens=True))
    return machine.attending(flops * times, plan.attention, "bf16")


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
class Traffic:
    """A collective of one round: its kind, over which degree, bytes of the whole value; `beside` is the time of computation
    that it can run beside, `copies` how many experts a row goes to."""

    kind: str
    over: str
    size: float
    beside: float = 0.0
    copies: float = 1.0


def traffic(share: Share, segment: Segment, machine: Machine, *, backward: bool) -> list[Traffic]:
    """The collectives of one round forwards or backwards.

    Tensor parallelism: a product that makes a divided dimension needs its input whole, one that sums over it gives a sum
    that is pending. With sequence parallelism that is an all-gather and a reduce-scatter forwards; backwards the same the
    other way round, and the input is gathered again for the gradient of the weights. Without, an all-reduce forwards and
    another backwards.
    """
    plan, found = share.plan, []
    if plan.tensor > 1:
        found += _tensor_traffic(share, segment, machine, backward)
    if plan.experts > 1:
        for product in segment.products:
            if product.grouped:
                width = product.summed if product.column else product.columns
                rows = share.count(product.rows)
                copies = max(rows / share.rows, 1.0)
                size = FLOAT * rows * share.count(width, whole_tokens=True)
                found.append(Traffic("all_to_all", "experts", size / plan.tensor if plan.sequence else size, copies=copies))
        found = _dispatched_once(segment, found)
    if plan.context > 1:
        for each in segment.attentions:
            size = FLOAT * sum(share.count(extent) for extent in each.memory) * plan.context
            found.append(Traffic("all_gather", "context", size))
            if backward:
                found.append(Traffic("reduce_scatter", "context", size))
    return found


def _dispatched_once(segment: Segment, found: list[Traffic]) -> list[Traffic]:
    """Rows go to their experts once for all products that read them."""
    sources = [product.source for product in segment.products if product.grouped]
    extra = len(sources) - len(set(sources))
    for _ in range(extra):
        found.remove(next(each for each in found if each.kind == "all_to_all"))
    return found


def _tensor_traffic(share: Share, segment: Segment, machine: Machine, backward: bool) -> list[Traffic]:
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
                found.append(Traffic("all_gather", "tensor", size, beside if backward else hidden))
                if backward:
                    found.append(Traffic("reduce_scatter", "tensor", size, beside))
            elif backward:
                found.append(Traffic("all_reduce", "tensor", size, beside))
        else:
            hidden = beside if plan.async_tensor else 0.0
            if plan.sequence:
                found.append(Traffic("all_gather" if backward else "reduce_scatter", "tensor", size, hidden))
            elif not backward:
                found.append(Traffic("all_reduce", "tensor", size, hidden))
    for extent in segment.lookups:
        size = FLOAT * share.count(extent, whole_tokens=True)
        if plan.sequence:
            found.append(Traffic("all_gather" if backward else "reduce_scatter", "tensor", size))
        elif not backward:
            found.append(Traffic("all_reduce", "tensor", size))
    return found


def seconds(machine: Machine, group: Group, each: Traffic) -> float:
    """How long a collective takes by itself."""
    if each.kind == "all_to_all":
        return machine.exchange(each.size, group, each.copies)
    return machine.gather(each.size, group) * (2 if each.kind == "all_reduce" else 1)


def exposed(machine: Machine, communicating: float, computing: float) -> float:
    """By how much a collective lengthens a computation that it runs beside: what is left of it when that has ended, and
    what it takes away from it (processors, memory, power) before."""
    both = min(communicating, computing)
    return communicating - both + machine.reached["beside"] * both


def _collectives(share: Share, segment: Segment, machine: Machine, times: Times, *, backward: bool) -> None:
    groups = {
        "tensor": share.plan.tensor_group, "experts": share.plan.expert_group, "context": share.plan.context_group,
    }  # fmt: skip
    for each in traffic(share, segment, machine, backward=backward):
        found = exposed(machine, seconds(machine, groups[each.over], each), each.beside)
        setattr(times, each.over, getattr(times, each.over) + found)


# ---------------------------------------------------------------- memory


_MADE_AGAIN = {"eager": (), "fused": ("chained",), "compiled": ("chained", "cheap")}


def kept_bytes(share: Share, segment: Segment) -> float:
    """What one round keeps of one micro-batch until the backward pass."""
    plan = share.plan
    if plan.recompute == "full" and segment.carried:
        return sum(FLOAT * share.count(extent) for extent in segment.carried)
    total = 0.0
    for each in segment.kept:
        if plan.recompute == "selective" and segment.carried:
            if plan.attention == "materialised":
                if each.scores:
                    continue
            elif each.maker in ("cheap", "chained"):
                continue
            elif each.maker == "product":
                total += _bytes(share, each) / 2
                continue
        if each.maker in _MADE_AGAIN[plan.kernels] and segment.carried:
            continue
        total += _bytes(share, each)
    if segment.carried and plan.recompute != "full" and (plan.kernels == "compiled" or plan.recompute == "selective"):
        total += sum(FLOAT * share.count(extent) for extent in segment.carried)
    return total


def loss_bytes(share: Share, segment: Segment) -> float:
    """What a loss needs when its gradient is made: as much as it keeps, and scores and their gradient as floats of the
    model."""
    made = (share.count(product.rows, product.columns, whole_tokens=True) for product in segment.products)
    return kept_bytes(share, segment) + 2 * FLOAT * max(made, default=0.0)


def _bytes(share: Share, each: Keeping) -> float:
    return share.count(each.extent) * (each.bytes if each.bytes != MASTER or each.loss else FLOAT)


def parameters(share: Share, segments: Iterable[tuple[Segment, float]], *, experts: bool | None = None) -> float:
    """How many parameters of these segments (each so many rounds) a device has, before they are divided over data."""
    total = 0.0
    for segment, rounds in segments:
        for each in segment.weights:
            expert = any(kind == EXPERTS for _, kind in each.extent)
            if experts is None or experts == expert:
                total += rounds * share.count(each.extent, whole_tokens=True)
    return total
