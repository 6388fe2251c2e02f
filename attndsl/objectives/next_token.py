"""Every token from those before it: `next_token(tokens, targets)` (Radford et al., 2018, equation 1)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from attndsl.lazy import np
from attndsl.objectives.base import Batch, Known, Objective, Predict, Use, padded
from attndsl.objectives.roles import TARGETS, TOKENS, Data

if TYPE_CHECKING:
    import numpy

    from attndsl.data.batches import NextToken
    from attndsl.objectives.metrics import Metric

    Array = numpy.ndarray[Any, Any]


class NextTokens(Objective):
    """Windows of running text, cut anywhere: `attndsl.data.batches.NextToken` says which."""

    name = "next_token"
    doc = "every token from those before it"
    data = Data.TEXT
    required = (TOKENS, TARGETS)
    says_every_token = True
    use = Use.CONTINUE
    does = "writes text"
    command = 'generate {run} --prompt "…"'

    @property
    def windows(self) -> NextToken:
        from attndsl.data.batches import NextToken

        recipe = self.recipe
        return NextToken((self.input("tokens"), self.input("targets")), recipe.batch, recipe.length, recipe.seed)

    def prepare(self, data: Any, say: Callable[[str], None] = lambda text: None) -> Array:
        return np.asanyarray(data)

    def training(self, data: Array, step: int, part: int = 0) -> Batch:
        return self.windows.training(data, step, part)

    def evaluation(self, data: Array, batches: int) -> Iterator[Batch]:
        return self.windows.evaluation(data, batches)

    def counted(self, batch: Any) -> int:
        return int(batch[self.input("tokens")].size)

    def inputs(self, examples: Sequence[str]) -> Batch:
        """The tokens of texts; the shorter of several are filled up on the right."""
        from attndsl.objectives.texts import encode_typed

        rows = encode_typed(self.tokenizer, examples)
        self.require_short(rows, "tokens")
        return {self.input("tokens"): padded(rows, self.padding)}

    def metrics(self, predict: Predict, data: Array, batches: int, known: Known) -> list[Metric]:
        from attndsl.objectives.metrics import NATS, NUMBER, Metric, loss_metrics

        found, nats = loss_metrics(known, "loss per token"), known.cross_entropy
        if nats is None:
            return found
        if known.bytes_per_token:
            against = "unigram entropy of the text" if known.entropy else ""
            found.append(Metric("loss per byte", nats / known.bytes_per_token, NATS, known.entropy or None, against))
        return [*found, Metric("perplexity", math.exp(nats) if nats < 700 else math.inf, NUMBER)]
