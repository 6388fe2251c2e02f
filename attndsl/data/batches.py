"""How text fills a model's inputs: `next_token(tokens, targets)`.

A window is `length + 1` tokens in a row; the first `length` are what the model sees and the last `length` what it is to
say. Training windows are drawn at random by (seed, step), evaluation windows lie side by side, so neither has a state.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from attndsl.data.counter import integers
from attndsl.lazy import np
from attndsl.records import dataclass

if TYPE_CHECKING:
    import numpy

    Array = numpy.ndarray[Any, Any]

_PURPOSE = 0x62617463  # sets the windows' stream apart from other uses of the same seed


@dataclass(frozen=True, slots=True)
class NextToken:
    """Batches of `[batch, length]` int64 arrays for the two inputs that `names` gives: tokens and targets."""

    names: tuple[str, str]
    batch: int
    length: int
    seed: int

    def training(self, tokens: Array, step: int, part: int = 0) -> dict[str, Array]:
        """The batch of `step` (its `part`-th, where gradients are accumulated over several)."""
        starts = integers(_PURPOSE, self.seed, step, part, below=len(tokens) - self.length, count=self.batch)
        return self._at(tokens, starts, self.length)

    def evaluation(self, tokens: Array, batches: int) -> Iterator[dict[str, Array]]:
        """At most `batches` batches of windows that lie side by side and are spread evenly over `tokens`.

        Batches are full wherever the text fills one; a text shorter than a window gives one shorter window, and one of
        fewer than two tokens nothing.
        """
        length = min(self.length, len(tokens) - 1)
        if length < 1:
            return
        windows = (len(tokens) - 1) // length
        if windows < self.batch:
            yield self._at(tokens, np.arange(windows) * length, length)
            return
        count = min(batches, windows // self.batch)
        chosen = np.arange(count * self.batch) * windows // (count * self.batch)
        for number in range(count):
            yield self._at(tokens, chosen[number * self.batch : (number + 1) * self.batch] * length, length)

    def _at(self, tokens: Array, starts: Array, length: int) -> dict[str, Array]:
        windows = np.stack([tokens[start : start + length + 1] for start in starts.tolist()]).astype(np.int64)
        shown, said = self.names
        return {shown: np.ascontiguousarray(windows[:, :-1]), said: np.ascontiguousarray(windows[:, 1:])}
