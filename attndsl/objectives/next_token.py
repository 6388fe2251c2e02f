"""Every token from those before it: `next_token(tokens, targets)` (Radford et al., 2018, equation 1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from attndsl.choices import Option
from attndsl.lazy import Array, np
from attndsl.objectives.base import Batch, Known, Objective, Predict, Use, padded
from attndsl.objectives.roles import TARGETS, TOKENS, Data

if TYPE_CHECKING:
    from attndsl.data.batches import NextToken, Segments
    from attndsl.objectives.metrics import Metric


class NextTokens(Objective):
    """Windows of running text (`attndsl.data.batches`): cut anywhere, or segments that follow one another from batch to
    batch, so that the states of their rows go on."""

    name = "next_token"
    doc = "every token from those before it"
    data = Data.TEXT
    required = (TOKENS, TARGETS)
    options: ClassVar[Mapping[str, Option]] = {
        "segments": Option(
            "bool", "auto", "whether rows go on where they ended in the batch before (auto: if the model has states)"
        ),
    }
    says_every_token = True
    use = Use.CONTINUE
    does = "writes text"
    command = 'generate {run} --prompt "…"'

    @property
    def in_order(self) -> bool:
        chosen = self.choice.options["segments"]
        return len(self.graph.shared_states) < len(self.graph.states) if chosen == "auto" else bool(chosen)

    @property
    def windows(self) -> NextToken | Segments:
        from attndsl.data.batches import NextToken, Segments

        recipe, inputs = self.recipe, (self.input("tokens"), self.input("targets"))
        if self.in_order:
            return Segments(inputs, recipe.batch, recipe.length, recipe.accumulate)
        return NextToken(inputs, recipe.batch, recipe.length, recipe.seed)

    def goes_on(self, data: Array, step: int) -> bool:
        return self.windows.goes_on(data, step)

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
        from attndsl.objectives.metrics import NATS, NUMBER, Metric, loss_metrics, perplexity

        found, nats = loss_metrics(known, "loss per token"), known.cross_entropy
        if nats is None:
            return found
        if known.bytes_per_token:
            against = "unigram entropy of the text" if known.entropy else ""
            found.append(Metric("loss per byte", nats / known.bytes_per_token, NATS, known.entropy or None, against))
        return [*found, Metric("perplexity", perplexity(nats), NUMBER)]
