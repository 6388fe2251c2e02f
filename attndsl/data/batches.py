"""How text fills a model's inputs: `next_token(tokens, targets)`.

A window is `length + 1` tokens in a row; the first `length` are what the model sees and the last `length` what it is to
say. Training windows are drawn at random by (seed, step), and evaluation windows are spread over the text; or both are
segments, of which each begins where the one in the same row of the batch before ended.
"""

from __future__ import annotations

from collections.abc import Iterator

from attndsl.data.counter import integers
from attndsl.lazy import Array, np
from attndsl.records import Frozen

_PURPOSE = 0x62617463  # sets the windows' stream apart from other uses of the same seed


class NextToken(Frozen):
    """Batches of `[batch, length]` int64 arrays for the two inputs that `names` gives: tokens and targets."""

    names: tuple[str, str]
    batch: int
    length: int
    seed: int

    def goes_on(self, tokens: Array, step: int) -> bool:
        """Never: each window stands by itself."""
        return False

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
        return _windows(self.names, tokens, starts, length)


class Segments(Frozen):
    """The same, as segments: the text is cut into `batch * parts` stretches of one length, one for each row, and
    each batch takes the next `length` tokens of all. After the last whole segments an epoch begins, at the first ones
    again. The rows of a part are stretches of their own."""

    names: tuple[str, str]
    batch: int
    length: int
    parts: int = 1

    def steps(self, tokens: Array) -> int:
        """How many steps an epoch has."""
        return max(1, self._stretch(tokens) // self.length)

    def _stretch(self, tokens: Array) -> int:
        return (len(tokens) - 1) // (self.batch * self.parts)

    def goes_on(self, tokens: Array, step: int) -> bool:
        """Whether the rows of `step` begin where those of the step before ended."""
        return step % self.steps(tokens) > 0

    def training(self, tokens: Array, step: int, part: int = 0) -> dict[str, Array]:
        """The batch of `step` (its `part`-th, where gradients are accumulated over several)."""
        rows = part * self.batch + np.arange(self.batch)
        starts = rows * self._stretch(tokens) + step % self.steps(tokens) * self.length
        return _windows(self.names, tokens, starts, self.length)

    def evaluation(self, tokens: Array, batches: int) -> Iterator[dict[str, Array]]:
        """The first `batches` batches of an epoch, in their order. A text that does not fill a segment in each row has
        fewer rows, and one that fills none gives one shorter segment, if it has two tokens."""
        length = min(self.length, len(tokens) - 1)
        if length < 1:
            return
        rows = min(self.batch, (len(tokens) - 1) // length)
        fitting = Segments(self.names, rows, length)
        for step in range(min(batches, fitting.steps(tokens))):
            yield fitting.training(tokens, step)


def _windows(names: tuple[str, str], tokens: Array, starts: Array, length: int) -> dict[str, Array]:
    windows = np.stack([tokens[start : start + length + 1] for start in starts.tolist()]).astype(np.int64)
    shown, said = names
    return {shown: np.ascontiguousarray(windows[:, :-1]), said: np.ascontiguousarray(windows[:, 1:])}
