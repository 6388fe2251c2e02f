"""The class of a text, or of two: `classify(tokens, label)`.

`[begin] text [end]`, or `[begin] text [end] pair [end]` with segments 0 and 1 (Devlin et al., 2019, section 4.1), read
at the first token or, with `last`, at the last (Radford et al., 2018, section 3.3). With `targets` the text is to be
said as well, token by token: the language model's loss beside the classifier's (equation 5 there).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from attndsl.choices import Option
from attndsl.diagnostics import error
from attndsl.lazy import Array, np
from attndsl.objectives.base import IGNORED, Batch, Known, Objective, Predict, Use, lengths_of, padded, present
from attndsl.objectives.metrics import Metric, class_metrics, loss_metrics
from attndsl.objectives.predictions import Prediction, answers, whole_predictions
from attndsl.objectives.roles import LABEL, LAST, SEGMENT, TARGETS, TOKENS_OR_CHARACTERS, VALID, Data
from attndsl.objectives.rows import drawn, spread, tell_cut
from attndsl.records import Frozen

if TYPE_CHECKING:
    from attndsl.data.table import Table


class Classified(Frozen, eq=False):
    """Texts with their special tokens, which segment each token is in, what is to be said after each token, and the
    number of each text's class."""

    rows: list[Array]
    segments: list[Array]
    said: list[Array]
    labels: Array


class Classify(Objective):
    """`labels` are the names of the classes, in the order of their numbers."""

    name = "classify"
    doc = "the class of a text, or of two"
    data = Data.RECORDS
    required = (TOKENS_OR_CHARACTERS, LABEL)
    optional = (VALID, SEGMENT, TARGETS, LAST)
    options: ClassVar = {
        "text": Option("word", "text", "the column with the text"),
        "pair": Option("word", "none", "the column with a second text; `none`: there is none"),
        "label": Option("word", "label", "the column with the class"),
    }
    special = ("pad",)
    classes = scored = "label"
    reads = ("text", "pair", "label")
    shows = ("text", "pair")
    use = Use.PREDICT
    does = "predicts the class of a text"
    command = 'predict {run} --text "…"'
    takes = "a text, or a pair of them"
    takes_pairs = True

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        if self.spelling is not None and "targets" in self.choice.roles:
            raise error(
                "E0722",
                f"`{self.input('targets')}` are tokens, and `{self.input('tokens')}` has the characters of words",
                help=f"leave `targets={self.input('targets')}` out",
            )

    def prepare(self, data: Table, say: Callable[[str], None] = lambda text: None) -> Classified:
        assert self.labels is not None
        other = self.choice.column("pair")
        encoded = self.encoded(data.texts(str(self.choice.options["text"])), say)
        more = self.encoded(data.texts(other), say) if other else None
        labels = data.encode_labels(str(self.choice.options["label"]), self.labels)
        cuts, length = list[tuple[bool, bool]](), self.recipe.length
        for place, one in enumerate(encoded):
            two = more[place] if more is not None else None
            kept = self._cut(one, two, length)
            cuts.append((len(kept[0]) < len(one), two is not None and len(kept[1]) < len(two)))
            encoded[place] = kept[0]
            if more is not None:
                more[place] = kept[1]
        tell_cut(say, sum(map(any, cuts)), len(encoded), length, unit=self.places_in)
        rows, segments = self._framed(encoded, more)
        said = [self._said(row, len(one), *cut) for row, one, cut in zip(rows, encoded, cuts, strict=True)]
        return Classified(rows, segments, said, labels)

    def _said(self, row: Array, first: int, first_cut: bool, second_cut: bool) -> Array:
        """What comes after each token of a row: the row, one place further on. Of a text that was cut there is no end
        to be learnt; `first` is how many tokens the first text has."""
        said = row[1:].copy()
        if self.framing("end") is not None:
            if first_cut:
                said[(self.framing("begin") is not None) + first - 1] = IGNORED
            if second_cut:
                said[-1] = IGNORED
        return said

    def _cut(self, one: Array, two: Array | None, length: int) -> tuple[Array, Array]:
        """Both texts without what is too much: the end of the longer one, token by token, as BERT's code does."""
        room = max(1, length - self.frame - (two is not None and self.framing("end") is not None))
        if two is None:
            return one[:room], one[:0]
        a, b = len(one), len(two)
        if a + b > room:
            a, b = (min(a, max(room - b, (room + 1) // 2)), min(b, max(room - a, room // 2)))
        return one[:a], two[:b]

    def training(self, data: Classified, step: int, part: int = 0) -> Batch:
        return self._batch(data, drawn(self.recipe, len(data.rows), step, part))

    def evaluation(self, data: Classified, batches: int) -> Iterator[Batch]:
        for rows in spread(self.recipe, len(data.rows), batches):
            yield self._batch(data, rows)

    def inputs(self, examples: Sequence[Any]) -> Batch:
        """Texts; pairs of them; or rows with the columns for them. Raises E0749 where some are pairs and some are not,
        and E0752."""
        text, other = str(self.choice.options["text"]), self.choice.column("pair")
        first, second = [], []
        for example in examples:
            if isinstance(example, Mapping):
                first.append(example[text])
                second += [example[other]] if other else []
            elif isinstance(example, str):
                first.append(example)
            else:
                first.append(example[0])
                second.append(example[1])
        if second and len(second) < len(first):
            raise error(
                "E0749", "some of the examples are pairs of texts, and some are not", help="ask for them separately"
            )
        rows, segments = self._framed(self.encoded(first), self.encoded(second) if second else None)
        self.require_short(rows, "tokens")
        given = self._given(rows, segments)
        return given | self.given(
            targets=padded([row[1:] for row in rows], IGNORED, given[self.input("tokens")].shape[1])
        )

    def _framed(self, first: Sequence[Array], second: Sequence[Array] | None) -> tuple[list[Array], list[Array]]:
        rows = [self.framed(row) for row in first]
        segments = [np.zeros(len(row), dtype=np.int64) for row in rows]
        if second is not None:
            ends = [self.framed(row, begin=False) for row in second]
            segments = [
                np.concatenate([segment, np.ones(len(row), dtype=np.int64)])
                for segment, row in zip(segments, ends, strict=True)
            ]
            rows = [np.concatenate([one, two]) for one, two in zip(rows, ends, strict=True)]
        return rows, segments

    def _batch(self, data: Classified, rows: Array) -> Batch:
        chosen = rows.tolist()
        batch = self._given([data.rows[row] for row in chosen], [data.segments[row] for row in chosen])
        said = padded([data.said[row] for row in chosen], IGNORED, batch[self.input("tokens")].shape[1])
        return batch | self.given(label=data.labels[rows], targets=said)

    def _given(self, rows: Sequence[Array], segments: Sequence[Array]) -> Batch:
        tokens, lengths = padded(rows, self.padding), lengths_of(rows)
        width = tokens.shape[1]
        return self.given(
            tokens=tokens,
            valid=present(lengths, width),
            segment=padded(segments, 0, width),
            last=np.maximum(lengths - 1, 0),
        )

    def counted(self, batch: Mapping[str, Array]) -> int:
        return len(batch[self.input("label")])

    def metrics(self, predict: Predict, data: Classified, batches: int, known: Known) -> list[Metric]:
        assert self.labels is not None
        label = self.input("label")
        hidden = [label, *([self.input("targets")] if "targets" in self.choice.roles else [])]
        every = -(-len(data.rows) // self.recipe.batch)
        said = answers(predict, self.graph, label, len(self.labels), self.evaluation(data, max(batches, every)), hidden)
        found = loss_metrics(known)
        return found + (class_metrics(*said, len(self.labels)) if said is not None else [])

    def predictions(self, predict: Predict, examples: Sequence[Any], top: int) -> list[list[Prediction]]:
        """For each example one prediction, its class."""
        given = self.inputs(examples)
        given.pop(self.choice.roles.get("targets", ""), None)  # an answer
        return whole_predictions(self, predict, given, top)
