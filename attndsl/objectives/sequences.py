"""One text from another, with teacher forcing: what encoder-decoders are given, whatever the source was made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attndsl.lazy import np
from attndsl.objectives.base import IGNORED, Batch, Objective, Predict, lengths_of, padded, present
from attndsl.objectives.metrics import NATS, Metric, class_metrics
from attndsl.objectives.predictions import answers

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]


class Sequences(Objective):
    """`source` with `valid`; `target`, which begins with the start token; `targets`, the same one place further on, to
    its end, with -100 behind it."""

    def sources(self, rows: Sequence[Array]) -> Batch:
        """What an encoder is given of rows that are framed already; E0752 for one that is too long."""
        self.require_short(rows, "source")
        return self._sources(rows)

    def pairs(self, sources: Sequence[Array], targets: Sequence[Array]) -> Batch:
        """A batch from sources that are framed already, and targets that are not."""
        both = [self.shown_and_said(row) for row in targets]
        return self._sources(sources) | self.given(
            target=padded([shown for shown, _ in both], self.padding),
            targets=padded([said for _, said in both], IGNORED),
        )

    def _sources(self, rows: Sequence[Array]) -> Batch:
        source = padded(rows, self.padding)
        return self.given(source=source, valid=present(lengths_of(rows), source.shape[1]))

    def positions(self, batch: Mapping[str, Array]) -> int:
        return int(batch[self.name("source")].size + batch[self.name("target")].size)


def token_metrics(objective: Objective, predict: Predict, batches: Iterable[Batch], loss: float) -> list[Metric]:
    """Loss and accuracy over the tokens of the targets, each said after the right ones before it."""
    targets = objective.name("targets")
    found = [Metric("loss per token", loss, NATS)]
    said = answers(predict, objective.graph, targets, objective.tokenizer.vocab, batches, [targets])
    if said is None:
        return found
    vocab = objective.tokenizer.vocab
    return found + class_metrics(*said, vocab, "tokens", macro=False, against="most frequent token")


def greedy(
    predict: Predict, objective: Objective, batch: Mapping[str, Array], output: str, longest: int
) -> list[Array]:
    """What the model says to the sources of a batch, the likeliest token each time, until it ends or is `longest`."""
    target, count = objective.name("target"), len(batch[objective.name("source")])
    hidden = {objective.name("target"), objective.name("targets")}
    given = {name: array for name, array in batch.items() if name not in hidden}
    end, info = objective.special("end"), next(i for i in objective.graph.outputs if i.name == output)
    axes = next(i for i in objective.graph.inputs if i.name == target).value.type.axes
    places = [info.value.type.index(axis) for axis in axes]
    shown = np.full((count, 1), objective.token("start"), dtype=np.int64)
    over = np.zeros(count, dtype=bool)
    while shown.shape[1] <= longest and not over.all():
        logits = np.moveaxis(np.asarray(predict({**given, target: shown}, [output])[output]), places, (0, 1))
        said = logits[:, -1, : objective.tokenizer.vocab].argmax(axis=-1)
        shown = np.concatenate([shown, np.where(over, objective.padding, said)[:, None]], axis=1)
        over |= said == end
    return [
        row[1:] if end is None or not (row == end).any() else row[1 : int(np.argmax(row[1:] == end)) + 1]
        for row in shown
    ]
