"""Parts of texts: windows over long ones, tokens and characters of one place, and the likeliest part of all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from attndsl.lazy import Array, np
from attndsl.objectives.predictions import Likely
from attndsl.records import Frozen

KEPT = 20


class Window(Frozen, eq=False):
    """A piece of the text of an `example`: `row`, all tokens that the model is given; `first`, which of these is the
    first of the text; `spans`, the characters of each token of the text, `[tokens, 2]`."""

    example: int
    row: Array
    first: int
    spans: Array

    def tokens_at(self, start: int, stop: int) -> tuple[int, int] | None:
        """Where in the row the characters from `start` to `stop` begin and end; None where they are not all there."""
        inside = np.flatnonzero((self.spans[:, 1] > start) & (self.spans[:, 0] < stop))
        if stop <= start or not len(inside):
            return None
        first, last = int(inside[0]), int(inside[-1])
        # What a tokenizer leaves out (spaces) may stand at either end; a token that is missing there has to be in
        # another window.
        if (first == 0 and self.spans[0, 0] > start) or (last == len(self.spans) - 1 and self.spans[-1, 1] < stop):
            return None
        return self.first + first, self.first + last


def windows(count: int, room: int, stride: int) -> Iterator[tuple[int, int]]:
    """The first token and the one behind the last of pieces of at most `room` tokens that together are all `count`."""
    step = min(stride, room)
    for first in range(0, max(count, 1), step):
        yield first, min(first + room, count)
        if first + room >= count:
            return


def likeliest_answers(
    text: str, found: Sequence[tuple[Window, Array, Array]], longest: int, top: int, *, nowhere: bool
) -> list[Likely]:
    """The `top` likeliest parts of a text, by windows with the logits of where an answer begins and ends (`[tokens]`,
    padding behind). A part is as likely as both of its ends in its window, among all parts of at most `longest` tokens
    in all windows; what is written alike counts together, as far as it is among the `KEPT` likeliest of its length.
    With `nowhere` the first token stands for no answer (an empty text), which is as likely as in the window where it is
    the least so."""
    scores: list[Array] = []
    parts: list[tuple[str, float]] = []
    absent: list[float] = []
    for window, first, last in found:
        count = len(window.spans)
        inside = slice(window.first, window.first + count)
        begin, end = first[inside].astype(np.float64), last[inside].astype(np.float64)
        for length in range(min(longest, count)):
            sums = begin[: count - length] + end[length:]
            scores.append(sums)
            for place in np.argsort(-sums, kind="stable")[: max(top, KEPT)].tolist():
                part = text[window.spans[place, 0] : window.spans[place + length, 1]].strip()
                parts.append((part, float(sums[place])))
        absent.append(float(first[0]) + float(last[0]))
    if nowhere:
        scores.append(np.array([min(absent)]))
        parts.append(("", min(absent)))
    if not parts:
        return [Likely("", 1.0)]
    together: dict[str, float] = {}
    whole = float(np.logaddexp.reduce(np.concatenate(scores)))
    for part, score in parts:
        together[part] = together.get(part, 0.0) + math.exp(score - whole)
    best = sorted(together.items(), key=lambda it: -it[1])[: max(top, 1)]
    return [Likely(part, share) for part, share in best]
