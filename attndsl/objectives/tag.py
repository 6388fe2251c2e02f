"""The tag of each word: `tag(tokens, targets)` (Devlin et al., 2019, section 5.3).

A word's tag is asked for at its first token; its further tokens do not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from attndsl.choices import Option
from attndsl.diagnostics import error
from attndsl.lazy import Array, np
from attndsl.objectives.base import IGNORED, Batch, Known, Objective, Predict, Use, lengths_of, padded, present
from attndsl.objectives.metrics import Metric, class_metrics, loss_metrics
from attndsl.objectives.predictions import Prediction, answers, likeliest, said
from attndsl.objectives.roles import TARGETS, TOKENS, VALID, Data
from attndsl.objectives.rows import drawn, spread, tell_cut
from attndsl.records import Frozen

if TYPE_CHECKING:
    from attndsl.data.table import Table
    from attndsl.objectives.choice import ObjectiveChoice


class Tagged(Frozen, eq=False):
    rows: list[Array]
    targets: list[Array]


class Tag(Objective):
    """`labels` are the names of the tags. Both columns hold lists, or texts with spaces between."""

    name = "tag"
    doc = "the tag of each word"
    data = Data.RECORDS
    required = (TOKENS, TARGETS)
    optional = (VALID,)
    options: ClassVar = {
        "text": Option("word", "tokens", "the column with the words"),
        "label": Option("word", "tags", "the column with a tag for each word"),
    }
    special = ("pad",)
    classes = "targets"
    reads = ("text", "label")
    shows = ("text",)
    use = Use.PREDICT
    does = "predicts the tags of words"
    command = 'predict {run} --text "…"'
    takes = "a text, or a list of words"
    places, says, ranks = "word", "tag", False

    @classmethod
    def labels_of(cls, choice: ObjectiveChoice, table: Table) -> tuple[str, ...]:
        return tuple(table.labels_of(str(choice.options["label"]), several=True))

    @classmethod
    def texts_of(cls, choice: ObjectiveChoice, table: Table) -> list[str]:
        return [" ".join(words) for words in cls.examples_of(choice, table)]

    @classmethod
    def examples_of(cls, choice: ObjectiveChoice, table: Table) -> list[Any]:
        return list(table.words(str(choice.options["text"])))

    @classmethod
    def accepts(cls, example: Any) -> bool:
        return isinstance(example, str) or (
            isinstance(example, (tuple, list)) and all(isinstance(word, str) for word in example)
        )

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
        before = [ignored] if self.special_token("begin") is not None else []
        after = [ignored] if self.special_token("end") is not None else []
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
        before = int(self.special_token("begin") is not None)
        return [self._encoded(self._words(example))[1] + before for example in examples]

    def _words(self, example: Any) -> list[str]:
        if isinstance(example, Mapping):
            example = example[str(self.choice.options["text"])]
        return example.split() if isinstance(example, str) else [str(word) for word in example]

    def _batch(self, data: Tagged, rows: Array) -> Batch:
        chosen = rows.tolist()
        batch = self._given([data.rows[row] for row in chosen])
        width = batch[self.input("tokens")].shape[1]
        return batch | self.given(targets=padded([data.targets[row] for row in chosen], IGNORED, width))

    def _given(self, rows: Sequence[Array]) -> Batch:
        tokens = padded(rows, self.padding)
        return self.given(tokens=tokens, valid=present(lengths_of(rows), tokens.shape[1]))

    def metrics(self, predict: Predict, data: Tagged, batches: int, known: Known) -> list[Metric]:
        assert self.labels is not None
        targets = self.input("targets")
        every = -(-len(data.rows) // self.recipe.batch)
        answered = answers(
            predict, self.graph, targets, len(self.labels), self.evaluation(data, max(batches, every)), [targets]
        )
        found = loss_metrics(known)
        return found + (
            class_metrics(*answered, len(self.labels), "token accuracy", against="commonest tag")
            if answered is not None
            else []
        )

    def predictions(self, predict: Predict, examples: Sequence[Any], top: int) -> list[list[Prediction]]:
        """For each sentence one prediction a word."""
        logits = said(self, predict, self.inputs(examples), "targets", len(self.labels or ()) or 1)
        names = self.labels or tuple(map(str, range(logits.shape[2])))
        found = []
        for row, example, starts in zip(logits, examples, self.starts(examples), strict=True):
            tagged = zip(self._words(example), starts.tolist(), strict=True)
            found.append([likeliest(word, row[at, : len(names)], names.__getitem__, top) for word, at in tagged])
        return found
