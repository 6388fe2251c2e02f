"""One text from another, with teacher forcing: `sequence_to_sequence(source, target, targets)`.

Sutskever et al., "Sequence to sequence learning with neural networks", 2014. Label smoothing is part of the model's
loss.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from attndsl.choices import Option
from attndsl.decoding.sampling import Sampling
from attndsl.decoding.sequences import sample
from attndsl.lazy import Array, np
from attndsl.objectives.base import Batch, Known, Predict
from attndsl.objectives.metrics import Metric, text_metrics
from attndsl.objectives.predictions import prediction_output
from attndsl.objectives.roles import Data
from attndsl.objectives.rows import drawn, spread, tell_cut
from attndsl.objectives.sequences import Sequences, next_logits, token_metrics
from attndsl.records import Frozen

if TYPE_CHECKING:
    from attndsl.data.table import Table

WRITTEN_OUT = 256  # how many held-out rows are answered in full, one token after the other


class Pairs(Frozen, eq=False):
    """Sources as the encoder is given them, targets as they are, and which of these are `whole`: nothing was cut
    off."""

    sources: list[Array]
    targets: list[Array]
    whole: list[bool]


class SequenceToSequence(Sequences):
    """Source `[begin] text [end]`; target and targets as in `Sequences`."""

    name = "sequence_to_sequence"
    doc = "one text from another"
    data = Data.RECORDS
    options: ClassVar = {
        "from": Option("word", "source", "the column with the source"),
        "to": Option("word", "target", "the column with the target"),
    }
    special = ("pad", "end", "start")
    reads = ("from", "to")
    shows = ("from",)
    does = "turns one text into another"

    def prepare(self, data: Table, say: Callable[[str], None] = lambda text: None) -> Pairs:
        first, second = (data.texts(str(self.choice.options[name])) for name in ("from", "to"))
        sources, targets = self.tokenizer.encode_batch(first), self.tokenizer.encode_batch(second)
        length, room = self.recipe.length, self.recipe.length - self.frame
        cut = sum(len(a) > room or len(b) > room for a, b in zip(sources, targets, strict=True))
        tell_cut(say, cut, len(sources), length, "rows")
        framed = [self.framed(row[:room]) for row in sources]
        return Pairs(framed, [row[:room] for row in targets], [len(row) <= room for row in targets])

    def training(self, data: Pairs, step: int, part: int = 0) -> Batch:
        return self._batch(data, drawn(self.recipe, len(data.sources), step, part))

    def evaluation(self, data: Pairs, batches: int) -> Iterator[Batch]:
        for rows in spread(self.recipe, len(data.sources), batches):
            yield self._batch(data, rows)

    def _batch(self, data: Pairs, rows: Array) -> Batch:
        chosen = rows.tolist()
        sources, targets = [data.sources[row] for row in chosen], [data.targets[row] for row in chosen]
        return self.pairs(sources, targets, [data.whole[row] for row in chosen])

    def inputs(self, examples: Sequence[Any]) -> Batch:
        """Sources: texts, or rows with the column for them."""
        column = str(self.choice.options["from"])
        written = [example if isinstance(example, str) else example[column] for example in examples]
        return self.sources([self.framed(row) for row in self.tokenizer.encode_batch(written)])

    def metrics(self, predict: Predict, data: Pairs, batches: int, known: Known) -> list[Metric]:
        found = token_metrics(self, predict, self.evaluation(data, batches), known)
        output = prediction_output(
            self.graph,
            self.input("targets"),
            self.tokenizer.vocab,
            set(self.choice.roles.values()) - {self.input("targets")},
        )
        if output is None or not data.sources:
            return found
        longest = min(self.recipe.length, max(map(len, data.targets)) + 8)
        start, end = [self.token("start")], self.special_token("end")
        truth: list[str] = []
        written: list[str] = []
        for rows in spread(self.recipe, len(data.sources), -(-WRITTEN_OUT // self.recipe.batch)):
            logits = next_logits(self, predict, self._batch(data, rows))
            answers = sample(logits, len(rows), start, end, longest, Sampling(temperature=0))
            written += [self.text(answer.tokens) for answer in answers]
            truth += [self.text(data.targets[row]) for row in rows.tolist()]
        common = Counter(truth).most_common(1)[0][0]
        return found + text_metrics(truth, written, common)

    def text(self, tokens: Sequence[int] | Array) -> str:
        """The text of tokens, special ones left out."""
        return self.tokenizer.decode(np.asarray(tokens).tolist(), skip_special=True).strip()
