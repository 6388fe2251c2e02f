"""Texts of which the source is spoilt and the target says what was there: for `denoise` and `span_corruption`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from attndsl.lazy import Array
from attndsl.objectives.base import Batch, Known, Predict
from attndsl.objectives.draws import EVALUATION, TRAINING, Draws
from attndsl.objectives.metrics import Metric
from attndsl.objectives.roles import Data
from attndsl.objectives.sequences import Sequences, token_metrics
from attndsl.objectives.texts import TokenText, encode_typed


class Noisy(Sequences):
    """Windows of `room` tokens, which a subclass spoils in a way that the draws decide."""

    data = Data.TEXT
    room: int

    @abstractmethod
    def noisy(self, data: TokenText, draws: Draws, places: Array) -> Batch:
        """The batch of the windows that begin at `places`."""

    def prepare(self, data: Any, say: Callable[[str], None] = lambda text: None) -> TokenText:
        return TokenText.of(data, self.tokenizer)

    def training(self, data: TokenText, step: int, part: int = 0) -> Batch:
        draws = Draws(TRAINING, self.recipe.seed, step, part)
        return self.noisy(data, draws, draws.integers(max(len(data.tokens), 1), self.recipe.batch))

    def evaluation(self, data: TokenText, batches: int) -> Iterator[Batch]:
        if not len(data.starts):
            return
        places = data.spread(batches * self.recipe.batch, self.room)
        for number in range(0, len(places), self.recipe.batch):
            yield self.noisy(data, Draws(EVALUATION, number), places[number : number + self.recipe.batch])

    def inputs(self, examples: Sequence[str]) -> Batch:
        """Texts as they are; where the mask token or sentinels are written in one, something is to be filled in."""
        return self.sources([self.framed(row) for row in encode_typed(self.tokenizer, examples)])

    def metrics(self, predict: Predict, data: TokenText, batches: int, known: Known) -> list[Metric]:
        return token_metrics(self, predict, self.evaluation(data, batches), known)
