"""Each word from those before it, and from those behind it: `both_directions(characters, next_word, previous_word)`
(Peters et al., 2018, section 3.1).

A word is given as its characters; what is to be said is its number among the most frequent words of the text that is
trained on, of which the first stands for all others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from attndsl.choices import Option
from attndsl.data.tokenizers.words import most_frequent
from attndsl.diagnostics import error
from attndsl.lazy import np
from attndsl.objectives.base import IGNORED, Batch, Known, Objective, Predict, Use, lengths_of, padded, present
from attndsl.objectives.draws import TRAINING, Draws
from attndsl.objectives.metrics import NATS, NUMBER, Metric, entropy, loss_metrics, perplexity, unlikelihood
from attndsl.objectives.predictions import by_place, prediction_outputs
from attndsl.objectives.roles import CHARACTERS, NEXT_WORD, PREVIOUS_WORD, VALID, Data
from attndsl.objectives.texts import TokenText
from attndsl.objectives.words import words_of_documents
from attndsl.records import Frozen, replace

if TYPE_CHECKING:
    import numpy

    from attndsl.data.tokenizers import Tokenizer
    from attndsl.objectives.choice import ObjectiveChoice

    Array = numpy.ndarray[Any, Any]

UNKNOWN = "<unknown>"  # which is no word: it would be three


class SpelledText(Frozen, eq=False):
    """The words of a text by their `places` in `letters`, int64 `[different words, longest]`, and for each place in the
    text the numbers of the word behind it and of the one before it (-100 where a document ends or begins)."""

    places: TokenText
    letters: Array
    following: Array
    preceding: Array


class BothDirections(Objective):
    """`labels` are the words that are told apart, in the order of their numbers."""

    name = "both_directions"
    doc = "each word from those before it, and from those behind it"
    data = Data.TEXT
    required = (CHARACTERS, NEXT_WORD, PREVIOUS_WORD)
    optional = (VALID,)
    options: ClassVar = {
        "words": Option(
            "int", 10000, "the words that are told apart: the most frequent ones, and one for all others", 2
        )
    }
    special = ("pad", "begin", "end")
    classes = "next_word"
    scored = None
    answers = ("next_word", "previous_word")
    unit = "words"
    use = Use.EMBED
    does = "turns texts into vectors"
    command = 'embed {run} --text "…"'

    @classmethod
    def labels_in(cls, choice: ObjectiveChoice, tokens: Array, tokenizer: Tokenizer) -> tuple[str, ...]:
        counts: Counter[str] = Counter()
        longest = 0
        for words in words_of_documents(tokens, tokenizer):
            counts.update(words)
            longest = max(longest, len(words))
        if longest < 2:
            raise error("E0704", "the text is too short: no document has two words", help="give more text")
        return (UNKNOWN, *most_frequent(counts, int(choice.number("words")) - 1))

    def prepare(self, data: Any, say: Callable[[str], None] = lambda text: None) -> SpelledText:
        assert self.labels is not None
        assert self.spelling is not None
        documents = list(words_of_documents(data, self.tokenizer))
        different = dict.fromkeys(word for words in documents for word in words)
        numbers = {word: number for number, word in enumerate(different)}
        letters = self.spelling.spelled(list(different), say)
        known = {word: number for number, word in enumerate(self.labels)}
        classes = np.array([known.get(word, 0) for word in different], dtype=np.int64)
        places = np.array([numbers[word] for words in documents for word in words], dtype=np.int32)
        stops = np.cumsum([len(words) for words in documents], dtype=np.int64)
        starts = np.concatenate([[0], stops[:-1]]).astype(np.int64)[: len(stops)]
        following = np.full(len(places), IGNORED, dtype=np.int32)
        preceding = following.copy()
        following[:-1], preceding[1:] = classes[places[1:]], classes[places[:-1]]
        following[stops - 1] = preceding[starts] = IGNORED
        return SpelledText(TokenText(places, starts, stops, starts[:0]), letters, following, preceding)

    def training(self, data: SpelledText, step: int, part: int = 0) -> Batch:
        draws = Draws(TRAINING, self.recipe.seed, step, part)
        return self._batch(data, draws.integers(len(data.places.tokens), self.recipe.batch))

    def evaluation(self, data: SpelledText, batches: int) -> Iterator[Batch]:
        if not len(data.places.tokens):
            return
        places = data.places.spread(batches * self.recipe.batch, self.recipe.length)
        for number in range(0, len(places), self.recipe.batch):
            yield self._batch(data, places[number : number + self.recipe.batch])

    def _batch(self, data: SpelledText, places: Array) -> Batch:
        bounds = data.places.window(places, self.recipe.length)
        rows = data.places.rows(*bounds)
        spans = [range(start, stop) for start, stop in zip(*(each.tolist() for each in bounds), strict=True)]
        return self._given([data.letters[row] for row in rows]) | self.given(
            next_word=padded([data.following[span.start : span.stop] for span in spans], IGNORED),
            previous_word=padded([data.preceding[span.start : span.stop] for span in spans], IGNORED),
        )

    def _given(self, rows: Sequence[Array]) -> Batch:
        characters = padded(rows, self.padding)
        return self.given(characters=characters, valid=present(lengths_of(rows), characters.shape[1]))

    def counted(self, batch: Mapping[str, Array]) -> int:
        return sum(int((batch[self.input(role)] >= 0).sum()) for role in self.answers)

    def inputs(self, examples: Sequence[str]) -> Batch:
        """The words of texts. Raises E0767 for a word that is longer than the model reads."""
        return self._given(self.encoded(examples))

    def metrics(self, predict: Predict, data: SpelledText, batches: int, known: Known) -> list[Metric]:
        """The cross entropy of both directions together and of each, beside what knowing how often each word occurs in
        the held-out text would reach."""
        nats = self._cross_entropies(predict, self.evaluation(data, batches))
        if nats is None:
            return loss_metrics(known)
        against, unigram = "unigram entropy of the words", entropy(data.following[data.following >= 0])
        mean = float(np.mean(nats))
        loss, *minimised = loss_metrics(replace(known, cross_entropy=mean), "loss per word")
        return [
            replace(loss, baseline=unigram, against=against),
            *minimised,
            Metric("perplexity", perplexity(mean), NUMBER, perplexity(unigram), against),
            *(Metric(name, each, NATS) for name, each in zip(("next word", "previous word"), nats, strict=True)),
        ]

    def _cross_entropies(self, predict: Predict, batches: Iterable[Batch]) -> list[float] | None:
        """The cross entropies of the next and of the previous word, in nats; None where no two outputs say them. The
        first output with a number for each word says the next one, the second the one before."""
        names = [self.input(role) for role in self.answers]
        lost, counts = np.zeros(2), np.zeros(2)
        for batch in batches:
            given = {name: array for name, array in batch.items() if name not in names}
            outputs = prediction_outputs(self.graph, names[0], len(self.labels or ()), given)
            if len(outputs) < 2:
                return None
            said = predict(given, [info.name for info in outputs[:2]])
            for way, (name, info) in enumerate(zip(names, outputs[:2], strict=True)):
                logits = by_place(np.asarray(said[info.name]), self.graph, info, name)
                there = batch[name] >= 0
                lost[way] += unlikelihood(logits[there].astype(np.float64), batch[name][there])
                counts[way] += there.sum()
        return (lost / np.maximum(counts, 1)).tolist() if counts.all() else None
