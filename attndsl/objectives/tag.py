"""The tag of each word: `tag(tokens, targets)` (Devlin et al., 2019, section 5.3).

A word's tag is asked for at its first token; its further tokens do not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attndsl.diagnostics import error
from attndsl.lazy import np
from attndsl.objectives.base import IGNORED, Batch, Known, Objective, Predict, lengths_of, padded, present
from attndsl.objectives.metrics import NATS, Metric, class_metrics
from attndsl.objectives.predictions import answers
from attndsl.objectives.rows import drawn, spread, tell_cut
from attndsl.records import dataclass

if TYPE_CHECKING:
    import numpy

    from attndsl.data.table import Table

    Array = numpy.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Tagged:
    rows: list[Array]
    targets: list[Array]


class Tag(Objective):
    """`labels` are the names of the tags. Both columns hold lists, or texts with spaces between."""

    def prepare(self, data: Table, say: Callable[[str], None] = lambda text: None) -> Tagged:
        assert self.labels is not None
        rows: list[Array] = []
        targets: list[Array] = []
        cut, room = 0, max(1, self.recipe.length - self.frame)
        tags = data.encode_labels(str(self.choice.options["label"]), self.labels, several=True)
        for number, (words, numbers) in enumerate(zip(data.words(str(self.choice.options["text"])), tags, strict=True)):
            if len(numbers) != len(words):
                raise error(
                    "E0755",
                    f"{data.place(number)} has {len(words):,} words and {len(numbers):,} tags",
                    help="give one tag for each word",
                )
            tokens, firsts = self._encoded(words)
            kept = firsts < room
            target = np.full(min(len(tokens), room), IGNORED, dtype=np.int64)
            target[firsts[kept]] = numbers[kept]
            cut += len(tokens) > room
            rows.append(self.framed(tokens[:room]))
            targets.append(self._framed_targets(target))
        tell_cut(say, cut, len(rows), self.recipe.length)
        return Tagged(rows, targets)

    def _encoded(self, words: Sequence[str]) -> tuple[Array, Array]:
        """The tokens of words, and where each word begins. A word but the first is encoded with a space before it; the
        tokenizers that mark the beginnings of words need that, to the others it is nothing."""
        if not words:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        encoded = self.tokenizer.encode_batch([word if place == 0 else f" {word}" for place, word in enumerate(words)])
        lengths = lengths_of(encoded)
        return np.concatenate(encoded), np.concatenate([[0], np.cumsum(lengths)[:-1]])

    def _framed_targets(self, target: Array) -> Array:
        ignored = np.array([IGNORED], dtype=np.int64)
        before = [ignored] if self.special("begin") is not None else []
        after = [ignored] if self.special("end") is not None else []
        return np.concatenate([*before, target, *after])

    def training(self, data: Tagged, step: int, part: int = 0) -> Batch:
        return self._batch(data, drawn(self.recipe, len(data.rows), step, part))

    def evaluation(self, data: Tagged, batches: int) -> Iterator[Batch]:
        for rows in spread(self.recipe, len(data.rows), batches):
            yield self._batch(data, rows)

    def inputs(self, examples: Sequence[Any]) -> Batch:
        """Sentences: lists of words, texts with spaces between words, or rows with the column for them."""
        rows = [self.framed(self._encoded(self._words(example))[0]) for example in examples]
        self.require_short(rows, "tokens")
        return self._given(rows)

    def starts(self, examples: Sequence[Any]) -> list[Array]:
        """Where each word of the examples has its first token, in the rows that `inputs` gives."""
        before = int(self.special("begin") is not None)
        return [self._encoded(self._words(example))[1] + before for example in examples]

    def _words(self, example: Any) -> list[str]:
        if isinstance(example, Mapping):
            example = example[str(self.choice.options["text"])]
        return example.split() if isinstance(example, str) else [str(word) for word in example]

    def _batch(self, data: Tagged, rows: Array) -> Batch:
        chosen = rows.tolist()
        batch = self._given([data.rows[row] for row in chosen])
        width = batch[self.name("tokens")].shape[1]
        return batch | self.given(targets=padded([data.targets[row] for row in chosen], IGNORED, width))

    def _given(self, rows: Sequence[Array]) -> Batch:
        tokens = padded(rows, self.padding)
        return self.given(tokens=tokens, valid=present(lengths_of(rows), tokens.shape[1]))

    def metrics(self, predict: Predict, data: Tagged, batches: int, loss: float, known: Known) -> list[Metric]:
        assert self.labels is not None
        targets = self.name("targets")
        every = -(-len(data.rows) // self.recipe.batch)
        said = answers(
            predict, self.graph, targets, len(self.labels), self.evaluation(data, max(batches, every)), [targets]
        )
        found = [Metric("loss", loss, NATS)]
        return found + (
            class_metrics(*said, len(self.labels), "token accuracy", against="commonest tag")
            if said is not None
            else []
        )
