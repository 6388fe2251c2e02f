"""The text before noise came over it: `denoise(source, target, targets)` (Lewis et al., 2020, section 2.2).

The five noises, in the order in which they are put on: the sentences in another order, spans whose lengths are Poisson
distributed replaced by one mask token each (one of length nothing inserts a mask), single tokens masked, single tokens
left out, the text rotated so that it begins at one of its tokens.
"""

from __future__ import annotations

from typing import Any, ClassVar

from attndsl.choices import Option
from attndsl.lazy import Array, np
from attndsl.objectives.base import Batch
from attndsl.objectives.draws import Draws, poisson
from attndsl.objectives.noisy import Noisy
from attndsl.objectives.texts import TokenText


class Denoise(Noisy):
    """Source `[begin] noised text [end]`, target `[begin] text [end]`; a window that stops before its document does has
    no end to be said."""

    name = "denoise"
    doc = "the text before noise was added"
    options: ClassVar = {
        "mask": Option("float", 0.0, "token masking: share of the tokens replaced by the mask token", 0, 1),
        "delete": Option("float", 0.0, "token deletion: share of the tokens that are left out", 0, 1),
        "infill": Option("float", 0.3, "text infilling: share of the tokens in spans, each one mask token", 0, 1),
        "mean": Option("float", 3.0, "mean length of a span, Poisson distributed", 0.5, 100),
        "permute": Option("float", 1.0, "sentence permutation: share of the texts whose sentences are permuted", 0, 1),
        "rotate": Option("float", 0.0, "document rotation: share of the texts that begin in their middle", 0, 1),
    }
    special = ("mask", "pad", "start")
    does = "restores a text that has noise"

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.room = max(2, self.recipe.length - self.frame)

    def noisy(self, data: TokenText, draws: Draws, places: Array) -> Batch:
        starts, stops = data.window(places, self.room)
        rows = data.rows(starts, stops)
        noised = [self.framed(self.noised(row, draws)) for row in rows]
        return self.pairs(noised, rows, data.ends(stops))

    def noised(self, row: Array, draws: Draws) -> Array:
        """A text with all the noises that the recipe asks for."""
        chance = draws.uniform(2)
        if chance[0] < self.choice.number("permute"):
            row = self._permuted(row, draws)
        size, mask = len(row), self.token("mask")
        if count := _rounded(self.choice.number("infill") * size):
            row = infilled(row, mask, count, self.choice.number("mean"), draws, self.room)
        if count := _rounded(self.choice.number("mask") * len(row)):
            row = row.copy()
            row[np.argsort(draws.uniform(len(row)), kind="stable")[:count]] = mask
        if count := _rounded(self.choice.number("delete") * len(row)):
            row = np.delete(row, np.argsort(draws.uniform(len(row)), kind="stable")[:count])
        if len(row) > 1 and chance[1] < self.choice.number("rotate"):
            row = np.roll(row, -int(draws.integers(len(row), 1)[0]))
        return row

    def _permuted(self, row: Array, draws: Draws) -> Array:
        ends = self.sentence_ends[row]
        # A sentence goes to the last of several signs that end it: `...`, or a full stop and a new line.
        cuts = np.flatnonzero(ends[:-1] & ~ends[1:]) + 1
        if not len(cuts):
            return row
        sentences = np.split(row, cuts)
        order = np.argsort(draws.uniform(len(sentences)), kind="stable")
        return np.concatenate([sentences[number] for number in order.tolist()])


def infilled(row: Array, mask: int, count: int, mean: float, draws: Draws, room: int) -> Array:
    """`row` with spans of `count` tokens in all, each replaced by one `mask`; no two spans touch, and as many masks as
    fit into `room` tokens are inserted where nothing was."""
    size = len(row)
    count = min(count, size)
    lengths = poisson(draws.uniform(4 * count + 16), mean)
    ends = np.cumsum(lengths)
    number = int(np.searchsorted(ends, count, side="left")) + 1
    lengths = lengths[:number].copy()
    lengths[-1] -= int(ends[number - 1]) - count
    kept = size - count
    # One span at most goes before each token that is kept, and one behind the last; empty ones give way.
    most = min(kept + 1, room - kept)
    while len(lengths) > most and (lengths == 0).any():
        lengths = np.delete(lengths, int(np.flatnonzero(lengths == 0)[-1]))
    while len(lengths) > most:
        lengths = np.concatenate([lengths[:-2], [lengths[-2] + lengths[-1]]])
    gaps = np.sort(np.argsort(draws.uniform(kept + 1), kind="stable")[: len(lengths)])
    order = np.argsort(draws.uniform(len(lengths)), kind="stable")
    lengths = lengths[order]
    # The i-th span begins behind `gaps[i]` kept tokens and all the spans before it.
    starts = gaps + np.concatenate([[0], np.cumsum(lengths)[:-1]])
    found, at = [], 0
    for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
        found += [row[at:start], np.array([mask], dtype=np.int64)]
        at = start + length
    return np.concatenate([*found, row[at:]])


def _rounded(number: float) -> int:
    return int(np.rint(number))
