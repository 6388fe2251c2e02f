"""Tokens that were hidden: `masked_tokens(tokens, targets)` (Devlin et al., 2019, section 3.1 and appendix A.1).

A share of the tokens of a text (15 %, rounded, at least one) is to be found again. The mask token stands for 80 % of
these, a random token for 10 %, the rest stay as they are. With `next`, a text is two pieces that may or may not follow
each other. Whole-word masking chooses words in a random order, as long as they fit into the number of tokens wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from attndsl.choices import Option
from attndsl.diagnostics import error
from attndsl.lazy import Array, np
from attndsl.objectives.base import IGNORED, Batch, Known, Objective, Predict, Use, lengths_of, padded, present
from attndsl.objectives.draws import EVALUATION, TRAINING, Draws, choose
from attndsl.objectives.metrics import Metric, class_metrics, loss_metrics
from attndsl.objectives.predictions import Prediction, answers, likeliest, said
from attndsl.objectives.roles import NEXT, SEGMENT, TARGETS, TOKENS, VALID, Data
from attndsl.objectives.texts import TokenText, encode_typed

_TRIES = 10  # to find a place in another document


class MaskedTokens(Objective):
    """`[begin] text [end]`, or with `next` `[begin] one [end] other [end]`, segments 0 and 1."""

    name = "masked_tokens"
    doc = "tokens that were hidden, and whether one piece of text follows the other"
    data = Data.TEXT
    required = (TOKENS, TARGETS)
    optional = (VALID, SEGMENT, NEXT)
    options: ClassVar = {
        "share": Option("float", 0.15, "share of the tokens to predict", 1e-9, 1),
        "mask": Option("float", 0.8, "share of these replaced by the mask token", 0, 1),
        "random": Option("float", 0.1, "share of these replaced by a random token; the rest stay", 0, 1),
        "whole_words": Option("bool", False, "choose whole words, all tokens of each"),
    }
    special = ("mask", "pad")
    use = Use.PREDICT
    does = "fills in hidden tokens"
    command = 'predict {run} --text "… {mask} …"'
    takes = "a text, or a pair of them"
    takes_pairs = True
    places, says = "mask", "token"

    @property
    def paired(self) -> bool:
        return "next" in self.choice.roles

    @property
    def room(self) -> int:
        """How many tokens of text go into a row."""
        return max(2, self.recipe.length - self.frame - (self.special_token("end") is not None and self.paired))

    def prepare(self, data: Any, say: Callable[[str], None] = lambda text: None) -> TokenText:
        text = TokenText.of(data, self.tokenizer)
        return text

    def training(self, data: TokenText, step: int, part: int = 0) -> Batch:
        draws = Draws(TRAINING, self.recipe.seed, step, part)
        return self._batch(data, draws, self._places(data, draws, self.recipe.batch))

    def evaluation(self, data: TokenText, batches: int) -> Iterator[Batch]:
        if not len(data.starts):
            return
        places = data.spread(batches * self.recipe.batch, self.room)
        for number in range(0, len(places), self.recipe.batch):
            draws = Draws(EVALUATION, number)
            yield self._batch(data, draws, places[number : number + self.recipe.batch])

    def inputs(self, examples: Sequence[Any]) -> Batch:
        """Texts, or pairs of texts, with nothing hidden that is not written as the mask token."""
        pairs = [(e, None) if isinstance(e, str) else (e[0], e[1]) for e in examples]
        first = encode_typed(self.tokenizer, [one for one, _ in pairs])
        second = [None if o is None else encode_typed(self.tokenizer, [o])[0] for _, o in pairs]
        rows, segments = self._framed(first, second)
        self.require_short(rows, "tokens")
        return self._given(rows, segments)

    # ------------------------------------------------------------ pieces of text

    def _places(self, data: TokenText, draws: Draws, count: int) -> Array:
        if self.paired and len(data.sentences):
            return data.sentences[draws.integers(len(data.sentences), count)]
        return draws.integers(max(len(data.tokens), 1), count)

    def _batch(self, data: TokenText, draws: Draws, places: Array) -> Batch:
        starts, stops = data.window(places, self.room)
        if not self.paired:
            rows, segments = self._framed(data.rows(starts, stops), [None] * len(starts))
            return self._masked(rows, segments, draws)
        apart = draws.uniform(len(starts)) < 0.5
        cuts = self._cuts(data, draws.uniform(len(starts)), starts, stops)
        others, ends = self._elsewhere(data, draws, starts, stops, stops - cuts)
        first = data.rows(starts, cuts)
        second = data.rows(np.where(apart, others, cuts), np.where(apart, ends, stops))
        rows, segments = self._framed(first, second)
        return self._masked(rows, segments, draws) | self.given(next=apart.astype(np.int64))

    def _cuts(self, data: TokenText, chance: Array, starts: Array, stops: Array) -> Array:
        """Where each window is cut in two: at one of the sentences that begin in it, else anywhere inside."""
        low = np.searchsorted(data.sentences, starts, side="right")
        high = np.searchsorted(data.sentences, stops, side="left")
        there = high > low
        chosen = np.minimum(low + (chance * (high - low)).astype(np.int64), max(len(data.sentences) - 1, 0))
        inside = (chance * np.maximum(stops - starts - 1, 0)).astype(np.int64)
        anywhere: Array = np.minimum(starts + 1 + inside, stops)
        if not len(data.sentences):
            return anywhere
        found: Array = np.where(there, data.sentences[chosen], anywhere)
        return found

    def _elsewhere(
        self, data: TokenText, draws: Draws, starts: Array, stops: Array, lengths: Array
    ) -> tuple[Array, Array]:
        """For each window a piece of `lengths` tokens from another document; where there is only one, from a place that
        the window does not reach, if one is found."""
        numbers = data.document(starts)
        found = np.full(len(starts), -1, dtype=np.int64)
        for _ in range(_TRIES):
            places = self._places(data, draws, len(starts))
            other = data.document(places) != numbers
            if len(data.starts) == 1:
                other = (places >= stops) | (places + lengths <= starts)
            found = np.where((found < 0) & other, places, found)
            if (found >= 0).all():
                break
        found = np.where(found < 0, places, found)
        begin = np.empty_like(found)
        end = np.empty_like(found)
        for row, (place, length) in enumerate(zip(found.tolist(), lengths.tolist(), strict=True)):
            one, two = data.window(np.array([place]), max(length, 1))
            begin[row], end[row] = one[0], two[0]
        return begin, end

    def _framed(self, first: Sequence[Array], second: Sequence[Array | None]) -> tuple[list[Array], list[Array]]:
        """Rows with their special tokens, and which segment each token is in."""
        end = self.special_token("end")
        after = np.array([] if end is None else [end], dtype=np.int64)
        rows, segments = [], []
        for one, other in zip(first, second, strict=True):
            row = self.framed(one)
            segment = np.zeros(len(row), dtype=np.int64)
            if other is not None:
                more = np.concatenate([other, after])
                row = np.concatenate([row, more])
                segment = np.concatenate([segment, np.ones(len(more), dtype=np.int64)])
            rows.append(row)
            segments.append(segment)
        return rows, segments

    def _given(self, rows: list[Array], segments: list[Array]) -> Batch:
        tokens = padded(rows, self.padding)
        valid = present(lengths_of(rows), tokens.shape[1])
        return self.given(tokens=tokens, valid=valid, segment=padded(segments, 0, tokens.shape[1]))

    # ------------------------------------------------------------ what is hidden

    def _masked(self, rows: list[Array], segments: list[Array], draws: Draws) -> Batch:
        batch = self._given(rows, segments)
        tokens, lengths = padded(rows, self.padding), lengths_of(rows)
        ordinary = ~self.reserved[tokens] & present(lengths, tokens.shape[1])
        wanted = np.maximum(1, np.rint(lengths * self.choice.number("share"))).astype(np.int64)
        chance, kinds = draws.uniform(*tokens.shape), draws.uniform(*tokens.shape)
        chosen = (
            self._words(tokens, ordinary, wanted, chance)
            if self.choice.options["whole_words"]
            else choose(chance, ordinary, wanted)
        )
        masked, random = self.choice.number("mask"), self.choice.number("random")
        strangers = self.ordinary[draws.integers(len(self.ordinary), tokens.size)].reshape(tokens.shape)
        shown = np.where(chosen & (kinds < masked), self.token("mask"), tokens)
        shown = np.where(chosen & (kinds >= masked) & (kinds < masked + random), strangers, shown)
        return batch | self.given(tokens=shown, targets=np.where(chosen, tokens, IGNORED))

    def _words(self, tokens: Array, ordinary: Array, wanted: Array, chance: Array) -> Array:
        """Whole words in a random order: one that would be too many is passed over, as in the published code."""
        begins = self.word_starts[tokens] | ~ordinary
        begins[:, 0] = True
        begins[:, 1:] |= ~ordinary[:, :-1]  # what follows a special token begins a word, whole or not
        number = np.cumsum(begins, axis=1) - 1
        chosen = np.zeros_like(ordinary)
        for row in range(len(tokens)):
            sizes = np.bincount(number[row][ordinary[row]], minlength=number[row, -1] + 1)
            firsts = np.flatnonzero(begins[row])
            left, taken = int(wanted[row]), []
            for word in np.argsort(chance[row][firsts], kind="stable").tolist():
                if 0 < sizes[word] <= left:
                    taken.append(word)
                    left -= int(sizes[word])
                    if not left:
                        break
            chosen[row] = np.isin(number[row], taken) & ordinary[row]
        return chosen

    # ------------------------------------------------------------ how good it is

    def counted(self, batch: Mapping[str, Array]) -> int:
        return int((batch[self.input("targets")] >= 0).sum())

    def metrics(self, predict: Predict, data: TokenText, batches: int, known: Known) -> list[Metric]:
        found = loss_metrics(known)
        targets = self.input("targets")
        hidden = [targets, *([self.input("next")] if self.paired else [])]
        answered = answers(predict, self.graph, targets, self.tokenizer.vocab, self.evaluation(data, batches), hidden)
        if answered is not None:
            found += class_metrics(
                *answered, self.tokenizer.vocab, "masked tokens", macro=False, against="most frequent token"
            )
        if self.paired:
            answered = answers(predict, self.graph, self.input("next"), 2, self.evaluation(data, batches), hidden)
            if answered is not None:
                found += class_metrics(*answered, 2, "next sentence", macro=False)
        return found

    def predictions(self, predict: Predict, examples: Sequence[Any], top: int) -> list[list[Prediction]]:
        """For each text one prediction a mask token in it. Raises E0749 for a text without one."""
        given = self.inputs(examples)
        tokens, mask = given[self.input("tokens")], self.token("mask")
        written = self.tokenizer.decode([mask]).strip()
        for row, example in zip(tokens, examples, strict=True):
            if not (row == mask).any():
                text = example if isinstance(example, str) else " ".join(map(str, example))
                shown = text if len(text) <= 60 else text[:59] + "…"
                raise error(
                    "E0749", f"there is no {written} in “{shown}”: there is nothing to predict",
                    help=f"write {written} in the place of a word: `The {written} of the list`",
                )  # fmt: skip
        vocab = self.tokenizer.vocab
        logits = said(self, predict, given, "targets", vocab)
        found = []
        for row, answers_of in zip(tokens, logits, strict=True):
            places = np.flatnonzero(row == mask).tolist()
            found.append(
                [
                    likeliest(str(number), answers_of[at, :vocab], lambda token: self.tokenizer.decode([token]), top)
                    for number, at in enumerate(places, 1)
                ]
            )
        return found
