"""One text from another, with teacher forcing: what encoder-decoders are given, whatever the source was made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from attndsl.lazy import Array, np
from attndsl.objectives.base import IGNORED, Batch, Known, Objective, Predict, Use, lengths_of, padded, present
from attndsl.objectives.metrics import Metric, class_metrics, loss_metrics
from attndsl.objectives.predictions import answers, require_output
from attndsl.objectives.roles import SOURCE, TARGET, TARGETS, VALID

if TYPE_CHECKING:
    from attndsl.decoding.sequences import Logits


class Sequences(Objective):
    """`source` with `valid`; `target`, which begins with the start token; `targets`, the same one place further on, to
    its end, with -100 behind it."""

    required = (SOURCE, TARGET, TARGETS)
    optional = (VALID,)
    use = Use.ANSWER
    command = 'generate {run} --prompt "…"'

    def sources(self, rows: Sequence[Array]) -> Batch:
        """What an encoder is given of rows that are framed already; E0752 for one that is too long."""
        self.require_short(rows, "source")
        return self._sources(rows)

    def pairs(self, sources: Sequence[Array], targets: Sequence[Array], whole: Sequence[bool] | Array) -> Batch:
        """A batch from sources that are framed already, and targets that are not; `whole` says which of these were not
        cut, and so end in the token for it."""
        both = [self.shown_and_said(row, whole=bool(end)) for row, end in zip(targets, whole, strict=True)]
        return self._sources(sources) | self.given(
            target=padded([shown for shown, _ in both], self.padding),
            targets=padded([said for _, said in both], IGNORED),
        )

    def _sources(self, rows: Sequence[Array]) -> Batch:
        source = padded(rows, self.padding)
        return self.given(source=source, valid=present(lengths_of(rows), source.shape[1]))


def token_metrics(objective: Objective, predict: Predict, batches: Iterable[Batch], known: Known) -> list[Metric]:
    """Loss and accuracy over the tokens of the targets, each said after the right ones before it."""
    targets = objective.input("targets")
    found = loss_metrics(known, "loss per token")
    said = answers(predict, objective.graph, targets, objective.tokenizer.vocab, batches, [targets])
    if said is None:
        return found
    vocab = objective.tokenizer.vocab
    return found + class_metrics(*said, vocab, "tokens", macro=False, against="most frequent token")


def next_logits(objective: Objective, predict: Predict, given: Mapping[str, Array]) -> Logits:
    """The function that `attndsl.decoding.sequences` asks: the model is run anew for every token, on the sources of the
    rows that are still being written. Of what is `given`, the target is left out. Raises E0753 where no output says the
    next token."""
    target, vocab = objective.input("target"), objective.tokenizer.vocab
    hidden = (target, objective.choice.roles.get("targets"))
    sources = {name: array for name, array in given.items() if name not in hidden}
    output = require_output(objective.graph, target, vocab, {*sources, target})
    axes = next(info.value.type.axes for info in objective.graph.inputs if info.name == target)
    places = [output.value.type.index(axis) for axis in axes]

    def logits(prefixes: Array, rows: Array) -> Array:
        batch = {name: array[rows] for name, array in sources.items()} | {target: prefixes}
        found = np.moveaxis(np.asarray(predict(batch, [output.name])[output.name]), places, (0, 1))
        # A model's table may be larger than the tokenizer (padding): the further numbers mean nothing.
        last: Array = found[:, -1, :vocab]
        return last

    return logits
