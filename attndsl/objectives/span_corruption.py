"""Spans that one sentinel each stands for: `span_corruption(source, target, targets)` (Raffel et al., 2020, 3.1.4).

15 % of the tokens, in spans of 3 on average, are taken out of the source, and a sentinel of its own stands for each
span. The targets are the spans, each behind its sentinel, then one more sentinel. Lengths of spans and of what is
between them are random divisions of the two totals; the text begins with a token that stays.
"""

from __future__ import annotations

from typing import Any, ClassVar

from attndsl.choices import Option
from attndsl.diagnostics import error
from attndsl.lazy import Array, np
from attndsl.objectives.base import Batch
from attndsl.objectives.draws import Draws
from attndsl.objectives.noisy import Noisy
from attndsl.objectives.texts import TokenText


class SpanCorruption(Noisy):
    """Source and target both end with the token for it; windows are as long as both fit into the recipe's `length`."""

    name = "span_corruption"
    doc = "spans, each replaced by one sentinel"
    options: ClassVar = {
        "share": Option("float", 0.15, "share of the tokens that are in spans", 1e-9, 1 - 1e-9),
        "mean": Option("float", 3.0, "mean length of a span", 1, 1000),
    }
    special = ("pad", "end", "sentinels", "start")
    does = "fills in spans of a text"

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.room, spans = self._room()
        if spans + 1 > len(self.tokenizer.sentinels):
            raise error(
                "E0737",
                f"windows of {self.recipe.length:,} tokens have {spans:,} spans, and there are "
                f"{len(self.tokenizer.sentinels):,} sentinels",
                note="each span has one, and one more follows the last",
                help=f"write `special = tokens(…, sentinels={spans + 1})`, or use shorter windows: `--set length=…`",
            )

    def _room(self) -> tuple[int, int]:
        """How many tokens of text a window has, and how many spans."""
        length, size = self.recipe.length, 2
        while True:
            gone, spans = self.division(size + 1)
            if max(size + 1 - gone + spans, gone + spans + 1) + self.frame > length or size > 4 * length:
                return size, self.division(size)[1]
            size += 1

    def division(self, size: int) -> tuple[int, int]:
        """How many of `size` tokens are taken out, and in how many spans."""
        gone = min(max(int(np.rint(size * self.choice.number("share"))), 1), size - 1)
        spans = max(int(np.rint(gone / self.choice.number("mean"))), 1)
        return gone, min(spans, gone, size - gone)

    def noisy(self, data: TokenText, draws: Draws, places: Array) -> Batch:
        both = [self.corrupted(row, draws) for row in data.rows(*data.window(places, self.room))]
        # The targets are all that was taken out, and so are whole wherever the window was cut.
        return self.pairs(
            [self.framed(source) for source, _ in both], [target for _, target in both], [True] * len(both)
        )

    def corrupted(self, row: Array, draws: Draws) -> tuple[Array, Array]:
        """What is left of a text, and what was taken out of it, both with their sentinels."""
        if len(row) < 2:
            return row, row[:0]
        gone, spans = self.division(len(row))
        taken, kept = _divided(gone, spans, draws), _divided(len(row) - gone, spans, draws)
        bounds = np.cumsum(np.stack([kept, taken], axis=1).reshape(-1))
        pieces = np.split(row, bounds[:-1])
        source, target = [], []
        sentinels = np.asarray(self.tokenizer.sentinels, dtype=np.int64)
        for number in range(spans):
            sentinel = sentinels[number : number + 1]
            source += [pieces[2 * number], sentinel]
            target += [sentinel, pieces[2 * number + 1]]
        return np.concatenate(source), np.concatenate([*target, sentinels[spans : spans + 1]])


def _divided(total: int, parts: int, draws: Draws) -> Array:
    """`total` as the sum of `parts` whole numbers, none of them 0, every division as likely as any other."""
    cuts = np.sort(np.argsort(draws.uniform(max(total - 1, 1)), kind="stable")[: parts - 1]) + 1
    return np.diff(np.concatenate([[0], cuts, [total]]))
