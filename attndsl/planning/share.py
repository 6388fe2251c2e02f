"""What one device has of a model's work: the extent of each piece by a plan, and what it keeps."""

from __future__ import annotations

import math

from attndsl.planning.plan import MASTER, ParallelPlan, ParameterKind
from attndsl.planning.work import EXPERTS, INNER, ROUTED, TOKENS, Extent, Keeping, Segment, Workload, batch_axis
from attndsl.sizes import Size

CHUNK = 2**24
"""Scores that a chunked loss has at a time."""


class Share:
    """What one device has of each extent."""

    def __init__(
        self, work: Workload, plan: ParallelPlan, tokens: dict[str, int], lengths: dict[Size, int] | None = None
    ) -> None:
        self.work, self.plan, self.tokens = work, plan, tokens
        self.sizes = dict(work.graph.sizes) | tokens
        self.rows = math.prod(tokens.values())  # of tokens, in a micro-batch
        self._lengths = {} if lengths is None else lengths  # of sizes, at these tokens
        self._parameters: dict[tuple[int, ParameterKind, int], float] = {}
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

    def whole_batch(self) -> Share:
        """The same for all micro-batches at once."""
        rows = {batch_axis(self.work): self.plan.micro_batch * self.plan.micro_batches}
        return Share(self.work, self.plan, self.tokens | rows)

    def kept(self, segment: Segment) -> float:
        """Bytes that one round keeps of one micro-batch until the backward pass."""
        key = (id(segment), self.plan.recompute)
        if key not in self._kept:
            self._kept[key] = _kept_bytes(self, segment)
        return self._kept[key]

    def parameters(self, segment: Segment, kind: ParameterKind) -> float:
        """How many parameters of a kind of a segment's one round a device has, before they are divided over data."""
        devices = self.plan.dividing(ParameterKind(kind.experts)).size if self.plan.evenly else 1
        key = (id(segment), kind, devices)
        if key not in self._parameters:
            own = (each for each in segment.weights if self._kind(each, devices) == kind)
            self._parameters[key] = sum(self.count(each, whole_tokens=True) for each in own)
        return self._parameters[key]

    def _kind(self, weight: Extent, devices: int) -> ParameterKind:
        degrees = {INNER: self.plan.tensor, EXPERTS: self.plan.experts}
        free = (self.length(size) for size, kind in weight if degrees.get(kind, 1) == 1)
        even = devices == 1 or any(length % devices == 0 for length in free)
        return ParameterKind(any(kind == EXPERTS for _, kind in weight), even)

    def held(self, extent: Extent) -> float:
        """How many elements of it a device has: of rows that go to experts those of all devices that share these, where
        they are gathered."""
        gathered = self.plan.dispatch == "allgather" and any(kind == ROUTED for _, kind in extent)
        return self.count(extent) * (self.plan.experts if gathered else 1)

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


def _kept_bytes(share: Share, segment: Segment) -> float:
    """Full recomputation keeps what enters a round. The selective one keeps all but the scores where these are
    materialised; else every second product, attention's result, and what enters (torchtitan's policy)."""
    plan = share.plan
    again = plan.recompute if segment.carried else "none"
    if again == "full":
        return sum(plan.float_bytes * share.count(extent) for extent in segment.carried)
    if again == "selective" and plan.attention != "materialised":
        return sum(
            _bytes(share, each) / (2 if each.maker == "product" else 1) for each in segment.kept["compiled"]
        )  # fmt: skip
    kept = segment.kept[plan.kernels]
    ahead = sum(plan.float_bytes * share.count(extent) for extent in segment.ahead)
    return ahead + sum(_bytes(share, each) for each in kept if not (each.scores and again == "selective"))


def loss_bytes(share: Share, segment: Segment) -> float:
    """What a loss needs when its gradient is made: as much as it keeps, in another precision scores and their gradient
    as floats of the model, and where it is not one kernel, the gradient of what is picked from its logarithms
    (`nll_loss` makes it whole)."""
    plan = share.plan
    made_by = (each for each in segment.products if not each.sliding)
    made = max((share.count(p.rows, p.columns, whole_tokens=True) for p in made_by), default=0.0)
    if segment.ahead:
        return 2 * MASTER * min(made, CHUNK)
    kept = sum(_bytes(share, each) for each in segment.kept[plan.kernels] if each.loss)
    scores = 0 if plan.precision == "fp32" else 2 * plan.float_bytes * made
    if plan.loss == "fused":
        return kept + scores
    words = (kind for product in segment.products for _, kind in product.columns)
    if plan.kernels == "eager" and plan.tensor > 1 and INNER in words:
        kept *= 2  # of a logarithm over parts also the scores, less their largest, and their exponentials
    return 2 * kept + scores


def backward_bytes(share: Share, segment: Segment) -> float:
    """What the backward pass of one round has at most, operator by operator, beside what is kept when it begins:
    gradients of activations, and of divided parameters the whole with its gradient and that in parts."""
    plan = share.plan
    again = plan.recompute != "none"  # it has gathered them, and keeps them
    most = now = 0.0
    for step in segment.back:
        now += sum(plan.float_bytes * share.held(extent) for extent in step.made)
        whole = max((share.count(extent, whole_tokens=True) for extent in step.parameters), default=0.0)
        most = max(most, now + ((2 if again else 3) * MASTER * whole if plan.layerwise else 0))
        now -= sum(plan.float_bytes * share.held(extent) for extent in step.done)
        now -= sum(share.held(extent) * _width(share, size, loss=False) for extent, size in step.read)
    return most


def _bytes(share: Share, each: Keeping) -> float:
    return share.held(each.extent) * _width(share, each.bytes, loss=each.loss)


def _width(share: Share, bytes: int, *, loss: bool) -> int:
    """Bytes of an element, of which there are `bytes` in float32."""
    return bytes if bytes != MASTER or loss else share.plan.float_bytes
