"""What one device has of a model's work: the extent of each piece by a plan, and what it keeps."""

from __future__ import annotations

import math

from attndsl.planning.plan import ParallelPlan
from attndsl.planning.work import EXPERTS, INNER, TOKENS, Extent, Keeping, Segment, Workload
from attndsl.sizes import Size

FLOAT = 2  # bytes of a float of a model that computes in bfloat16
MASTER = 4  # bytes of a float of its gradients, masters and states


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
